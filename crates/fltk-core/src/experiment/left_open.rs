//! What a file may leave open because its default has changed, and what that means: the newest in a file of a person; in what fltk itself has written, and
//! writes out ever since, the only thing that there was. So one and the same text means something else by who wrote it, and a text alone doesn't say.
//!
//! ```text
//! a person's file ── parse ──> Experiment ── begun_now ──> what is begun, and written
//! what was written ── parse ──> Experiment ── recorded ──> what was begun
//! ```
//!
//! A name that was used before may be that of something begun then: [`Experiment::begun_as`].

use super::{Experiment, PartitionConfig, PartitionVersion, Setting, Task};

impl Experiment {
    /// With what it leaves open as whoever begins it now has it: the newest.
    #[must_use]
    pub fn begun_now(mut self) -> Self {
        self.tasks = self.tasks.into_iter().map(Task::begun_now).collect();
        self
    }

    /// With what it leaves open as it was when fltk wrote it: in what fltk writes now, nothing is left open.
    #[must_use]
    pub fn recorded(self) -> Self {
        self.with(PartitionVersion::One)
    }

    /// With what it leaves open as in `written`, which is one of fltk's records as they are parsed: if that is of before, as it was then; else the newest.
    #[must_use]
    pub fn begun_as(self, written: &Self) -> Self {
        let is_of_before = written.tasks.iter().filter_map(Task::partition).any(|partition| partition.version() == Some(None));
        if is_of_before { self.recorded() } else { self.begun_now() }
    }

    fn with(mut self, version: PartitionVersion) -> Self {
        self.tasks = self.tasks.into_iter().map(|task| task.with(version)).collect();
        self
    }
}

impl Task {
    /// With what it leaves open as whoever begins it now has it: the newest.
    #[must_use]
    pub fn begun_now(self) -> Self {
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
            assert_eq!((open.clone().begun_now(), open.clone().recorded()), (second.clone(), first.clone()));
            for said in [&first, &second] {
                assert_eq!((&said.clone().begun_now(), &said.clone().recorded()), (said, said));
            }
            // As written now, nothing is left open.
            assert!(to_yaml(&open).contains("version: 2") && to_yaml(&first).contains("version: 1"));
            // By the same name: a person's file, what was written, whether it's the same.
            let check = |file: &Experiment, written: &Experiment, is_same: bool| {
                assert_eq!(file.clone().begun_as(written) == written.clone().recorded(), is_same, "{file:?} {written:?}");
            };
            for (file, same) in [(&open, [true, false, true]), (&first, [true, true, false]), (&second, [false, false, true])] {
                for (written, is_same) in [&open, &first, &second].into_iter().zip(same) {
                    check(file, written, is_same);
                }
            }
        }
        let none = experiment("{ type: uniform }");
        assert!(none.clone().begun_now() == none && none.clone().recorded() == none);
        let wrong = |version: &str| {
            super::super::parse_partition(&format!("{{ type: dirichlet, alpha: 1, version: {version} }}")).unwrap_err().render(false)
        };
        assert!(wrong("3").contains("at most 2") && wrong("0").contains("at least 1"), "{}", wrong("3"));
    }
}
