//! An experiment written in our format, with every default spelled out.

use super::{
    DatasetConfig, Experiment, Setting, Task,
    format::{DatasetFile, ExperimentFile, Kind, RolesFile, TaskFile, TrainOverride},
};

/// Returns the experiment as YAML with every setting, and the newest defaults for those left open. Reading it gives the same experiment.
#[must_use]
pub fn to_yaml(experiment: &Experiment) -> String {
    to_yaml_as_is(&experiment.clone().with_newest_defaults())
}

/// The same, but settings that are left open stay open.
pub(crate) fn to_yaml_as_is(experiment: &Experiment) -> String {
    let file = ExperimentFile {
        name: experiment.name.to_string(),
        seeds: experiment.seeds.clone(),
        tasks: experiment.tasks.iter().map(task_file).collect(),
        stream: experiment.stream.clone(),
    };
    serde_saphyr::to_string(&file).expect("strings as keys and finite numbers can always be written")
}

fn task_file(task: &Task) -> TaskFile {
    let other = task.train_other_role.as_ref().map(TrainOverride::from);
    let (kind, federated, distributed, roles) = match &task.setting {
        Setting::Federated(config) => (Kind::Federated, Some(config.clone()), None, RolesFile { master: other, worker: None }),
        Setting::Distributed(config) => (Kind::Distributed, None, Some(config.clone()), RolesFile { master: None, worker: other }),
    };
    TaskFile {
        name: Some(task.name.to_string()),
        kind,
        network: task.network.clone(),
        dataset: match &task.dataset {
            config @ DatasetConfig { data, path: None } if data.is_bare() => DatasetFile::Name(config.name().to_owned()),
            config => DatasetFile::Full(config.clone()),
        },
        loss: task.loss.clone(),
        matrix: None,
        labels: task.labels.clone(),
        train: task.train.clone(),
        roles: task.train_other_role.is_some().then_some(roles),
        federated,
        distributed,
        checkpoint_every: task.checkpoint_every,
        threads: task.threads,
        resources: task.resources.clone(),
        max_jobs: task.max_jobs,
        class_probability: task.class_probability,
        priorities: task.priorities.clone(),
    }
}
