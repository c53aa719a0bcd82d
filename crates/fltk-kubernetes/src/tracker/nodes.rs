//! The nodes, for admission by capacity: collects what the watches of nodes and of all pods show, and reports changes.
//!
//! A job's own pods count only while it isn't active; while it is active, its promised capacity counts instead. So the end of a job frees no more
//! than what its pods have released.

use std::{collections::BTreeSet, time::Duration};

use fltk_plan::{Amounts, Event, JobId, Orchestrator, plan::capacity::Node};
use k8s_openapi::api::core::v1::{Node as ApiNode, Pod as ApiPod};
use kube::ResourceExt as _;
use tokio::time::Instant;

use crate::{
    config::KubernetesConfig,
    manifest::{JOB_LABEL, RUN_LABEL, RunContext},
    nodes::NodesView,
    seen::{Listing, Seen},
};

/// The interval between two reports of a change in use alone: each report has all nodes, and other pods come and go all the time.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// The nodes and pods seen so far, and the nodes that were last reported.
#[derive(Default)]
pub struct Nodes {
    view: NodesView,
    nodes: Listing<String>,
    pods: Listing<(String, String)>,
    has_changed: bool,
    reported: Option<(Vec<Node>, Instant)>,
}

/// The outcome of a watch message.
pub enum Saw {
    /// The nodes or pods may have changed.
    Change,
    /// A list is complete.
    Listed,
    /// The watch failed.
    Trouble(String),
}

impl Nodes {
    /// Takes in a message of the watch of nodes.
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

    /// Takes in a message of the watch of pods, for the run of `context`.
    pub fn see_pod(&mut self, seen: Seen<Box<ApiPod>>, context: &RunContext) -> Saw {
        let key = |pod: &ApiPod| (pod.namespace().unwrap_or_default(), pod.name_any());
        self.has_changed = true;
        match seen {
            Seen::Listing(_) => self.pods.begin(),
            Seen::There(pod, is_listed) => {
                if is_listed {
                    self.pods.has(key(&pod));
                }
                self.view.has_pod(key(&pod), &pod, job_of(&pod, context));
            }
            Seen::Gone(pod) => self.view.lost_pod(&key(&pod)),
            Seen::Listed => {
                let (listed, _) = self.pods.end();
                self.view.keep_pods(&listed);
                return Saw::Listed;
            }
            // The code that sees the run's own pods reports the error.
            Seen::Trouble(_) => {}
        }
        Saw::Change
    }

    /// True if the nodes were reported.
    pub fn are_known(&self) -> bool {
        self.reported.is_some()
    }

    /// The event with all nodes, as seen by pods of `config` at the instant `now`, if they have changed and everything was listed.
    pub fn report(&mut self, config: &KubernetesConfig, orchestrator: &Orchestrator<'_>, now: Instant) -> Option<Event> {
        if !(self.has_changed && self.nodes.is_ready() && self.pods.is_ready()) {
            return None;
        }
        let nodes = self.view.nodes(config, &|id| is_active(id, orchestrator));
        if let Some((reported, at)) = &self.reported {
            if now.saturating_duration_since(*at) < REPORT_EVERY && differ_in_use_alone(reported, &nodes) {
                return None;
            }
            if *reported == nodes {
                self.has_changed = false;
                return None;
            }
        }
        self.has_changed = false;
        self.reported = Some((nodes.clone(), now));
        Some(Event::Nodes { nodes })
    }

    /// Adds to each end of a job in `events`, which are about to be taken in, the requests that its pods leave behind. These then count as reported.
    pub fn tell_what_is_left(&mut self, events: &mut [Event], orchestrator: &Orchestrator<'_>) {
        let mut told: BTreeSet<JobId> = BTreeSet::new();
        for event in events {
            let Event::Ended { job, left, .. } = event else { continue };
            // If the job isn't active, its pods' requests were reported already; and a job ends only once.
            if !is_active(job, orchestrator) || !told.insert(job.clone()) {
                continue;
            }
            *left = self.view.taken_by(job);
            self.has_changed |= !left.is_empty();
            let reported = self.reported.iter_mut().flat_map(|(nodes, _)| nodes);
            reported.for_each(|node| node.used.add(left.get(&node.name).unwrap_or(&Amounts::none())));
        }
    }
}

/// The job of the run of `context` that a pod belongs to, if any.
pub fn job_of(pod: &ApiPod, context: &RunContext) -> Option<JobId> {
    let labels = pod.labels();
    let is_ours = pod.namespace().as_deref() == Some(&context.namespace) && labels.get(RUN_LABEL) == Some(&context.run);
    labels.get(JOB_LABEL).filter(|_| is_ours).cloned().map(JobId)
}

/// True if the job was promised capacity. Jobs of earlier replications are over.
fn is_active(id: &JobId, orchestrator: &Orchestrator<'_>) -> bool {
    orchestrator.job(id).is_some_and(|job| job.state.is_active())
}

/// True if the nodes are the same and differ only in their use.
fn differ_in_use_alone(before: &[Node], now: &[Node]) -> bool {
    let same =
        |(before, now): (&Node, &Node)| (&before.name, &before.allocatable, &before.closed) == (&now.name, &now.allocatable, &now.closed);
    before.len() == now.len() && before.iter().zip(now).all(same)
}
