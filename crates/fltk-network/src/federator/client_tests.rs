//! Evaluations by clients that have data of their own, at the federator: who asks for them, and what the hub's thread does about them.

use std::sync::{
    Arc,
    mpsc::{SyncSender, sync_channel},
};

use fltk_core::{
    ids::{ClientId, Round},
    metrics::Evaluation,
    model_state::ModelState,
};
use fltk_fed::{BoxError, client::Evaluator};
use tokio::sync::mpsc;

use super::{
    desk::{Desk, Input},
    errands::{About, Answer},
    objects::Holder,
};
use crate::{
    client_tests::{Step, together},
    errands::ErrandId,
    hub::NodeId,
    wire::{errand, v1},
};

/// The most samples that count of a client, whatever the settings say.
const SAMPLES_MAX: u64 = 1 << 30;

/// The outcome of an evaluation: the figures of clients, or the reason why there are none.
pub(super) type Tested = Result<Vec<(ClientId, Evaluation)>, String>;

impl Desk<'_> {
    /// Takes a model to evaluate, in a run whose clients evaluate.
    pub(super) fn test_at_clients(&mut self, round: Round, state: Arc<ModelState>, reply: SyncSender<Tested>) {
        let now = self.now();
        let Some(tests) = &mut self.client_tests else { return };
        let (id, steps) = tests.ask(now, round, state);
        self.tested = Some((id, reply));
        self.carry_out_tests(steps);
    }

    /// Takes the node of a client in.
    pub(super) fn client_joined(&mut self, node: NodeId, client: ClientId) {
        let now = self.now();
        let steps = self.client_tests.as_mut().map(|tests| tests.joined(now, node, client)).unwrap_or_default();
        self.carry_out_tests(steps);
    }

    /// Goes on without a node.
    pub(super) fn client_left(&mut self, node: NodeId) {
        let now = self.now();
        let steps = self.client_tests.as_mut().map(|tests| tests.left(now, node)).unwrap_or_default();
        self.carry_out_tests(steps);
    }

    /// Leaves out clients that take too long.
    pub(super) fn tick_tests(&mut self) {
        let now = self.now();
        let steps = self.client_tests.as_mut().map(|tests| tests.tick(now)).unwrap_or_default();
        self.carry_out_tests(steps);
    }

    /// Takes an answer of a node; nothing happens if nobody asked for it.
    pub(super) fn client_said(&mut self, node: NodeId, id: ErrandId, answer: Answer) {
        let (now, name) = (self.now(), self.name_of(node));
        let Some(tests) = &mut self.client_tests else { return };
        // One client can't end the run, nor spoil the mean.
        let is_usable = |own: &Evaluation| own.num_samples > 0 && own.loss.abs() <= f64::from(f32::MAX);
        let steps = match answer {
            Answer::Evaluated(own) if is_usable(&own) => tests.evaluated(now, node, id, own),
            answer => {
                let reason = match answer {
                    Answer::Evaluated(own) => format!("node `{name}` has the loss {} on {} samples", own.loss, own.num_samples),
                    Answer::Failed { reason, .. } => format!("node `{name}`: {reason}"),
                };
                let steps = tests.failed(now, node, id, reason.clone());
                if steps.is_some() {
                    tracing::warn!("a client can't evaluate the model: {reason}");
                }
                steps
            }
        };
        self.carry_out_tests(steps.unwrap_or_default());
    }

    fn carry_out_tests(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Give { node, id, round, state } => {
                    let model = self.objects.model(&state);
                    self.objects.offer(Holder::Errand(id), &model);
                    self.send(node, v1::to_node::Message::Evaluate(errand::evaluate(id, round.0, &model, self.settings)));
                }
                Step::Done { id, evaluations } => self.end_test(id, Ok(evaluations)),
                Step::Fail { id, reason } => self.end_test(id, Err(reason)),
            }
        }
    }

    fn end_test(&mut self, id: ErrandId, tested: Tested) {
        self.objects.over(Holder::Errand(id));
        if let Some((_, reply)) = self.tested.take_if(|(open, _)| *open == id) {
            let _ = reply.send(tested);
        }
    }
}

/// An evaluator that has clients evaluate on samples of their own.
pub(super) struct AtClients {
    pub(super) inputs: mpsc::Sender<Input>,
    /// The most samples that count of a client.
    pub(super) samples_max: Option<u64>,
}

impl Evaluator for AtClients {
    fn evaluate(&mut self, round: Round, state: &ModelState) -> Result<Evaluation, BoxError> {
        let over = || BoxError::from("the run is over");
        let (reply, answer) = sync_channel(1);
        let asked = Input::Errand(About::Test { round, state: Arc::new(state.clone()), reply });
        self.inputs.blocking_send(asked).map_err(|_| over())?;
        // It ends with the hub's thread, which has the other end.
        let evaluations = answer.recv().map_err(|_| over())?.map_err(|reason| format!("no client could evaluate the model: {reason}"))?;
        let num_clients = evaluations.len();
        tracing::debug!("{num_clients} clients evaluated the model of round {}", round.0);
        together(&evaluations, self.samples_max.unwrap_or(u64::MAX).min(SAMPLES_MAX)).ok_or_else(|| "clients have no test samples".into())
    }
}
