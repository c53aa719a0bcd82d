//! The provenance of a run's data, settings and net: recorded when its folder is created, compared when the run resumes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use fltk::{
    exit::{Exit, OrExit as _, failure},
    inputs::named_file_sha256,
    run_group,
};
use fltk_core::experiment::{NetworkConfig, PythonNet, Setting};
use fltk_data::Dataset;
use fltk_records::{Hyperparameters, RunDescription, RunFolder};

use super::{Context, host::host, job::Job};

/// The keys of [`provenance`] that aren't names of files.
const NO_FILES: [&str; 2] = ["source", "normalization"];

/// The setting of a strategy in Python.
const OWN_STRATEGY: &str = "federated.strategy.python";

/// The digest of every file of `dataset`, its source under `source`, and under `normalization` the normalization that was computed from it, if any was.
#[must_use]
pub fn provenance(dataset: &Dataset) -> BTreeMap<String, String> {
    let [source, normalization] = NO_FILES.map(str::to_owned);
    let computed = dataset.provenance.normalization.iter().map(|text| (normalization.clone(), text.clone()));
    digests(dataset).into_iter().chain([(source, dataset.provenance.to_string())]).chain(computed).collect()
}

/// The digest of every file of `dataset`, independent of their location.
#[must_use]
pub fn digests(dataset: &Dataset) -> BTreeMap<String, String> {
    let name = |name: &str| if NO_FILES.contains(&name) { format!("./{name}") } else { name.to_owned() };
    dataset.provenance.files.iter().map(|file| (name(&file.name), format!("sha256:{}", file.sha256))).collect()
}

/// Checks that `dataset` is the one that the run began with. Warns of another program or machine, for which bit-identical results aren't promised.
///
/// # Errors
/// If a file's digest differs.
pub fn check(begun: &RunDescription, dataset: &Dataset) -> anyhow::Result<()> {
    let begun_with = begun.provenance.iter().filter(|(name, _)| !NO_FILES.contains(&name.as_str()));
    if !begun_with.eq(&digests(dataset)) {
        let source = begun.provenance.get("source").map_or("another source", String::as_str);
        return Err(failure(
            Exit::Data,
            format!(
                "the data set is not the one that the run began with, which came from {source}\nhint: restore it, or run the experiment again"
            ),
        ));
    }
    let (now, version) = (host(), env!("CARGO_PKG_VERSION"));
    let differs = [
        ("fltk", begun.fltk_version.as_str(), version),
        ("libtorch", begun.host.libtorch.as_deref().unwrap_or("none"), now.libtorch.as_deref().unwrap_or("none")),
        ("processor", begun.host.cpu.as_str(), now.cpu.as_str()),
    ];
    for (what, then, now) in differs.into_iter().filter(|(_, then, now)| then != now) {
        tracing::warn!("the run began with {what} `{then}` and continues with `{now}`; the last bits of its results may differ");
    }
    Ok(())
}

/// Checks that the settings of `job`, which come from the folder's experiment, are those that the run began with, except those that change no result.
///
/// # Errors
/// If a setting differs.
pub fn check_settings(folder: &RunFolder, job: &Job) -> anyhow::Result<()> {
    run_group::check_settings(folder, &job.name, job.seed, &Hyperparameters::of_training(&job.task))
}

/// The digest of the file of the job's TorchScript module, or of its Python file and the name in it; `None` if its net is one of ours. Its path is relative to `base`.
///
/// # Errors
/// If the file isn't a plain file of a bounded size, or can't be read.
pub fn network_sha256(base: &Path, job: &Job) -> anyhow::Result<Option<String>> {
    if let Some((file, name)) = job.task.network.python().and_then(PythonNet::parts) {
        let file = named_file_sha256(file, base)?;
        return Ok(Some(fltk_data::digest::sha256_hex(format!("{file}:{name}").as_bytes())));
    }
    let NetworkConfig::TorchScript { torchscript } = &job.task.network else { return Ok(None) };
    Ok(Some(fltk_train::module_sha256(&base.join(torchscript)).or_exit(Exit::Experiment)?))
}

/// The digests of the files that partition, selection and strategy of the job name, by setting; of a strategy in Python, its name in the file counts too. Their
/// paths are relative to `base`.
///
/// # Errors
/// If a file can't be read.
pub fn files_sha256(base: &Path, job: &Job) -> anyhow::Result<BTreeMap<String, String>> {
    let code = own_strategy(job);
    let digest = |setting: &str, path: &str| -> anyhow::Result<String> {
        let file = named_file_sha256(path, base)?;
        Ok(match code {
            Some((_, name)) if setting == OWN_STRATEGY => fltk_data::digest::sha256_hex(format!("{file}:{name}").as_bytes()),
            _ => file,
        })
    };
    job.task.files().into_iter().map(|(setting, path)| Ok((setting.clone(), digest(&setting, path)?))).collect()
}

