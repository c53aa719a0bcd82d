//! How a stream is planned.

use fltk_core::experiment::{AdmissionConfig, OrchestratorType, PolicyName, StreamConfig};
use serde::{Deserialize, Serialize};

/// How a stream is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Which of the waiting jobs goes first.
    pub policy: PolicyName,
    /// When it may start.
    pub admission: AdmissionConfig,
    /// Whether a job that fits may start before one that is ahead of it and doesn't.
    pub backfill: bool,
}

impl Settings {
    /// Those of `stream`. Jobs of a batch that isn't parallel run one after another.
    #[must_use]
    pub fn of(stream: Option<&StreamConfig>) -> Self {
        let Some(stream) = stream else {
            return Self { policy: PolicyName::Priority, admission: AdmissionConfig::Unlimited {}, backfill: false };
        };
        let one_by_one = stream.orchestrator == OrchestratorType::Batch && !stream.parallel;
        let admission = if one_by_one { AdmissionConfig::MaxConcurrent { jobs: 1 } } else { stream.admission };
        Self { policy: stream.policy, admission, backfill: stream.backfill }
    }
}
