//! Evaluations at the nodes of clients that have data of their own, for a federator that has no test set. A state machine without clocks, threads or a network, beside the
//! [`Hub`](crate::hub::Hub).
//!
//! One model is evaluated at a time. It begins once enough clients are there, and those that are there then take part. A node that is lost may come back, and its client takes part
//! again, as long as others are at it; the evaluation ends without it otherwise.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use fltk_core::{
    ids::{ClientId, Round},
    metrics::Evaluation,
    model_state::ModelState,
};

use crate::{errands::ErrandId, hub::NodeId};

/// An action to carry out, in the order given.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Tell the node to evaluate.
    Give {
        /// The node.
        node: NodeId,
        /// The number of the evaluation.
        id: ErrandId,
        /// The round after which it is the global model.
        round: Round,
        /// The model.
        state: Arc<ModelState>,
    },
    /// All clients that take part have answered, or are away.
    Done {
        /// The number of the evaluation.
        id: ErrandId,
        /// The figures, ascending by client; at least one.
        evaluations: Vec<(ClientId, Evaluation)>,
    },
    /// Every client that is there has failed.
    Fail {
        /// The number of the evaluation.
        id: ErrandId,
        /// The reason of the last.
        reason: String,
        /// True if the settings are the cause.
        is_of_settings: bool,
    },
}

#[derive(Clone, Debug)]
struct Open {
    id: ErrandId,
    round: Round,
    state: Arc<ModelState>,
    /// The clients that take part, and haven't answered; empty before it begins.
    awaited: BTreeSet<ClientId>,
    /// Those among them whose nodes were lost.
    lost: BTreeSet<ClientId>,
    done: BTreeMap<ClientId, Evaluation>,
    failure: Option<(String, bool)>,
}

/// The clients that are there, and the evaluation that is open.
#[derive(Clone, Debug)]
pub struct ClientTests {
    /// The number of clients with which an evaluation begins.
    least: usize,
    nodes: BTreeMap<NodeId, ClientId>,
    last: u32,
    open: Option<Open>,
}

impl ClientTests {
    /// Creates the state before anybody is there. An evaluation begins with at least this number of clients, at least one.
    #[must_use]
    pub fn new(least: usize) -> Self {
        Self { least: least.max(1), nodes: BTreeMap::new(), last: 0, open: None }
    }

    /// Takes a model, in place of an earlier one. Returns the number of the evaluation.
    pub fn ask(&mut self, round: Round, state: Arc<ModelState>) -> (ErrandId, Vec<Step>) {
        self.last += 1;
        let id = ErrandId(self.last);
        let (awaited, lost) = (BTreeSet::new(), BTreeSet::new());
        self.open = Some(Open { id, round, state, awaited, lost, done: BTreeMap::new(), failure: None });
        (id, self.begin())
    }

    /// Takes a client's node in. One that comes back has forgotten what it was told.
    pub fn joined(&mut self, node: NodeId, client: ClientId) -> Vec<Step> {
        self.nodes.insert(node, client);
        let Some(open) = &mut self.open else { return Vec::new() };
        if open.lost.remove(&client) {
            open.awaited.insert(client);
        }
        if open.awaited.contains(&client) {
            return vec![open.give(node)];
        }
        self.begin()
    }

    /// Goes on without a node.
    pub fn left(&mut self, node: NodeId) -> Vec<Step> {
        let Some(client) = self.nodes.remove(&node) else { return Vec::new() };
        // Another node may have taken its place before it was known to be lost.
        if !self.nodes.values().any(|other| *other == client)
            && let Some(open) = &mut self.open
            && open.awaited.remove(&client)
        {
            open.lost.insert(client);
        }
        self.end()
    }

    /// Takes figures from a node. Returns `None` if it wasn't asked for them.
    pub fn evaluated(&mut self, node: NodeId, id: ErrandId, evaluation: Evaluation) -> Option<Vec<Step>> {
        let client = self.answered(node, id)?;
        self.open.as_mut()?.done.insert(client, evaluation);
        Some(self.end())
    }

    /// Takes the word of a node that it can't evaluate. Returns `None` if it wasn't asked to.
    pub fn failed(&mut self, node: NodeId, id: ErrandId, reason: String, is_of_settings: bool) -> Option<Vec<Step>> {
        self.answered(node, id)?;
        self.open.as_mut()?.failure = Some((reason, is_of_settings));
        Some(self.end())
    }

    /// Returns the client whose answer this is, which isn't awaited any more.
    fn answered(&mut self, node: NodeId, id: ErrandId) -> Option<ClientId> {
        let client = *self.nodes.get(&node)?;
        let open = self.open.as_mut().filter(|open| open.id == id)?;
        open.awaited.remove(&client).then_some(client)
    }

