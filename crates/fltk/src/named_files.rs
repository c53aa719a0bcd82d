//! Checks of the files that the settings of tasks name, before anything runs: that they can be read, and fit their tasks as far as that is known without
//! a data set. Problems are reported at the setting.
//!
//! Not for: what only the data set shows, such as other labels, which a run refuses before it has a folder.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::Path,
};

use fltk_core::{
    catalogue::{Choice, DatasetEntry},
    experiment::{FederatedConfig, Setting, Task},
};
use fltk_data::partition::{check_cohorts, check_file};
use fltk_experiment::{Parsed, Problem, Report};
use fltk_fed::simulation;

use crate::{inputs, split::user_file};

/// The settings on which a check of a file depends. The tasks of a sweep share most of it, and each file is read once for all that is the same.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Use<'a> {
    setting: &'a str,
    path: &'a str,
    partition: &'a str,
    dataset: &'a str,
    clients: u32,
    clients_per_round: u32,
    rounds: u32,
}

/// Checks the files that the tasks of `parsed` name, whose paths are relative to `base`. A pipe, which can be read only once, isn't read.
///
/// # Errors
/// If a file can't be read or doesn't fit its task: the report of `parsed` with such problems.
pub fn check(parsed: Parsed, base: &Path) -> Result<Parsed, Report> {
    let mut found: BTreeMap<Use<'_>, Option<(String, String)>> = BTreeMap::new();
    let mut problems = Vec::new();
    for place in &parsed.file_places {
        let Some(task) = parsed.experiment.tasks.get(place.task).and_then(Task::training) else { continue };
        let (Setting::Federated(config), Some(dataset)) = (&task.setting, crate::catalogues().dataset(&task.dataset.data)) else {
            continue;
        };
        let Some((setting, path)) = task.files().into_iter().find(|(setting, _)| *setting == place.setting) else { continue };
        let used = Use {
            setting: &place.setting,
            path,
            partition: config.partition.name(),
            dataset: dataset.entry.name,
            clients: config.clients.num(),
            clients_per_round: config.clients_per_round,
            rounds: config.rounds,
        };
        let refusal = match found.entry(used) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(refusal(config, dataset, &setting, path, base)),
        };
        problems.extend(refusal.as_ref().map(|(message, hint)| Problem::error(place.span, message).hint(hint)));
    }
    if problems.is_empty() { Ok(parsed) } else { Err(parsed.warnings.with(problems)) }
}

/// Returns what is wrong with the file `path`, and a hint.
fn refusal(config: &FederatedConfig, dataset: &DatasetEntry, setting: &str, path: &str, base: &Path) -> Option<(String, String)> {
    if inputs::is_pipe(&base.join(path)) {
        return None;
    }
    let source = match inputs::read_named_file(path, base) {
        Ok(source) => source,
        Err(error) => {
            let message = format!("{error:#}");
            let (message, hint) =
                message.split_once("\nhint: ").unwrap_or((&message, "a relative path begins in the folder of the experiment file"));
            return Some((message.to_owned(), hint.to_owned()));
        }
    };
    if let Some((block, choice)) = simulated(config, setting) {
        let hint = format!("`fltk catalogue {}` says what the file has to be", choice.name());
        return simulation::check_file(block, choice, &source.text).err().map(|error| (format!("`{path}` can't be used: {error}"), hint));
    }
    let (checked, choice) = match setting.split('.').nth(1) {
        Some("partition") => (check_file(&config.partition, config.clients.num(), dataset, user_file(&source)), &config.partition),
        Some("selection") => {
            (check_cohorts(user_file(&source), config.rounds, config.clients_per_round, config.clients.num()), &config.selection)
        }
        _ => return None,
    };
    let message = checked.err()?.to_string();
    let (message, hint) = match message.split_once("\nhint: ") {
        Some((message, hint)) => (message.to_owned(), hint.to_owned()),
        None => (message, format!("`fltk catalogue {}` says what the file has to be", choice.name())),
    };
    Some((message, hint))
}

/// Returns the block of `simulation` to which a setting belongs, if it does.
fn simulated<'a>(config: &'a FederatedConfig, setting: &str) -> Option<(&'static str, &'a Choice)> {
    let block = setting.strip_prefix("federated.simulation.")?.split('.').next()?;
    config.simulation.as_ref()?.choices().into_iter().find(|(name, _)| *name == block)
}
