//! An experiment written in our format, with every default spelled out.

use fltk_core::{name::Name, seed::Seed};
use serde::Serialize;

use super::{
    DatasetConfig, Experiment, Setting, StreamConfig, Task, TaskKind, Training,
    format::{CommandTaskFile, DatasetFile, Kind, RolesFile, TaskFile, TrainOverride},
};

/// Returns the experiment as YAML with every setting, and the newest defaults for those left open. Reading it gives the same experiment.
#[must_use]
pub fn to_yaml(experiment: &Experiment) -> String {
    to_yaml_as_is(&experiment.clone().with_newest_defaults())
}

/// Returns the experiment as JSON, which is YAML too, with every setting, and the newest defaults for those left open.
#[must_use]
pub fn to_json(experiment: &Experiment) -> serde_json::Value {
    serde_json::to_value(written(&experiment.clone().with_newest_defaults()))
        .expect("strings as keys and finite numbers can always be written")
}

/// Returns the experiment as YAML like [`to_yaml`], but settings that are left open stay open.
pub(crate) fn to_yaml_as_is(experiment: &Experiment) -> String {
    serde_saphyr::to_string(&written(experiment)).expect("strings as keys and finite numbers can always be written")
}

fn written(experiment: &Experiment) -> Written<'_> {
    Written {
        name: &experiment.name,
        seeds: &experiment.seeds,
        tasks: experiment.tasks.iter().map(task_file).collect(),
        stream: experiment.stream.as_ref(),
    }
}

/// An experiment as it is written: each task has the keys of its kind.
#[derive(Serialize)]
struct Written<'a> {
    name: &'a Name,
    seeds: &'a [Seed],
    tasks: Vec<WrittenTask>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a StreamConfig>,
}

#[derive(Serialize)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "there is one for each task")]
enum WrittenTask {
    Training(TaskFile),
    Command(CommandTaskFile),
}

fn task_file(task: &Task) -> WrittenTask {
    match &task.kind {
        TaskKind::Training(training) => WrittenTask::Training(training_file(task, training)),
        TaskKind::Command(config) => WrittenTask::Command(CommandTaskFile {
            name: Some(task.name.to_string()),
            kind: Kind::Command,
            matrix: None,
            labels: task.labels.clone(),
            command: config.clone(),
            resources: task.resources.clone(),
            max_jobs: task.max_jobs,
            class_probability: task.class_probability,
            priorities: task.priorities.clone(),
        }),
    }
}

fn training_file(task: &Task, training: &Training) -> TaskFile {
    let Training { network, dataset, loss, train, train_other_role, checkpoint_every, threads, setting } = training;
    let other = train_other_role.as_ref().map(TrainOverride::from);
    let (kind, federated, distributed, roles) = match setting {
        Setting::Federated(config) => (Kind::Federated, Some(config.clone()), None, RolesFile { master: other, worker: None }),
        Setting::Distributed(config) => (Kind::Distributed, None, Some(config.clone()), RolesFile { master: None, worker: other }),
    };
    TaskFile {
        name: Some(task.name.to_string()),
        kind,
        network: network.clone(),
        dataset: match dataset {
            config @ DatasetConfig { data, path: None } if data.is_bare() => DatasetFile::Name(config.name().to_owned()),
            config => DatasetFile::Full(config.clone()),
        },
        loss: loss.clone(),
        matrix: None,
        labels: task.labels.clone(),
        train: train.clone(),
        roles: train_other_role.is_some().then_some(roles),
        federated,
        distributed,
        command: None,
        checkpoint_every: *checkpoint_every,
        threads: *threads,
        resources: task.resources.clone(),
        max_jobs: task.max_jobs,
        class_probability: task.class_probability,
        priorities: task.priorities.clone(),
    }
}