    /// Begins, if enough clients are there and it hasn't begun.
    fn begin(&mut self) -> Vec<Step> {
        let clients: BTreeSet<ClientId> = self.nodes.values().copied().collect();
        let Some(open) = self.open.as_mut().filter(|open| open.has_not_begun()) else { return Vec::new() };
        if clients.len() < self.least {
            return Vec::new();
        }
        open.awaited = clients;
        self.nodes.keys().map(|node| open.give(*node)).collect()
    }

    /// Ends, if nobody is awaited any more; begins anew if everybody was lost.
    fn end(&mut self) -> Vec<Step> {
        let Some(open) = self.open.take_if(|open| open.awaited.is_empty() && !open.has_not_begun()) else { return Vec::new() };
        let Open { id, done, failure, .. } = open;
        match (done.is_empty(), failure) {
            (false, _) => vec![Step::Done { id, evaluations: done.into_iter().collect() }],
            (true, Some((reason, is_of_settings))) => vec![Step::Fail { id, reason, is_of_settings }],
            (true, None) => {
                self.open = Some(Open { lost: BTreeSet::new(), done: BTreeMap::new(), failure: None, ..open });
                self.begin()
            }
        }
    }
}

impl Open {
    fn has_not_begun(&self) -> bool {
        self.awaited.is_empty() && self.lost.is_empty() && self.done.is_empty() && self.failure.is_none()
    }

    fn give(&self, node: NodeId) -> Step {
        Step::Give { node, id: self.id, round: self.round, state: Arc::clone(&self.state) }
    }
}

/// Returns the figures of all clients together: the means of their losses and accuracies, weighted by their numbers of samples, of which at most `samples_max` count of each, since nobody
/// can check them; and the sum of their counts by class if all have as many classes, and no limit is exceeded. `None` if there are no samples.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn together(evaluations: &[(ClientId, Evaluation)], samples_max: u64) -> Option<Evaluation> {
    let weight = |evaluation: &Evaluation| evaluation.num_samples.min(samples_max);
    let num_samples = evaluations.iter().try_fold(0u64, |sum, (_, own)| sum.checked_add(weight(own))).filter(|sum| *sum > 0)?;
    // Shares first: no sum can be more than its largest term.
    let mean = |figure: &dyn Fn(&Evaluation) -> f64| -> f64 {
        evaluations.iter().map(|(_, own)| weight(own) as f64 / num_samples as f64 * figure(own)).sum()
    };
    let (loss, accuracy) = (mean(&|own| own.loss), mean(&|own| own.accuracy).clamp(0.0, 1.0));
    let is_whole = evaluations.iter().all(|(_, own)| own.num_samples <= samples_max);
    let confusion = if is_whole { sum_of_counts(evaluations) } else { None };
    Some(Evaluation { num_samples, loss, accuracy, confusion })
}

