//! `run.json`: the task and its settings, and the machine that ran it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use fltk_core::{
    experiment::{CommandConfig, Task, TaskKind, Training},
    name::Name,
    seed::Seed,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::RunError;
use crate::files::{self, TEXT_BYTES_MAX};

/// The format of `run.json`. A reader refuses higher ones, and ignores fields that it doesn't know.
const FORMAT: u64 = 1;
/// The kind of a task that runs a program of the user's own, and the block with its settings.
const COMMAND: &str = "command";
/// The limit on hyper-parameters, and on data sets.
const ENTRIES_MAX: usize = 1000;

/// Settings that were added after the first folders were written, by path, with the JSON value that matches the earlier behavior:
/// `("federated.min_updates", "1")`. Folders of earlier versions don't have them. A test reads what was recorded then, and fails if a
/// setting is missing here.
const LATER: &[(&str, &str)] = &[
    ("federated.partition.version", "1"),
    ("federated.feature_noise", "0"),
    ("federated.strategy.weights", "\"samples\""),
    ("federated.partition.self_balancing", "false"),
    ("federated.selection.losses", "\"reported\""),
    ("federated.selection.loss_samples", "0"),
];

/// Settings that change no result, so that a run may be resumed with other values: paths, where the content is compared instead, and
/// settings for recovery from failures. A test changes all of them and compares digests.
pub const CHANGES_NOTHING: &[&str] = &[
    "dataset.path",
    "network.torchscript",
    "network.python",
    "network.environment",
    "federated.partition.path",
    "federated.selection.path",
    "federated.strategy.python",
    "federated.strategy.environment",
    "federated.simulation.devices.path",
    "federated.simulation.network.path",
    "federated.simulation.availability.path",
    "federated.simulation.impose_links",
    "federated.nodes",
    "distributed.restarts",
    "distributed.timeout",
    "distributed.checkpoint_every_steps",
    "command.folder",
    "command.image",
    "command.restarts",
    "command.grace",
];

/// The largest number of values of a list that are recorded one by one. A longer list, such as the sizes of a thousand clients, is recorded as the digest
/// of its JSON.
const LIST_MAX: usize = 100;

/// The task and its settings, and the machine that ran it. It is written once, when the folder is created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunDescription {
    /// The version of `fltk` that created the folder.
    pub fltk_version: String,
    /// The experiment's name.
    pub experiment: Name,
    /// The task's name.
    pub task: Name,
    /// The task's index in the experiment, counted from 0.
    pub task_index: u32,
    /// The replication's root seed.
    pub seed: Seed,
    /// The seed's index in the experiment, counted from 0.
    pub replication: u32,
    /// The id of the run's group, in lower-case hex: the same for all runs of one invocation.
    pub group: String,
    /// The name that the group was started with (`--id`); absent if none was given, and in folders from before it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_name: Option<String>,
    /// This job's index in the group, counted from 0.
    pub job_index: u32,
    /// The number of jobs in the group.
    pub num_jobs: u32,
    /// Digests and sources of the data sets, by name of the file or set.
    pub provenance: BTreeMap<String, String>,
    /// SHA-256 of the TorchScript module's file, or of a Python file and the name in it, lower-case hex; absent if the net is one of ours, and in folders from before it was
    /// recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_sha256: Option<String>,
    /// SHA-256 of the other files that the settings name, lower-case hex, by setting, such as `federated.partition.path`; absent if there are none,
    /// and in folders from before they were recorded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files_sha256: BTreeMap<String, String>,
    /// The task's settings, flat.
    pub hyperparameters: Hyperparameters,
    /// The machine. Results are bit-identical only on the same kind of CPU with the same libtorch.
    pub host: Host,
    /// The time at which the run first started.
    pub started_at: Timestamp,
}

/// A machine that a run was computed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The model of the CPU, as the operating system names it.
    pub cpu: String,
    /// The number of cores that the program could use.
    pub cores: u32,
    /// The operating system and its version.
    pub os: String,
    /// The version of libtorch; absent if nothing was computed with it.
    pub libtorch: Option<String>,
}

/// A task's settings under their path in the experiment file: `train.optimizer.learning_rate`, `federated.clients`, ...
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hyperparameters(pub BTreeMap<String, Hyperparameter>);

/// The value of one setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Hyperparameter {
    /// A switch.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A name.
    Text(String),
}

