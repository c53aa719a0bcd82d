//! The progress that a user sees while a stream runs: a line when something has changed, at most one per second.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use fltk_plan::{Orchestrator, plan::STATE_NAMES};

use crate::timeline::clock;

/// The minimum time between two lines.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Prints the progress of a stream.
#[derive(Default)]
pub struct Follow {
    said: String,
    said_at: Option<Instant>,
}

impl Follow {
    /// Prints the number of jobs in each state, if that has changed.
    pub fn changed(&mut self, orchestrator: &Orchestrator<'_>) {
        let is_over = orchestrator.is_finished();
        if self.said_at.is_some_and(|at| at.elapsed() < LINE_EVERY && !is_over) {
            return;
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for job in orchestrator.all_jobs() {
            *counts.entry(job.state_name()).or_default() += 1;
        }
        let states = STATE_NAMES.iter().filter_map(|state| Some(format!("{} {state}", counts.get(state)?))).collect::<Vec<_>>().join(", ");
        let replication = match orchestrator.replication() {
            (_, 1) => String::new(),
            (at, count) => format!("replication {} of {count}: ", at + 1),
        };
        let said = format!("{replication}{states}");
        if said != self.said {
            tracing::info!("{}  {said}", clock(orchestrator.now()));
            self.said = said;
            self.said_at = Some(Instant::now());
        }
    }
}