fn sum_of_counts(evaluations: &[(ClientId, Evaluation)]) -> Option<Vec<Vec<u64>>> {
    let mut counts = evaluations.iter().map(|(_, own)| own.confusion.as_ref());
    let mut sum = counts.next()??.clone();
    for own in counts {
        let own = own.filter(|own| own.len() == sum.len())?;
        for (sum, own) in sum.iter_mut().zip(own).flat_map(|(sums, owns)| sums.iter_mut().zip(owns)) {
            *sum = sum.checked_add(*own)?;
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u8) -> NodeId {
        NodeId([number; 16])
    }

    fn model() -> Arc<ModelState> {
        Arc::new(ModelState { layout: Arc::default(), floats: vec![], counters: vec![] })
    }

    fn of(accuracy: f64, num_samples: u64) -> Evaluation {
        Evaluation { num_samples, loss: 1.0 - accuracy, accuracy, confusion: None }
    }

    fn given(steps: &[Step]) -> Vec<(u32, u8)> {
        let of = |step: &Step| match step {
            Step::Give { node, id, .. } => Some((id.0, node.0[0])),
            Step::Done { .. } | Step::Fail { .. } => None,
        };
        steps.iter().filter_map(of).collect()
    }

    /// Two clients that are there, at nodes 1 and 2, and an evaluation that has begun.
    fn begun() -> (ClientTests, ErrandId) {
        let mut tests = ClientTests::new(2);
        let (id, steps) = tests.ask(Round(3), model());
        assert!(steps.is_empty() && tests.joined(node(1), ClientId(0)).is_empty(), "one is too few");
        assert_eq!(given(&tests.joined(node(2), ClientId(5))), [(1, 1), (1, 2)]);
        assert_eq!(tests.joined(node(3), ClientId(6)), [], "it comes too late for this one");
        (tests, id)
    }

    #[test]
    fn the_clients_that_are_there_answer_once_each() {
        let (mut tests, id) = begun();
        assert_eq!(tests.evaluated(node(3), id, of(1.0, 9)), None);
        assert_eq!(tests.evaluated(node(2), ErrandId(7), of(1.0, 9)), None);
        assert_eq!(tests.evaluated(node(2), id, of(0.5, 4)), Some(vec![]));
        assert_eq!(tests.evaluated(node(2), id, of(1.0, 9)), None, "it has answered");
        let evaluations = vec![(ClientId(0), of(1.0, 12)), (ClientId(5), of(0.5, 4))];
        assert_eq!(tests.evaluated(node(1), id, of(1.0, 12)), Some(vec![Step::Done { id, evaluations }]));
        let (next, steps) = tests.ask(Round(4), model());
        assert_eq!((next, given(&steps)), (ErrandId(2), vec![(2, 1), (2, 2), (2, 3)]));
        assert_eq!(tests.evaluated(node(1), id, of(1.0, 12)), None, "it is of the last one");
    }

    #[test]
    fn a_lost_client_comes_back_or_is_left_out() {
        let (mut tests, id) = begun();
        assert_eq!(tests.left(node(1)), []);
        assert_eq!(tests.evaluated(node(1), id, of(1.0, 9)), None);
        assert_eq!(given(&tests.joined(node(4), ClientId(0))), [(1, 4)]);
        assert_eq!(tests.left(node(4)), []);
        let evaluations = vec![(ClientId(5), of(0.5, 4))];
        assert_eq!(tests.evaluated(node(2), id, of(0.5, 4)), Some(vec![Step::Done { id, evaluations }]));
        // A node that takes another's place before it is lost has the work too.
        let (mut tests, id) = begun();
        assert_eq!(given(&tests.joined(node(4), ClientId(0))), [(1, 4)]);
        assert_eq!(tests.left(node(1)), []);
        assert!(tests.evaluated(node(4), id, of(0.5, 4)).is_some());
        // If everybody is lost, it begins anew with those that come.
        let (mut tests, _) = begun();
        tests.left(node(3));
        assert_eq!([tests.left(node(1)), tests.left(node(2))], [[], []]);
        assert_eq!(tests.joined(node(3), ClientId(6)), []);
        assert_eq!(given(&tests.joined(node(1), ClientId(0))), [(1, 1), (1, 3)]);
    }

    #[test]
    fn failures_count_if_nobody_answers() {
        let (mut tests, id) = begun();
        assert_eq!(tests.failed(node(1), id, "no".to_owned(), false), Some(vec![]));
        assert_eq!(tests.failed(node(1), id, "no".to_owned(), false), None);
        let evaluations = vec![(ClientId(5), of(0.5, 4))];
        assert_eq!(tests.evaluated(node(2), id, of(0.5, 4)), Some(vec![Step::Done { id, evaluations }]));
        let (mut tests, id) = begun();
        tests.failed(node(1), id, "no".to_owned(), false);
        let fail = Step::Fail { id, reason: "never".to_owned(), is_of_settings: true };
        assert_eq!(tests.failed(node(2), id, "never".to_owned(), true), Some(vec![fail]));
    }

    #[test]
    fn figures_are_weighted_by_samples_up_to_a_limit() {
        let counts = |evaluation: Evaluation, confusion| Evaluation { confusion: Some(confusion), ..evaluation };
        let both = [
            (ClientId(0), counts(of(1.0, 30), vec![vec![10, 0], vec![0, 20]])),
            (ClientId(1), counts(of(0.5, 10), vec![vec![5, 5], vec![0, 0]])),
        ];
        // (30 * 1 + 10 * 0.5) / 40.
        let all = together(&both, u64::MAX).expect("there are samples");
        assert_eq!((all.num_samples, all.accuracy, all.loss), (40, 0.875, 0.125));
        assert_eq!(all.confusion, Some(vec![vec![15, 5], vec![0, 20]]));
        // (10 * 1 + 10 * 0.5) / 20.
        let limited = together(&both, 10).expect("there are samples");
        assert_eq!((limited.num_samples, limited.accuracy, limited.confusion), (20, 0.75, None));
        assert_eq!(together(&[], 10), None);
        let claims = [(ClientId(0), of(1.0, u64::MAX)), (ClientId(1), of(0.5, u64::MAX))];
        assert_eq!(together(&claims, u64::MAX), None, "nobody has so many");
        assert!(together(&claims, 1 << 30).is_some());
    }
}
