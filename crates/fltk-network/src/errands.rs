//! The work of nodes that is no client's: where the net is a module in Python, the federator can't compute with it, so a node makes the initial model, and nodes evaluate. A
//! state machine without clocks, threads or a network, beside the [`Hub`](crate::hub::Hub).
//!
//! An errand goes to the node that has the fewest of them. If that node is lost or fails, another does it; a failure that follows from the code, or comes too often, ends it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use fltk_core::{ids::Round, model_state::ModelState, seed::Seed};

use crate::hub::NodeId;

/// The most failures of one errand. One more than a single bad node can cause, and few enough that a failure that comes again ends the run soon.
const FAILURES_MAX: u32 = 3;

/// The number of an errand, or of an evaluation by clients, counted from 1 in each start of the federator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErrandId(pub u32);

/// A piece of work that is no client's.
#[derive(Clone, Debug, PartialEq)]
pub enum Errand {
    /// Make the model of the run.
    Initialize {
        /// The root seed.
        seed: Seed,
    },
    /// Evaluate a model.
    Evaluate {
        /// The round after which it is the global model.
        round: Round,
        /// The model.
        state: Arc<ModelState>,
    },
}

/// An action to carry out, in the order given.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Tell the node.
    Give {
        /// The node.
        node: NodeId,
        /// The errand.
        id: ErrandId,
        /// The work.
        errand: Errand,
    },
    /// Nobody can do it.
    Fail {
        /// The errand.
        id: ErrandId,
        /// The reason of the last node.
        reason: String,
        /// True if the code or the settings are the cause.
        is_of_settings: bool,
    },
}

#[derive(Clone, Debug)]
struct Open {
    errand: Errand,
    node: Option<NodeId>,
    /// The nodes that couldn't do it.
    avoid: BTreeSet<NodeId>,
    num_failures: u32,
}

/// The errands that are open, and the nodes that are there.
#[derive(Clone, Debug, Default)]
pub struct Errands {
    last: u32,
    open: BTreeMap<ErrandId, Open>,
    nodes: BTreeSet<NodeId>,
}

impl Errands {
    /// Takes an errand, and returns its number.
    pub fn ask(&mut self, errand: Errand) -> (ErrandId, Vec<Step>) {
        self.last += 1;
        let id = ErrandId(self.last);
        self.open.insert(id, Open { errand, node: None, avoid: BTreeSet::new(), num_failures: 0 });
        (id, self.assign())
    }

    /// Takes a node in. One that comes back has forgotten its errands with its session.
    pub fn joined(&mut self, node: NodeId) -> Vec<Step> {
        self.release(node);
        self.nodes.insert(node);
        self.assign()
    }

    /// Goes on without a node.
    pub fn left(&mut self, node: NodeId) -> Vec<Step> {
        self.release(node);
        self.nodes.remove(&node);
        self.assign()
    }

    /// Returns what this node is to do under this number; `None` if it is nothing of its own.
    #[must_use]
    pub fn given(&self, node: NodeId, id: ErrandId) -> Option<&Errand> {
        self.open.get(&id).filter(|open| open.node == Some(node)).map(|open| &open.errand)
    }

    /// Ends an errand that this node has done. Returns false if it was none of its own.
    pub fn done(&mut self, node: NodeId, id: ErrandId) -> bool {
        let is_given = self.given(node, id).is_some();
        if is_given {
            self.open.remove(&id);
        }
        is_given
    }

    /// Takes the word of a node that it can't do an errand; `None` if it was none of its own.
    pub fn failed(&mut self, node: NodeId, id: ErrandId, reason: String, is_of_settings: bool) -> Option<Vec<Step>> {
        let open = self.open.get_mut(&id).filter(|open| open.node == Some(node))?;
        open.node = None;
        open.num_failures += 1;
        open.avoid.insert(node);
        if is_of_settings || open.num_failures >= FAILURES_MAX {
            self.open.remove(&id);
            return Some(vec![Step::Fail { id, reason, is_of_settings }]);
        }
        Some(self.assign())
    }

