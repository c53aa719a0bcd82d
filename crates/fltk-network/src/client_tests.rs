//! Evaluations at the nodes of clients that have data of their own, for a federator that has no test set. A state machine without clocks, threads or a network, beside the
//! [`Hub`](crate::hub::Hub).
//!
//! One model is evaluated at a time. The first evaluation begins once enough clients are there, and those that are there when one begins take part. A node that is lost may come back, and its
//! client takes part again, as long as others are at it; the evaluation ends without it otherwise, and without those that take much longer than others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use fltk_core::{
    ids::{ClientId, Round},
    metrics::Evaluation,
    model_state::ModelState,
};
use fltk_fed::round::Timestamp;

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
    /// Nobody has answered, and too many have failed.
    Fail {
        /// The number of the evaluation.
        id: ErrandId,
        /// The reason of the last.
        reason: String,
    },
}

/// The most clients that fail with no answer of another: one more than a single bad node can cause, and few enough that a failure that comes again ends the run soon.
const FAILURES_MAX: usize = 3;

/// The multiple of the time of the slowest answer that others have, as in training.
const SLOWEST_FACTOR: u32 = 3;

#[derive(Clone, Debug)]
struct Open {
    id: ErrandId,
    round: Round,
    state: Arc<ModelState>,
    /// The time at which it began; `None` before.
    began: Option<Timestamp>,
    /// The clients that take part, and haven't answered.
    awaited: BTreeSet<ClientId>,
    /// Those among them whose nodes were lost.
    lost: BTreeSet<ClientId>,
    done: BTreeMap<ClientId, Evaluation>,
    /// The time that the slowest answer took.
    slowest: Duration,
    failed: BTreeSet<ClientId>,
}

/// The clients that are there, and the evaluation that is open.
#[derive(Clone, Debug)]
pub struct ClientTests {
    /// The number of clients with which the first evaluation begins.
    least: usize,
    /// The number of failures, with no answer, that end an evaluation.
    failures_max: usize,
    /// The time of silence after which somebody is lost.
    silence: Duration,
    nodes: BTreeMap<NodeId, ClientId>,
    last: u32,
    open: Option<Open>,
}

impl ClientTests {
    /// Creates the state before anybody is there. The first evaluation begins with at least `least` of `num_clients` clients, and later ones with any. Once somebody has answered, others have
    /// `silence` and three times as long as the slowest answer took.
    #[must_use]
    pub fn new(least: usize, num_clients: usize, silence: Duration) -> Self {
        let failures_max = FAILURES_MAX.min(num_clients).max(1);
        Self { least: least.max(1), failures_max, silence, nodes: BTreeMap::new(), last: 0, open: None }
    }

    /// Takes a model, in place of an earlier one. Returns the number of the evaluation.
    pub fn ask(&mut self, now: Timestamp, round: Round, state: Arc<ModelState>) -> (ErrandId, Vec<Step>) {
        self.last += 1;
        let id = ErrandId(self.last);
        let none = BTreeSet::new;
        let (done, slowest) = (BTreeMap::new(), Duration::ZERO);
        self.open = Some(Open { id, round, state, began: None, awaited: none(), lost: none(), done, slowest, failed: none() });
        (id, self.begin(now))
    }

    /// Takes a client's node in. One that comes back has forgotten what it was told.
    pub fn joined(&mut self, now: Timestamp, node: NodeId, client: ClientId) -> Vec<Step> {
        self.nodes.insert(node, client);
        let Some(open) = &mut self.open else { return Vec::new() };
        if open.lost.remove(&client) {
            open.awaited.insert(client);
        }
        if open.awaited.contains(&client) {
            return vec![open.give(node)];
        }
        self.begin(now)
    }

    /// Goes on without a node.
    pub fn left(&mut self, now: Timestamp, node: NodeId) -> Vec<Step> {
        let Some(client) = self.nodes.remove(&node) else { return Vec::new() };
        // Another node may have taken its place before it was known to be lost.
        if !self.nodes.values().any(|other| *other == client)
            && let Some(open) = &mut self.open
            && open.awaited.remove(&client)
        {
            open.lost.insert(client);
        }
        self.end(now)
    }

    /// Takes figures from a node. Returns `None` if it wasn't asked for them.
    pub fn evaluated(&mut self, now: Timestamp, node: NodeId, id: ErrandId, evaluation: Evaluation) -> Option<Vec<Step>> {
        let client = self.answered(node, id)?;
        let open = self.open.as_mut()?;
        open.done.insert(client, evaluation);
        open.slowest = open.elapsed(now);
        Some(self.end(now))
    }

