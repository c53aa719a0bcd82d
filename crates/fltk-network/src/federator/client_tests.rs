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

/// The most samples that count of a client if the settings have no limit.
const SAMPLES_MAX: u64 = 1 << 30;

/// The outcome of an evaluation: the figures of clients, or the reason why there are none.
pub(super) type Tested = Result<Vec<(ClientId, Evaluation)>, String>;

impl Desk<'_> {
    /// Takes a model to evaluate, in a run whose clients evaluate.
    pub(super) fn test_at_clients(&mut self, round: Round, state: Arc<ModelState>, reply: SyncSender<Tested>) {
        let Some(tests) = &mut self.client_tests else { return };
        let (id, steps) = tests.ask(round, state);
        self.tested = Some((id, reply));
        self.carry_out_tests(steps);
    }

    /// Takes the node of a client in.
    pub(super) fn client_joined(&mut self, node: NodeId, client: ClientId) {
        let steps = self.client_tests.as_mut().map(|tests| tests.joined(node, client)).unwrap_or_default();
        self.carry_out_tests(steps);
    }

    /// Goes on without a node.
    pub(super) fn client_left(&mut self, node: NodeId) {
        let steps = self.client_tests.as_mut().map(|tests| tests.left(node)).unwrap_or_default();
        self.carry_out_tests(steps);
    }

    /// Takes an answer of a node; nothing happens if nobody asked for it.
    pub(super) fn client_said(&mut self, node: NodeId, id: ErrandId, answer: Answer) {
        let name = self.name_of(node);
        let Some(tests) = &mut self.client_tests else { return };
        // One client can't end the run.
        let answer = match answer {
            Answer::Evaluated(own) if own.num_samples == 0 || !own.loss.is_finite() => Answer::Failed {
                reason: format!("node `{name}` has the loss {} on {} samples", own.loss, own.num_samples),
                is_of_settings: false,
            },
            answer => answer,
        };
        let steps = match answer {
            Answer::Evaluated(evaluation) => tests.evaluated(node, id, evaluation),
            Answer::Failed { reason, is_of_settings } => {
                tracing::warn!("node `{name}` can't evaluate the model: {reason}");
                tests.failed(node, id, reason, is_of_settings)
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
                Step::Fail { id, reason, .. } => self.end_test(id, Err(reason)),
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
        together(&evaluations, self.samples_max.unwrap_or(SAMPLES_MAX)).ok_or_else(|| "clients have no test samples".into())
    }
}