    fn release(&mut self, node: NodeId) {
        for open in self.open.values_mut().filter(|open| open.node == Some(node)) {
            open.node = None;
        }
    }

    /// Gives errands that nobody has to nodes, those that were asked first first. Nodes that couldn't do one come only if there is no other.
    fn assign(&mut self) -> Vec<Step> {
        let mut load: BTreeMap<NodeId, usize> = self.nodes.iter().map(|node| (*node, 0)).collect();
        for node in self.open.values().filter_map(|open| open.node) {
            *load.entry(node).or_default() += 1;
        }
        let mut steps = Vec::new();
        for (id, open) in self.open.iter_mut().filter(|(_, open)| open.node.is_none()) {
            let all_avoided = load.keys().all(|node| open.avoid.contains(node));
            let able = load.iter().filter(|(node, _)| all_avoided || !open.avoid.contains(node));
            let Some(node) = able.min_by_key(|(node, num)| (**num, **node)).map(|(node, _)| *node) else { continue };
            *load.entry(node).or_default() += 1;
            open.node = Some(node);
            steps.push(Step::Give { node, id: *id, errand: open.errand.clone() });
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: Errand = Errand::Initialize { seed: Seed(7) };

    fn node(number: u8) -> NodeId {
        NodeId([number; 16])
    }

    fn given(steps: &[Step]) -> Vec<(u32, u8)> {
        let of = |step: &Step| match step {
            Step::Give { node, id, .. } => Some((id.0, node.0[0])),
            Step::Fail { .. } => None,
        };
        steps.iter().filter_map(of).collect()
    }

    #[test]
    fn errands_wait_for_nodes_and_go_to_those_with_the_fewest() {
        let mut errands = Errands::default();
        let (first, steps) = errands.ask(SEED);
        assert_eq!((first, steps), (ErrandId(1), vec![]));
        assert_eq!(given(&errands.joined(node(1))), [(1, 1)]);
        assert!(errands.joined(node(2)).is_empty());
        assert_eq!(given(&errands.ask(SEED).1), [(2, 2)]);
        assert_eq!(given(&errands.ask(SEED).1), [(3, 1)]);
        assert_eq!(errands.given(node(1), first), Some(&SEED));
        assert_eq!(errands.given(node(2), first), None);
        assert!(!errands.done(node(2), first), "it is another's");
        assert!(errands.done(node(1), first) && !errands.done(node(1), first));
    }

    #[test]
    fn errands_of_a_lost_node_are_done_by_others() {
        let mut errands = Errands::default();
        errands.joined(node(1));
        let (id, _) = errands.ask(SEED);
        assert!(errands.left(node(1)).is_empty());
        assert_eq!(given(&errands.joined(node(2))), [(1, 2)]);
        assert!(!errands.done(node(1), id), "nobody waits for the first any more");
        // One that comes back in another session does it anew.
        assert_eq!(given(&errands.joined(node(2))), [(1, 2)]);
        assert!(errands.done(node(2), id));
    }

    #[test]
    fn failures_move_on_and_end_after_three_or_at_once_if_the_code_is_the_cause() {
        let fail = |id, is_of_settings| vec![Step::Fail { id, reason: "no".to_owned(), is_of_settings }];
        let mut errands = Errands::default();
        errands.joined(node(1));
        errands.joined(node(2));
        let (id, _) = errands.ask(SEED);
        assert_eq!(errands.failed(node(2), id, "no".to_owned(), true), None, "it is another's");
        assert_eq!(given(&errands.failed(node(1), id, "no".to_owned(), false).unwrap_or_default()), [(1, 2)]);
        // Both couldn't: either tries again.
        assert_eq!(given(&errands.failed(node(2), id, "no".to_owned(), false).unwrap_or_default()), [(1, 1)]);
        assert_eq!(errands.failed(node(1), id, "no".to_owned(), false), Some(fail(id, false)));
        let (id, _) = errands.ask(SEED);
        assert_eq!(errands.failed(node(1), id, "no".to_owned(), true), Some(fail(id, true)));
        assert_eq!(errands.failed(node(1), id, "no".to_owned(), true), None);
    }
}
