//! What a person sees while the edge is at work: how the jobs stand, and what is in the way.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use fltk_cluster::{
    Orchestrator,
    kubernetes::{Observer, view::View},
};

use crate::{cli::Cli, follow::Follow};

/// Between two of the same complaint.
const COMPLAIN_EVERY: Duration = Duration::from_secs(30);
/// Different complaints that are remembered.
const COMPLAINTS_MAX: usize = 1000;

/// Says how a stream goes.
pub struct Observed {
    follow: Follow,
    complaints: BTreeMap<String, Instant>,
}

impl Observed {
    /// As much as the command line allows.
    #[must_use]
    pub fn new(cli: &Cli) -> Self {
        Self { follow: Follow::new(cli.quiet), complaints: BTreeMap::new() }
    }
}

impl Observer for Observed {
    fn changed(&mut self, orchestrator: &Orchestrator<'_>, _view: &View) {
        self.follow.changed(orchestrator);
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