    /// Takes the word of a node that it can't evaluate. Returns `None` if it wasn't asked to.
    pub fn failed(&mut self, now: Timestamp, node: NodeId, id: ErrandId, reason: String) -> Option<Vec<Step>> {
        let client = self.answered(node, id)?;
        let failures_max = self.failures_max;
        let open = self.open.as_mut()?;
        open.failed.insert(client);
        if open.done.is_empty() && open.awaited.is_empty() && open.failed.len() >= failures_max {
            self.open = None;
            return Some(vec![Step::Fail { id, reason }]);
        }
        Some(self.end(now))
    }

    /// Leaves out who takes too long.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Step> {
        let silence = self.silence;
        let is_late = |open: &Open| !open.done.is_empty() && open.elapsed(now) > silence + open.slowest * SLOWEST_FACTOR;
        if let Some(open) = self.open.as_mut().filter(|open| is_late(open)) {
            open.awaited.clear();
        }
        self.end(now)
    }

    /// Returns the client whose answer this is, which isn't awaited any more.
    fn answered(&mut self, node: NodeId, id: ErrandId) -> Option<ClientId> {
        let client = *self.nodes.get(&node)?;
        let open = self.open.as_mut().filter(|open| open.id == id)?;
        open.awaited.remove(&client).then_some(client)
    }

    /// Begins, if enough clients are there and it hasn't begun.
    fn begin(&mut self, now: Timestamp) -> Vec<Step> {
        let clients: BTreeSet<ClientId> = self.nodes.values().copied().collect();
        let Some(open) = self.open.as_mut().filter(|open| open.began.is_none()) else { return Vec::new() };
        let able: BTreeSet<ClientId> = clients.difference(&open.failed).copied().collect();
        if clients.len() < self.least || able.is_empty() {
            return Vec::new();
        }
        open.began = Some(now);
        let steps = self.nodes.iter().filter(|(_, client)| able.contains(client)).map(|(node, _)| open.give(*node)).collect();
        open.awaited = able;
        steps
    }

    /// Ends, if nobody is awaited any more. If nobody has answered, it begins anew: with those who are there and haven't failed, now or when they come.
    fn end(&mut self, now: Timestamp) -> Vec<Step> {
        let Some(open) = self.open.as_mut().filter(|open| open.awaited.is_empty() && open.began.is_some()) else { return Vec::new() };
        if open.done.is_empty() {
            open.began = None;
            open.lost.clear();
            return self.begin(now);
        }
        let (id, evaluations) = (open.id, std::mem::take(&mut open.done).into_iter().collect());
        self.open = None;
        self.least = 1;
        vec![Step::Done { id, evaluations }]
    }
}

impl Open {
    fn give(&self, node: NodeId) -> Step {
        Step::Give { node, id: self.id, round: self.round, state: Arc::clone(&self.state) }
    }

