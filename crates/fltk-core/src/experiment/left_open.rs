//! Settings that a file leaves open. If the default of a setting has changed, a user's file gets the newest one, and a record that fltk wrote gets the
//! earliest, since it lacks the setting only if it was written before there was a choice. So the same text has a different meaning depending on who
//! wrote it.
//!
//! ```text
//! user's file    ── parse ──> Experiment ── with_newest_defaults ────> experiment to start and write out
//! fltk's records ── parse ──> Experiment ── with_earliest_defaults ──> experiment that was started
//! ```
//!
//! A user's file may also refer to a run that an earlier version started: [`Experiment::with_defaults_of`].

use super::{Experiment, NetworkConfig, Setting, SimulationConfig, Task, Training};
use crate::catalogue::Choice;

impl Experiment {
    /// Returns the experiment with the newest default for each setting that it leaves open: the experiment that a user starts.
    #[must_use]
    pub fn with_newest_defaults(self) -> Self {
        self.with(Choice::with_newest_defaults)
    }

    /// Returns the experiment with the earliest default for each setting that it leaves open: the meaning of fltk's records. This version writes
    /// records that leave nothing open.
    #[must_use]
    pub fn with_earliest_defaults(self) -> Self {
        self.with(Choice::with_earliest_defaults)
    }

    /// Returns the experiment with the defaults of `written`, one of fltk's records as parsed: the earliest if an earlier version wrote it, which left
    /// settings open, and otherwise the newest.
    #[must_use]
    pub fn with_defaults_of(self, written: &Self) -> Self {
        let leaves_open = written.tasks.iter().any(Task::is_open);
        if leaves_open { self.with_earliest_defaults() } else { self.with_newest_defaults() }
    }

    /// Returns the experiment without nodes: what its runs compute, since nodes change no result.
    #[must_use]
    pub fn without_nodes(mut self) -> Self {
        for task in &mut self.tasks {
            if let Some(Training { setting: Setting::Federated(config), .. }) = task.training_mut() {
                config.nodes = 0;
            }
        }
        self
    }

    fn with(mut self, close: fn(Choice) -> Choice) -> Self {
        self.tasks = self.tasks.into_iter().map(|task| task.with(close)).collect();
        self
    }
}

impl Task {
    /// Returns the task with the newest default for each setting that it leaves open.
    #[must_use]
    pub fn with_newest_defaults(self) -> Self {
        self.with(Choice::with_newest_defaults)
    }

    fn with(mut self, close: fn(Choice) -> Choice) -> Self {
        self.choices_mut().into_iter().for_each(|choice| *choice = close(choice.clone()));
        self
    }

    fn is_open(&self) -> bool {
        self.clone().choices_mut().into_iter().any(|choice| choice.is_open())
    }

    fn choices_mut(&mut self) -> Vec<&mut Choice> {
        self.training_mut().map(Training::choices_mut).unwrap_or_default()
    }
}

impl Training {
    /// Returns the training with the newest default for each setting that it leaves open.
    #[must_use]
    pub fn with_newest_defaults(mut self) -> Self {
        self.choices_mut().into_iter().for_each(|choice| *choice = choice.clone().with_newest_defaults());
        self
    }

    /// The training's choices out of catalogues that may leave something open.
    fn choices_mut(&mut self) -> Vec<&mut Choice> {
        let mut choices = vec![&mut self.train.optimizer];
        if let NetworkConfig::Named(net) | NetworkConfig::Block { net, .. } = &mut self.network {
            choices.push(net);
        }
        choices.extend(self.train_other_role.as_mut().map(|train| &mut train.optimizer));
        if let Setting::Federated(config) = &mut self.setting {
            choices.extend([&mut config.partition, &mut config.selection, &mut config.strategy]);
            choices.extend(config.faults.as_mut().and_then(|faults| faults.attack.as_mut()));
            choices.extend(config.simulation.iter_mut().flat_map(SimulationConfig::choices_mut).map(|(_, choice)| choice));
        }
        choices
    }
}
