//! What a person sees while a stream is at work: a line when something has changed, at most one a second; and what is in the way.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use fltk_cluster::{
    Orchestrator,
    kubernetes::{Observer, metrics::state_name, view::View},
};

use crate::{cli::Cli, timeline::clock};

/// Between two lines.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// Between two of the same complaint.
const COMPLAIN_EVERY: Duration = Duration::from_secs(30);
/// Different complaints that are remembered.
const COMPLAINTS_MAX: usize = 1000;

/// Says how a stream goes.
pub struct Follow {
    quiet: bool,
    said: String,
    said_at: Option<Instant>,
    complaints: BTreeMap<String, Instant>,
}

impl Follow {
    /// As much as the command line allows.
    #[must_use]
    pub fn new(cli: &Cli) -> Self {
        Self { quiet: cli.quiet, said: String::new(), said_at: None, complaints: BTreeMap::new() }
    }
}

impl Observer for Follow {
    fn changed(&mut self, orchestrator: &Orchestrator<'_>, _view: &View) {
        let is_over = orchestrator.is_finished();
        if self.quiet || self.said_at.is_some_and(|at| at.elapsed() < LINE_EVERY && !is_over) {
            return;
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for job in orchestrator.all_jobs() {
            *counts.entry(state_name(&job.state, job.record.outcome)).or_default() += 1;
        }
        let order = ["pending", "waiting", "admitted", "starting", "running", "suspending", "succeeded", "failed", "deleted"];
        let states = order.iter().filter_map(|state| Some(format!("{} {state}", counts.get(state)?))).collect::<Vec<_>>().join(", ");
        let replication = match orchestrator.replication() {
            (_, 1) => String::new(),
            (at, count) => format!("replication {} of {count}: ", at + 1),
        };
        let said = format!("{replication}{states}");
        if said != self.said {
            anstream::eprintln!("{}  {said}", clock(orchestrator.now()));
            self.said = said;
            self.said_at = Some(Instant::now());
        }
    }

    fn trouble(&mut self, text: &str) {
        // Jobs share their troubles: one is named.
        let what = text.split_once(": ").map_or(text, |(_, what)| what).to_owned();
        let is_new = self.complaints.get(&what).is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY);
        if is_new && (self.complaints.len() < COMPLAINTS_MAX || self.complaints.contains_key(&what)) {
            self.complaints.insert(what, Instant::now());
            anstream::eprintln!("warning: {text}; tried again");
        }
    }
}
