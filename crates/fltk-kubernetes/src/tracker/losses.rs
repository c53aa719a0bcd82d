//! Nodes of federated jobs that are lost, for Events: their work is done by others, so nothing else follows from it.

use fltk_plan::{JobId, Orchestrator, plan::State};

use super::{Order, Tracker};
use crate::view::SeenPod;

/// A node of a federated job that is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostNode {
    /// The job.
    pub job: JobId,
    /// The UID of the job's object.
    pub uid: String,
    /// The number of the node, from 1.
    pub node: u32,
    /// The name and the UID of its pod.
    pub pod: (String, String),
    /// The reason, for a person to read.
    pub words: String,
}

/// The way in which a pod was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// A pod that exists, seen in a list, which may tell old news, or since it changed.
    There { is_listed: bool },
    /// A pod that was deleted.
    Gone,
}

impl Tracker {
    /// Orders an Event if `pod` is a node that is lost while its job needs it.
    pub(super) fn note_loss(&mut self, pod: &SeenPod, sight: Sight, orchestrator: &Orchestrator<'_>) {
        // The federator is no node; its loss shows in the records of the run.
        let Some(job) = orchestrator.job(&pod.job).filter(|job| pod.index > 0 && self.context.needs_credentials(&job.spec)) else { return };
        let Some(words) = self.view.loss(pod, sight == Sight::Gone) else { return };
        let is_at_work = matches!(job.state, State::Starting | State::Running) && self.view.needs_its_pods(&pod.job);
        if sight == (Sight::There { is_listed: true }) || !is_at_work {
            return;
        }
        let Some(uid) = self.view.uid(&pod.job).map(str::to_owned) else { return };
        let pod_and_uid = (pod.name.clone(), pod.uid.clone());
        self.orders.push(Order::PublishLoss(LostNode { job: pod.job.clone(), uid, node: pod.index, pod: pod_and_uid, words }));
    }
}
