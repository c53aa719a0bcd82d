//! Looks at a hub from time to time, for what is so at present.

use std::time::{Duration, Instant};

use super::{Metrics, Phase};
use crate::hub::Hub;

/// The last look at a hub.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// The time of the last look, and the workers that had no order then.
    last: Option<(Instant, u64)>,
    /// The time that was counted as training so far.
    busy: Duration,
}

impl Looks {
    /// Looks at the hub at `now`.
    pub(crate) fn look(&mut self, now: Instant, hub: &Hub, metrics: &Metrics) {
        let num_workers: u64 = hub.nodes().map(|(_, joined, _)| u64::from(joined.workers)).sum();
        metrics.set_present(hub.nodes().count(), num_workers, hub.num_in_flight());
        let busy = hub.busy();
        metrics.took(Phase::Training, busy.saturating_sub(self.busy));
        self.busy = busy;
        let num_idle = num_workers.saturating_sub(hub.num_running());
        if let Some((last, num_idle)) = self.last.replace((now, num_idle)) {
            let elapsed = now.saturating_duration_since(last);
            metrics.took(Phase::Idle, elapsed.saturating_mul(u32::try_from(num_idle).unwrap_or(u32::MAX)));
        }
    }

    /// Looks for the last time: nobody takes part any more.
    pub(crate) fn end(mut self, now: Instant, hub: &Hub, metrics: &Metrics) {
        self.look(now, hub, metrics);
        metrics.set_present(0, 0, 0);
    }
}
