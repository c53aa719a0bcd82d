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

use super::{Experiment, PartitionConfig, PartitionVersion, Setting, Task};

impl Experiment {
    /// Returns the experiment with the newest default for each setting that it leaves open: the experiment that a user starts.
    #[must_use]
    pub fn with_newest_defaults(mut self) -> Self {
        self.tasks = self.tasks.into_iter().map(Task::with_newest_defaults).collect();
        self
    }

    /// Returns the experiment with the earliest default for each setting that it leaves open: the meaning of fltk's records. This version writes
    /// records that leave nothing open.
    #[must_use]
    pub fn with_earliest_defaults(self) -> Self {
        self.with(PartitionVersion::One)
    }

    /// Returns the experiment with the defaults of `written`, one of fltk's records as parsed: the earliest if an earlier version wrote it, which left
    /// settings open, and otherwise the newest.
    #[must_use]
    pub fn with_defaults_of(self, written: &Self) -> Self {
        let leaves_open = written.tasks.iter().filter_map(Task::partition).any(|partition| partition.version() == Some(None));
        if leaves_open { self.with_earliest_defaults() } else { self.with_newest_defaults() }
    }

    fn with(mut self, version: PartitionVersion) -> Self {
        self.tasks = self.tasks.into_iter().map(|task| task.with(version)).collect();
        self
    }
}

impl Task {
    /// Returns the partition with the newest default for each setting that it leaves open.
    #[must_use]
    pub fn with_newest_defaults(self) -> Self {
        self.with(PartitionVersion::NEWEST)
    }

    fn with(mut self, version: PartitionVersion) -> Self {
        if let Setting::Federated(config) = &mut self.setting
            && let Some(open @ None) = config.partition.version_mut()
        {
            *open = Some(version);
        }
        self
    }

    fn partition(&self) -> Option<&PartitionConfig> {
        match &self.setting {
            Setting::Federated(config) => Some(&config.partition),
            Setting::Distributed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{SourceFile, parse, to_yaml},
        *,
    };

    fn experiment(partition: &str) -> Experiment {
        let text = format!(
            "{{ name: a, tasks: [{{ kind: federated, network: LeNet5, dataset: mnist, federated: {{ clients: 10, clients_per_round: 2, rounds: 5, partition: {partition} }} }}] }}"
        );
        parse(&[SourceFile { name: "a".into(), text }], &[]).unwrap_or_else(|report| panic!("{report}")).experiment
    }

    #[test]
    fn what_is_left_open_is_what_it_was_when_it_was_begun() {
        for partition in [
            "type: dirichlet, alpha: 1",
            "type: limit_labels, limit: 1",
            "type: n_labels, n: 1",
            "type: pathological, classes_per_client: 1",
        ] {
            let [open, first, second] =
                ["", ", version: 1", ", version: 2"].map(|version| experiment(&format!("{{ {partition}{version} }}")));
            assert_eq!((open.clone().with_newest_defaults(), open.clone().with_earliest_defaults()), (second.clone(), first.clone()));
            for said in [&first, &second] {
                assert_eq!((&said.clone().with_newest_defaults(), &said.clone().with_earliest_defaults()), (said, said));
            }
            // The text written now leaves nothing open.
            assert!(to_yaml(&open).contains("version: 2") && to_yaml(&first).contains("version: 1"));
            // Compares a user's file with a written record of the same name: `is_same` is true if they are equal.
            let check = |file: &Experiment, written: &Experiment, is_same: bool| {
                assert_eq!(
                    file.clone().with_defaults_of(written) == written.clone().with_earliest_defaults(),
                    is_same,
                    "{file:?} {written:?}"
                );
            };
            for (file, same) in [(&open, [true, false, true]), (&first, [true, true, false]), (&second, [false, false, true])] {
                for (written, is_same) in [&open, &first, &second].into_iter().zip(same) {
                    check(file, written, is_same);
                }
            }
        }
        let none = experiment("{ type: uniform }");
        assert!(none.clone().with_newest_defaults() == none && none.clone().with_earliest_defaults() == none);
        let wrong = |version: &str| {
            super::super::parse_partition(&format!("{{ type: dirichlet, alpha: 1, version: {version} }}")).unwrap_err().render(false)
        };
        assert!(wrong("3").contains("at most 2") && wrong("0").contains("at least 1"), "{}", wrong("3"));
    }
}