impl Hyperparameters {
    /// Collects the settings of `task` that can change results: its net, data set, loss, training and setting.
    #[must_use]
    pub fn of(task: &Task) -> Self {
        match &task.kind {
            TaskKind::Training(training) => Self::of_training(training),
            TaskKind::Command(config) => Self::of_command(config),
        }
    }

    /// Collects the settings of a program of the user's own.
    fn of_command(config: &CommandConfig) -> Self {
        let mut flat = BTreeMap::new();
        flatten(COMMAND, &serde_json::to_value(config).unwrap_or_default(), &mut flat);
        // An argument may be a whole script.
        for value in flat.values_mut() {
            if let Hyperparameter::Text(text) = value
                && !files::is_printable(text)
            {
                *text = format!("{} bytes, sha256:{}", text.len(), hex::encode(Sha256::digest(text.as_bytes())));
            }
        }
        flat.insert("kind".to_owned(), Hyperparameter::Text(COMMAND.to_owned()));
        Self(flat)
    }

    /// Collects the settings of `training` that can change results.
    #[must_use]
    pub fn of_training(training: &Training) -> Self {
        // A training is plain data of strings, numbers and maps: it always has a JSON value.
        Self::of_json(&serde_json::to_value(training.clone().with_newest_defaults()).unwrap_or_default())
    }

    pub(super) fn of_json(training: &serde_json::Value) -> Self {
        let mut flat = BTreeMap::new();
        for name in ["network", "dataset", "loss", "train", "train_other_role", "threads"] {
            flatten(name, &training[name], &mut flat);
        }
        // `setting: {kind: federated, ...}` is written as `federated: {...}` in the file.
        if let Some(kind) = training["setting"]["kind"].as_str() {
            flatten(kind, &training["setting"], &mut flat);
            if let Some(of_setting) = flat.remove(&format!("{kind}.kind")) {
                flat.insert("kind".into(), of_setting);
            }
        }
        Self(flat)
    }

    /// Returns a key that is the same for runs with the same settings, whatever versions recorded them: a setting that was added later
    /// makes no difference if its value matches the earlier behavior.
    pub(crate) fn key(&self) -> String {
        self.key_without(LATER)
    }

    pub(super) fn key_without(&self, later: &[(&str, &str)]) -> String {
        let settings = self.without_defaults(later);
        serde_json::to_string(&settings).expect("texts, numbers and switches have a JSON form")
    }

    /// Returns all settings except those of `later` that have their default value.
    fn without_defaults(&self, later: &[(&str, &str)]) -> Self {
        let mut settings = self.clone();
        for (name, default) in later {
            let is_default = |value: &Hyperparameter| serde_json::from_str(default).is_ok_and(|default: Hyperparameter| default == *value);
            if settings.0.get(*name).is_some_and(is_default) {
                settings.0.remove(*name);
            }
        }
        settings
    }

    /// Returns all settings except those that were added later and match the earlier behavior.
    pub(crate) fn without_later_defaults(&self) -> Self {
        self.without_defaults(LATER)
    }

    /// Returns the first setting, by name, that can change results and has another value in `other`, with both values as they are
    /// displayed; a setting that was added later makes no difference if it has its default value.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<(String, String, String)> {
        let (own, other) = (self.without_defaults(LATER), other.without_defaults(LATER));
        let names: BTreeSet<&String> = own.0.keys().chain(other.0.keys()).collect();
        let shown = |settings: &Self, name: &str| match settings.0.get(name) {
            None => "none".to_owned(),
            Some(Hyperparameter::Bool(value)) => value.to_string(),
            Some(Hyperparameter::Number(value)) => value.to_string(),
            Some(Hyperparameter::Text(value)) => files::printable(value),
        };
        let differs = |name: &&&String| !CHANGES_NOTHING.contains(&name.as_str()) && own.0.get(**name) != other.0.get(**name);
        names.iter().find(differs).map(|name| (files::printable(name), shown(&own, name), shown(&other, name)))
    }

    /// Returns the text under `name`; empty if there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        match self.0.get(name) {
            Some(Hyperparameter::Text(text)) => text,
            _ => "",
        }
    }

    /// Returns the name of the data set; of data of one's own, the last part of its path.
    #[must_use]
    pub fn dataset(&self) -> String {
        match (self.text("dataset.name"), self.text("dataset.path"), self.text("dataset.format")) {
            ("", path, format) => path.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or(format).to_owned(),
            (name, ..) => name.to_owned(),
        }
    }

    /// Returns the number of rounds or epochs that the task asks for.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` takes what is out of range to the nearest end")]
    pub fn num_steps(&self) -> Option<u32> {
        match self.0.get("federated.rounds").or_else(|| self.0.get("distributed.epochs")) {
            Some(Hyperparameter::Number(steps)) => Some(*steps as u32),
            _ => None,
        }
    }
}

