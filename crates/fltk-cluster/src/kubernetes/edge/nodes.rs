//! Nodes, for admission by capacity: what watches of them and of others' pods show, reported when it's news.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node as ApiNode, Pod as ApiPod};
use kube::ResourceExt as _;
use tokio::time::Instant;

use super::super::{
    config::KubernetesConfig,
    nodes::NodesView,
    watch::{Listing, Seen},
};
use crate::{Event, plan::capacity::Node};

/// Between two reports of what others use: each has all nodes, and pods of others come and go all the time.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// What was seen of nodes, and what of it was reported.
#[derive(Default)]
pub struct Nodes {
    view: NodesView,
    nodes: Listing<String>,
    others: Listing<(String, String)>,
    has_changed: bool,
    reported: Option<(Vec<Node>, Instant)>,
}

/// What a message of a watch comes to.
pub enum Saw {
    /// Something may have changed.
    Change,
    /// All there is was listed.
    Listed,
    /// The watch failed.
    Trouble(String),
}

impl Nodes {
    /// A message of the watch of nodes.
    pub fn see_node(&mut self, seen: Seen<Box<ApiNode>>) -> Saw {
        self.has_changed = true;
        match seen {
            Seen::Listing(_) => self.nodes.begin(),
            Seen::There(node, is_listed) => {
                if is_listed {
                    self.nodes.has(node.name_any());
                }
                self.view.has_node(*node);
            }
            Seen::Gone(node) => self.view.lost_node(&node.name_any()),
            Seen::Listed => {
                let (listed, _) = self.nodes.end();
                self.view.keep_nodes(&listed);
                return Saw::Listed;
            }
            Seen::Trouble(text) => return Saw::Trouble(format!("nodes can't be watched: {text}")),
        }
        Saw::Change
    }

    /// A message of the watch of others' pods.
    pub fn see_other(&mut self, seen: Seen<Box<ApiPod>>) -> Saw {
        let key = |pod: &ApiPod| (pod.namespace().unwrap_or_default(), pod.name_any());
        self.has_changed = true;
        match seen {
            Seen::Listing(_) => self.others.begin(),
            Seen::There(pod, is_listed) => {
                if is_listed {
                    self.others.has(key(&pod));
                }
                self.view.has_other(key(&pod), &pod);
            }
            Seen::Gone(pod) => self.view.lost_other(&key(&pod)),
            Seen::Listed => {
                let (listed, _) = self.others.end();
                self.view.keep_others(&listed);
                return Saw::Listed;
            }
            Seen::Trouble(text) => return Saw::Trouble(format!("pods of others can't be watched: {text}")),
        }
        Saw::Change
    }

    /// Whether they were reported.
    pub fn are_known(&self) -> bool {
        self.reported.is_some()
    }

    /// Nodes as they are for pods of `config`, if that's news, and all were listed.
    pub fn report(&mut self, config: &KubernetesConfig) -> Option<Event> {
        if !(self.has_changed && self.nodes.is_ready() && self.others.is_ready()) {
            return None;
        }
        let nodes = self.view.nodes(config);
        if let Some((reported, at)) = &self.reported {
            if at.elapsed() < REPORT_EVERY && differ_in_use_alone(reported, &nodes) {
                return None;
            }
            if *reported == nodes {
                self.has_changed = false;
                return None;
            }
        }
        self.has_changed = false;
        self.reported = Some((nodes.clone(), Instant::now()));
        Some(Event::Nodes { nodes })
    }
}

/// Whether the same nodes are there, and as open as they were.
fn differ_in_use_alone(before: &[Node], now: &[Node]) -> bool {
    let same =
        |(before, now): (&Node, &Node)| (&before.name, &before.allocatable, &before.closed) == (&now.name, &now.allocatable, &now.closed);
    before.len() == now.len() && before.iter().zip(now).all(same)
}
