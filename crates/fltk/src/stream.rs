//! Streams of jobs for Kubernetes: from files or from a stream's folder to what is to be run.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fltk_cluster::{
    Orchestrator, Stream, StreamEvent,
    kubernetes::{config::KubernetesConfig, manifest::RunContext},
};
use fltk_core::experiment::{self, Experiment, FileKind, SourceFile, file_kind};
use fltk_records::{StreamDescription, StreamFolder, StreamTexts, journal::Entry};
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{
    exit::{Exit, OrExit as _, failure},
    inputs, output,
};

/// Longest name of a stream: it's the value of a label.
const NAME_CHARS_MAX: usize = 63;

/// What files say: what is trained, when it arrives, what pods get.
pub struct Inputs {
    /// The experiment.
    pub experiment: Experiment,
    /// The text of its trace.
    pub trace: Option<SourceFile>,
    /// What pods get, with the experiment's namespace and image where it has none of its own.
    pub config: KubernetesConfig,
}

/// Reads an experiment together with a file that has a `kubernetes` block, if one is among `files`.
///
/// # Errors
/// If a file can't be read or is wrong.
pub fn read(files: &[PathBuf], overrides: &[String], seed: Option<u64>) -> anyhow::Result<Inputs> {
    let sources = files.iter().map(|path| inputs::read_source(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let (configs, experiments): (Vec<_>, Vec<_>) =
        files.iter().cloned().zip(sources).partition(|(_, source)| file_kind(source) == FileKind::Kubernetes);
    if let [_, (path, _), ..] = configs.as_slice() {
        return Err(failure(Exit::Experiment, format!("`{}` is the second file with a `kubernetes` block", path.display())));
    }
    let (paths, sources): (Vec<PathBuf>, Vec<SourceFile>) = experiments.into_iter().unzip();
    if sources.is_empty() {
        let message = "there is no experiment among the files\nhint: one of ours, or KFLTK's arrival JSON with or without its cluster JSON";
        return Err(failure(Exit::Experiment, message));
    }
    let experiment = inputs::parse_experiment(&sources, overrides, seed)?;
    let trace = inputs::read_trace_text(&experiment, &inputs::base_folder(&paths))?;
    let config = match configs.into_iter().next() {
        Some((_, source)) => parse_config(&source, Exit::Experiment)?.or_of(experiment.stream.as_ref()),
        None => KubernetesConfig::of_stream(experiment.stream.as_ref()),
    };
    Ok(Inputs { experiment, trace, config })
}

fn parse_config(source: &SourceFile, exit: Exit) -> anyhow::Result<KubernetesConfig> {
    let (config, warnings) = KubernetesConfig::parse(source).map_err(|report| failure(exit, report.render(output::color_stderr())))?;
    if !warnings.is_empty() {
        anstream::eprintln!("{}", warnings.render(output::color_stderr()));
    }
    Ok(config)
}

impl Inputs {
    /// What all jobs of the run `run` have in common, in `namespace`.
    ///
    /// # Errors
    /// If no image is named.
    pub fn context(&self, run: &str, namespace: &str) -> anyhow::Result<RunContext> {
        let Some(image) = self.config.image.clone() else {
            let message = "no container image is named\nhint: `--image`, or `image` in the `kubernetes` block, or `stream.image`";
            return Err(failure(Exit::Experiment, message));
        };
        Ok(RunContext {
            run: run.to_owned(),
            namespace: namespace.to_owned(),
            image,
            config: self.config.clone(),
            experiment: self.experiment.clone(),
        })
    }

    /// The stream as `run`.
    ///
    /// # Errors
    /// If its trace is none.
    pub fn stream(&self, run: &str) -> anyhow::Result<Stream> {
        let trace = self.trace.as_ref().map_or_else(|| Ok(Vec::new()), inputs::parse_trace)?;
        Ok(Stream { experiment: self.experiment.clone(), trace, run: run.to_owned() })
    }
}

/// A name for a new stream of `experiment`: its name, the time, and what makes it unique.
#[must_use]
pub fn new_name(experiment: &str, now: Timestamp) -> String {
    let unique = hex::encode(&Sha256::digest(format!("{}/{}", now.as_nanosecond(), std::process::id()))[..2]);
    let rest = format!("{}-{unique}", now.strftime("%Y%m%d-%H%M%S"));
    let prefix: String = experiment.trim_start_matches(['-', '_']).chars().take(NAME_CHARS_MAX - rest.len() - 1).collect();
    if prefix.is_empty() { rest } else { format!("{prefix}-{rest}") }
}

/// Refuses what can't be a label's value.
///
/// # Errors
/// If `name` can't.
pub fn check_name(name: &str) -> anyhow::Result<()> {
    let fits = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    let edges = [name.bytes().next(), name.bytes().last()].into_iter().all(|c| c.is_some_and(|c| c.is_ascii_alphanumeric()));
    if edges && name.len() <= NAME_CHARS_MAX && name.bytes().all(fits) {
        return Ok(());
    }
    let message = format!(
        "`{}` can't name a stream: letters, digits, and `-` and `_` between them, at most {NAME_CHARS_MAX}",
        name.escape_debug().take(NAME_CHARS_MAX).collect::<String>()
    );
    Err(failure(Exit::General, message))
}

/// A stream that has a folder.
pub struct Begun {
    /// Its folder.
    pub folder: StreamFolder,
    /// What all its jobs have in common.
    pub context: RunContext,
    /// What its jobs follow from.
    pub stream: Stream,
}

impl Begun {
    /// Makes the folder of `run` in `root`.
    ///
    /// # Errors
    /// If it can't be made, or the inputs are no stream.
    pub fn create(root: &Path, run: &str, namespace: &str, inputs: &Inputs, now: Timestamp) -> anyhow::Result<Self> {
        let context = inputs.context(run, namespace)?;
        let stream = inputs.stream(run)?;
        let description = StreamDescription {
            fltk_version: env!("CARGO_PKG_VERSION").to_owned(),
            run: run.to_owned(),
            experiment: inputs.experiment.name.clone(),
            started_at: now,
        };
        let folder = StreamFolder::create::<StreamEvent>(root, &description, &texts(inputs, &context)?).or_exit(Exit::Records)?;
        Ok(Self { folder, context, stream })
    }

    /// The stream of a folder.
    ///
    /// # Errors
    /// If it's damaged, or not for Kubernetes.
    pub fn open(folder: StreamFolder) -> anyhow::Result<Self> {
        let texts = folder.texts().or_exit(Exit::Records)?;
        let source = |name: &str, text: String| SourceFile { name: folder.path().join(name).display().to_string(), text };
        let Some(cluster) = texts.cluster else {
            return Err(failure(Exit::Records, format!("`{}` is not a stream for Kubernetes", folder.path().display())));
        };
        let experiment = source("experiment.yaml", texts.experiment);
        let parsed = experiment::parse(&[experiment], &[]).map_err(|report| failure(Exit::Records, report.render(false)))?;
        let config = parse_config(&source("cluster.json", cluster), Exit::Records)?;
        let namespace = config.namespace.clone().context("its `cluster.json` names no namespace").or_exit(Exit::Records)?;
        let trace = texts.trace.map(|text| source("trace.txt", text));
        let inputs = Inputs { experiment: parsed.experiment, trace, config };
        let run = folder.description().run.clone();
        Ok(Self { context: inputs.context(&run, &namespace)?, stream: inputs.stream(&run)?, folder })
    }

    /// Whether it is of `inputs`.
    ///
    /// # Errors
    /// If its folder can't be read.
    pub fn is_of(&self, inputs: &Inputs) -> anyhow::Result<bool> {
        Ok(self.folder.texts().or_exit(Exit::Records)? == texts(inputs, &inputs.context(&self.context.run, &self.context.namespace)?)?)
    }

    /// The orchestrator as `entries` leave it, which keeps nothing: for looking at.
    ///
    /// # Errors
    /// If the stream has no end within reason.
    pub fn look(&self, entries: &[Entry<StreamEvent>]) -> anyhow::Result<Orchestrator<'_>> {
        Orchestrator::new(self.stream.clone(), |spec| self.context.with_requests(spec), None, entries).or_exit(Exit::Experiment)
    }
}

fn texts(inputs: &Inputs, context: &RunContext) -> anyhow::Result<StreamTexts> {
    let resolved =
        KubernetesConfig { namespace: Some(context.namespace.clone()), image: Some(context.image.clone()), ..context.config.clone() };
    Ok(StreamTexts {
        experiment: experiment::to_yaml(&inputs.experiment),
        cluster: Some(format!("{}\n", serde_json::to_string_pretty(&json!({ "kubernetes": resolved }))?)),
        trace: inputs.trace.as_ref().map(|source| source.text.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels() {
        let now = Timestamp::UNIX_EPOCH;
        for experiment in ["a", &"x".repeat(63), "-_a", "__"] {
            check_name(&new_name(experiment, now)).unwrap();
        }
        for wrong in ["", "-a", "a_", "a b", &"a".repeat(64), "é"] {
            assert!(check_name(wrong).is_err(), "{wrong}");
        }
    }
}