fn flatten(name: &str, value: &serde_json::Value, flat: &mut BTreeMap<String, Hyperparameter>) {
    use serde_json::Value;
    let leaf = match value {
        Value::Null => return,
        Value::Bool(value) => Hyperparameter::Bool(*value),
        Value::Number(value) => match value.as_f64() {
            Some(value) => Hyperparameter::Number(value),
            None => return,
        },
        Value::String(text) => Hyperparameter::Text(text.clone()),
        Value::Array(values) if values.len() > LIST_MAX => {
            let digest = hex::encode(Sha256::digest(value.to_string()));
            Hyperparameter::Text(format!("{} values, sha256:{digest}", values.len()))
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                flatten(&format!("{name}.{index}"), value, flat);
            }
            return;
        }
        Value::Object(fields) => {
            for (field, value) in fields {
                flatten(&format!("{name}.{field}"), value, flat);
            }
            return;
        }
    };
    flat.insert(name.to_owned(), leaf);
}

impl RunDescription {
    /// Returns its settings, and the digests of the files that they name: that of the file of `federated.partition.path` as `federated.partition.path.sha256`, and that of a net as
    /// `network.sha256`.
    pub(crate) fn settings_with_digests(&self) -> Hyperparameters {
        let network = self.network_sha256.iter().map(|digest| ("network", digest));
        let digests = self.files_sha256.iter().map(|(name, digest)| (name.as_str(), digest)).chain(network);
        let digests = digests.map(|(name, digest)| (format!("{name}.sha256"), Hyperparameter::Text(digest.clone())));
        Hyperparameters(self.hyperparameters.0.clone().into_iter().chain(digests).collect())
    }

    /// Returns the content of `run.json`.
    pub(super) fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct File<'a> {
            format: u64,
            #[serde(flatten)]
            run: &'a RunDescription,
        }
        let mut json = serde_json::to_vec_pretty(&File { format: FORMAT, run: self })
            .expect("maps with text keys, numbers and texts have a JSON form");
        json.push(b'\n');
        json
    }

    /// Parses the content of `run.json`; `path` is for errors.
    pub(super) fn from_json(bytes: &[u8], path: &Path) -> Result<Self, RunError> {
        #[derive(Deserialize)]
        struct Format {
            format: u64,
            group_name: Option<String>,
        }
        let damaged = |problem: String| RunError::Description { path: path.to_owned(), problem: files::printable(&problem) };
        let Format { format, group_name } = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if format > FORMAT {
            return Err(RunError::Newer { path: path.to_owned(), format, format_max: FORMAT, group_name });
        }
        let run: Self = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        run.check().map_err(damaged)?;
        Ok(run)
    }

    /// Checks that it can be displayed in a table and be part of a path.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.group.len() > 64 || !self.group.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(format!("group `{}` is not lower-case hex of at most 64 digits", files::printable(&self.group)));
        }
        if self.job_index >= self.num_jobs {
            return Err(format!("job {} of a group of {}", self.job_index, self.num_jobs));
        }
        for (what, entries) in [
            ("hyperparameters", self.hyperparameters.0.len()),
            ("provenance", self.provenance.len()),
            ("files_sha256", self.files_sha256.len()),
        ] {
            if entries > ENTRIES_MAX {
                return Err(format!("{entries} entries in `{what}`, more than {ENTRIES_MAX}"));
            }
        }
        for text in self.texts() {
            if !files::is_printable(text) {
                return Err(format!("the text `{}` has control characters or more than {TEXT_BYTES_MAX} bytes", files::printable(text)));
            }
        }
        Ok(())
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let Host { cpu, cores: _, os, libtorch } = &self.host;
        let plain = [&self.fltk_version, cpu, os]
            .into_iter()
            .chain(libtorch)
            .chain(&self.group_name)
            .chain(&self.network_sha256)
            .map(String::as_str);
        let provenance = self.provenance.iter().chain(&self.files_sha256).flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        let settings = self.hyperparameters.0.iter().flat_map(|(name, value)| {
            let text = if let Hyperparameter::Text(text) = value { Some(text.as_str()) } else { None };
            std::iter::once(name.as_str()).chain(text)
        });
        plain.chain(provenance).chain(settings)
    }
}
