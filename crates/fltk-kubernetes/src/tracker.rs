//! The state of a stream's jobs on the cluster.

pub mod nodes;
pub mod stuck;

use fltk_plan::{Action, JobId};
use k8s_openapi::api::core::v1::{Node as ApiNode, Pod as ApiPod};
use tokio::time::Instant;

use crate::{
    seen::Seen,
    view::{SeenJob, SeenPod},
};

/// A message of a watch.
pub enum Message {
    Job(Seen<SeenJob>),
    Pod(Seen<SeenPod>),
    Node(Seen<Box<ApiNode>>),
    /// A pod of the run or of somebody else.
    AnyPod(Seen<Box<ApiPod>>),
}

/// The result of an action, beyond what watches show.
#[derive(Debug)]
pub enum Report {
    /// The action was carried out.
    Done {
        /// The action.
        action: Action,
        /// The UID of the job's object, to which events can be attached.
        uid: Option<String>,
        /// A time by which the action was carried out.
        at: Instant,
    },
    /// The job can't be created: its objects are invalid.
    Refused {
        /// The action.
        action: Action,
        /// The reason, for a person to read.
        reason: String,
    },
    /// A request failed, and is tried again.
    Trouble {
        /// The job that waits for the request.
        job: JobId,
        /// The reason, for a person to read.
        reason: String,
    },
}