    /// Returns the time since it began.
    fn elapsed(&self, now: Timestamp) -> Duration {
        now.0.saturating_sub(self.began.unwrap_or(now).0)
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

    fn at(seconds: u64) -> Timestamp {
        Timestamp(Duration::from_secs(seconds))
    }

    /// Two of three clients that are there, at nodes 1 and 2, and an evaluation that has begun at second 10.
    fn begun() -> (ClientTests, ErrandId) {
        let mut tests = ClientTests::new(2, 3, Duration::from_secs(5));
        let (id, steps) = tests.ask(at(0), Round(3), model());
        assert!(steps.is_empty() && tests.joined(at(9), node(1), ClientId(0)).is_empty(), "one is too few");
        assert_eq!(given(&tests.joined(at(10), node(2), ClientId(5))), [(1, 1), (1, 2)]);
        assert_eq!(tests.joined(at(10), node(3), ClientId(6)), [], "it comes too late for this one");
        (tests, id)
    }

    #[test]
    fn the_clients_that_are_there_answer_once_each() {
        let (mut tests, id) = begun();
        assert_eq!(tests.evaluated(at(11), node(3), id, of(1.0, 9)), None);
        assert_eq!(tests.evaluated(at(11), node(2), ErrandId(7), of(1.0, 9)), None);
        assert_eq!(tests.evaluated(at(11), node(2), id, of(0.5, 4)), Some(vec![]));
        assert_eq!(tests.evaluated(at(11), node(2), id, of(1.0, 9)), None, "it has answered");
        let evaluations = vec![(ClientId(0), of(1.0, 12)), (ClientId(5), of(0.5, 4))];
        assert_eq!(tests.evaluated(at(11), node(1), id, of(1.0, 12)), Some(vec![Step::Done { id, evaluations }]));
        let (next, steps) = tests.ask(at(12), Round(4), model());
        assert_eq!((next, given(&steps)), (ErrandId(2), vec![(2, 1), (2, 2), (2, 3)]));
        assert_eq!(tests.evaluated(at(13), node(1), id, of(1.0, 12)), None, "it is of the last one");
        // Later ones don't wait for as many.
        for left in 1..=3 {
            tests.left(at(14), node(left));
        }
        assert_eq!(given(&tests.joined(at(15), node(2), ClientId(5))), [(2, 2)]);
    }

    #[test]
    fn a_lost_client_comes_back_or_is_left_out() {
        let (mut tests, id) = begun();
        assert_eq!(tests.left(at(11), node(1)), []);
        assert_eq!(tests.evaluated(at(11), node(1), id, of(1.0, 9)), None);
        assert_eq!(given(&tests.joined(at(12), node(4), ClientId(0))), [(1, 4)]);
        assert_eq!(tests.left(at(12), node(4)), []);
        let evaluations = vec![(ClientId(5), of(0.5, 4))];
        assert_eq!(tests.evaluated(at(13), node(2), id, of(0.5, 4)), Some(vec![Step::Done { id, evaluations }]));
        // A node that takes another's place before it is lost has the work too.
        let (mut tests, id) = begun();
        assert_eq!(given(&tests.joined(at(11), node(4), ClientId(0))), [(1, 4)]);
        assert_eq!(tests.left(at(11), node(1)), []);
        assert!(tests.evaluated(at(12), node(4), id, of(0.5, 4)).is_some());
        // If everybody is lost, it begins anew with those that come.
        let (mut tests, _) = begun();
        tests.left(at(11), node(3));
        assert_eq!([tests.left(at(11), node(1)), tests.left(at(11), node(2))], [[], []]);
        assert_eq!(tests.joined(at(12), node(3), ClientId(6)), []);
        assert_eq!(given(&tests.joined(at(12), node(1), ClientId(0))), [(1, 1), (1, 3)]);
    }

    #[test]
    fn who_takes_much_longer_than_others_is_left_out() {
        let (mut tests, id) = begun();
        assert_eq!(tests.tick(at(1000)), [], "nobody has answered, so nobody is late");
        let (mut tests, _) = begun();
        assert_eq!(tests.evaluated(at(14), node(2), id, of(0.5, 4)), Some(vec![]));
        // 5 s of silence and three times the 4 s of the answer.
        assert_eq!(tests.tick(at(27)), []);
        let evaluations = vec![(ClientId(5), of(0.5, 4))];
        assert_eq!(tests.tick(at(28)), [Step::Done { id, evaluations }]);
        assert_eq!(tests.evaluated(at(29), node(1), id, of(0.5, 4)), None);
        assert_eq!(tests.tick(at(2000)), []);
    }

    #[test]
    fn failures_count_if_nobody_answers() {
        let fail = |id| Some(vec![Step::Fail { id, reason: "never".to_owned() }]);
        let (mut tests, id) = begun();
        assert_eq!(tests.failed(at(11), node(1), id, "no".to_owned()), Some(vec![]));
        assert_eq!(tests.failed(at(11), node(1), id, "no".to_owned()), None);
        let evaluations = vec![(ClientId(5), of(0.5, 4))];
        assert_eq!(tests.evaluated(at(12), node(2), id, of(0.5, 4)), Some(vec![Step::Done { id, evaluations }]));
        // It begins anew with who is there and hasn't failed, and ends once as many have failed as may.
        let (mut tests, id) = begun();
        tests.failed(at(11), node(1), id, "no".to_owned());
        assert_eq!(tests.failed(at(11), node(2), id, "no".to_owned()).as_deref().map(given), Some(vec![(1, 3)]));
        assert_eq!(tests.failed(at(12), node(3), id, "never".to_owned()), fail(id));
        // A client that is only away isn't given up for another's failure.
        let (mut tests, id) = begun();
        tests.left(at(11), node(3));
        tests.left(at(11), node(1));
        assert_eq!(tests.failed(at(11), node(2), id, "no".to_owned()), Some(vec![]));
        assert_eq!(given(&tests.joined(at(12), node(1), ClientId(0))), [(1, 1)]);
        // The only client there is fails for everybody.
        let mut tests = ClientTests::new(1, 1, Duration::ZERO);
        tests.joined(at(0), node(1), ClientId(0));
        let (id, _) = tests.ask(at(0), Round(0), model());
        assert_eq!(tests.failed(at(1), node(1), id, "never".to_owned()), fail(id));
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