/// Checks that the files that the settings of `job` name are those that the run in `folder` began with.
///
/// # Errors
/// If a file can't be read, or its digest differs.
pub fn check_files(folder: &RunFolder, job: &Job, base: &Path) -> anyhow::Result<()> {
    let begun = &folder.description().files_sha256;
    let now = files_sha256(base, job)?;
    for (setting, path) in job.task.files() {
        if begun.get(&setting) != now.get(&setting) {
            let digest = |files: &BTreeMap<String, String>| files.get(&setting).cloned().unwrap_or_else(|| "no such file".to_owned());
            let (begun, now) = (digest(begun), digest(&now));
            let message = format!(
                "`{path}` (`{setting}`) has SHA-256 {now}, and the run began with {begun}\nhint: restore it, or run the experiment again"
            );
            return Err(failure(Exit::Records, message));
        }
    }
    Ok(())
}

/// Returns the Python that the job's strategy in Python names, if it names one.
fn own_environment(job: &Job) -> Option<&str> {
    match &job.task.setting {
        Setting::Federated(config) => config.strategy.environment(),
        Setting::Distributed(_) => None,
    }
}

/// Returns the file of the job's strategy in Python and the name in it; `None` if its strategy is one of ours.
fn own_strategy(job: &Job) -> Option<(&str, &str)> {
    match &job.task.setting {
        Setting::Federated(config) => config.strategy.code(),
        Setting::Distributed(_) => None,
    }
}

/// Checks that the TorchScript module of `job`, or its net in Python, if it has one, may be loaded: it isn't within a folder of records, unless that is trusted, and it's
/// the one that the run in `folder` began with. A strategy in Python mustn't be within such a folder either; [`check_files`] compares it.
///
/// # Errors
/// If the module may not be loaded.
pub fn check_network(context: &Context<'_>, folder: Option<&RunFolder>, job: &Job) -> anyhow::Result<()> {
    if let Some((file, _)) = own_strategy(job) {
        check_trust(context, "the strategy in Python", file)?;
    }
    let of_net = job.task.network.python().and_then(|net| net.environment.as_deref());
    for environment in own_environment(job).into_iter().chain(of_net) {
        check_trust(context, "the Python of the experiment", environment)?;
    }
    let (kind, module) = match &job.task.network {
        NetworkConfig::TorchScript { torchscript } => ("the TorchScript module", torchscript.as_str()),
        NetworkConfig::Python(net) => ("the net in Python", net.parts().map_or("", |(file, _)| file)),
        NetworkConfig::Named(_) | NetworkConfig::Block { .. } => return Ok(()),
    };
    check_trust(context, kind, module)?;
    let is = network_sha256(context.base, job)?;
    match folder.and_then(|folder| folder.description().network_sha256.as_ref()) {
        Some(begun) if Some(begun) != is.as_ref() => {
            let message = format!(
                "{kind} `{module}` has SHA-256 {}, and the run began with {begun}\nhint: restore it, or run the experiment again",
                is.unwrap_or_default()
            );
            Err(failure(Exit::Records, message))
        }
        _ => Ok(()),
    }
}

/// Checks that code isn't within a folder of records, unless that is trusted.
fn check_trust(context: &Context<'_>, kind: &str, module: &str) -> anyhow::Result<()> {
    if context.trust_module || !lies_in_records(&context.base.join(module)) {
        return Ok(());
    }
    let message = format!(
        "{kind} `{module}` lies within a folder of records, and may have come from elsewhere with it\nhint: a module is a program that runs as you: `--trust-module` accepts it"
    );
    Err(failure(Exit::Experiment, message))
}

/// True if an ancestor folder of `path`, with links resolved, belongs to a run or a stream.
fn lies_in_records(path: &Path) -> bool {
    // A module in parts has no file of its own name.
    let part = || PathBuf::from(format!("{}.0", path.display())).canonicalize();
    let real = path.canonicalize().or_else(|_| part()).unwrap_or_else(|_| path.to_owned());
    real.ancestors().skip(1).any(|folder| ["run.json", "stream.json"].iter().any(|name| folder.join(name).symlink_metadata().is_ok()))
}
