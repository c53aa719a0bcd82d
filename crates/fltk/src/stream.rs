//! Streams of jobs: from files or from a stream's folder to what is to be run, on this machine or on Kubernetes.

mod job_files;
#[cfg(feature = "cluster")]
pub mod kubernetes;

use std::path::Path;

#[cfg(feature = "cluster")]
use fltk_cluster::kubernetes::manifest::RunContext;
use fltk_cluster::{JobSpec, Orchestrator, Stream, StreamEvent};
use fltk_core::experiment::{self, Experiment, SourceFile};
use fltk_records::{StreamDescription, StreamFolder, StreamTexts, journal::Entry};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

pub use self::job_files::JobFiles;
use crate::{
    exit::{Exit, OrExit as _, failure},
    inputs,
};

/// Longest name of a stream: it's the value of a label.
const NAME_CHARS_MAX: usize = 63;

/// What is trained, and when it arrives.
#[derive(Clone)]
pub struct Inputs {
    /// The experiment.
    pub experiment: Experiment,
    /// The text of its trace.
    pub trace: Option<SourceFile>,
}

impl Inputs {
    /// `experiment` with its trace, whose path is relative to `base`.
    ///
    /// # Errors
    /// If the trace can't be read.
    pub fn of(experiment: Experiment, base: &Path) -> anyhow::Result<Self> {
        Ok(Self { trace: inputs::read_trace_text(&experiment, base)?, experiment })
    }

    /// The stream as `run`.
    ///
    /// # Errors
    /// If its trace is none.
    pub fn stream(&self, run: &str) -> anyhow::Result<Stream> {
        let trace = self.trace.as_ref().map_or_else(|| Ok(Vec::new()), inputs::parse_trace)?;
        Ok(Stream { experiment: self.experiment.clone(), trace, run: run.to_owned() })
    }

    /// What its folder holds, on this machine.
    #[must_use]
    pub fn texts(&self) -> StreamTexts {
        StreamTexts {
            experiment: experiment::to_yaml(&self.experiment),
            cluster: None,
            trace: self.trace.as_ref().map(|source| source.text.clone()),
        }
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

/// Where a stream's jobs run.
pub enum Place {
    /// As processes of this machine.
    Here,
    /// As pods, which have this in common.
    #[cfg(feature = "cluster")]
    Kubernetes(Box<RunContext>),
}

/// A stream that has a folder.
pub struct Begun {
    /// Its folder.
    pub folder: StreamFolder,
    /// What its jobs follow from.
    pub stream: Stream,
    /// Where these run.
    pub place: Place,
}

impl Begun {
    /// Makes the folder of `stream` in `root`, which holds `texts`.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn create(root: &Path, stream: Stream, texts: &StreamTexts, place: Place, now: Timestamp) -> anyhow::Result<Self> {
        let description = StreamDescription {
            fltk_version: env!("CARGO_PKG_VERSION").to_owned(),
            run: stream.run.clone(),
            experiment: stream.experiment.name.clone(),
            started_at: now,
        };
        let folder = StreamFolder::create::<StreamEvent>(root, &description, texts).or_exit(Exit::Records)?;
        Ok(Self { folder, stream, place })
    }

    /// The stream of a folder.
    ///
    /// # Errors
    /// If it's damaged.
    pub fn open(folder: StreamFolder) -> anyhow::Result<Self> {
        let texts = folder.texts().or_exit(Exit::Records)?;
        let source = |name: &str, text: String| SourceFile { name: folder.path().join(name).display().to_string(), text };
        let experiment = source("experiment.yaml", texts.experiment);
        let parsed = experiment::parse(&[experiment], &[]).map_err(|report| failure(Exit::Records, report.render(false)))?;
        let inputs = Inputs { experiment: parsed.experiment, trace: texts.trace.map(|text| source("trace.txt", text)) };
        let run = folder.description().run.clone();
        let place = match texts.cluster {
            None => Place::Here,
            #[cfg(feature = "cluster")]
            Some(text) => Place::Kubernetes(Box::new(kubernetes::context_of(&run, &inputs, &source("cluster.json", text))?)),
            #[cfg(not(feature = "cluster"))]
            Some(_) => {
                let message = format!("`{}` is a stream for Kubernetes, which this program was built without", folder.path().display());
                return Err(failure(Exit::Records, message));
            }
        };
        Ok(Self { stream: inputs.stream(&run)?, place, folder })
    }

    /// What the pods of its jobs have in common.
    ///
    /// # Errors
    /// If its jobs are no pods.
    #[cfg(feature = "cluster")]
    pub fn context(&self) -> anyhow::Result<&RunContext> {
        match &self.place {
            Place::Kubernetes(context) => Ok(context),
            Place::Here => {
                let path = self.folder.path().display();
                let message = format!("`{path}` is a stream for one machine\nhint: `fltk run --resume {path}` goes on with it");
                Err(failure(Exit::Records, message))
            }
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.stream.run
    }

    /// The stream `name` in `root`, if there is one.
    ///
    /// # Errors
    /// If `name` can't name a stream, or the folder holds others than `texts`.
    pub fn named(root: &Path, name: &str, texts: impl FnOnce(&Self) -> anyhow::Result<StreamTexts>) -> anyhow::Result<Option<Self>> {
        check_name(name)?;
        let Ok(folder) = StreamFolder::open(root.join(name)) else { return Ok(None) };
        let begun = Self::open(folder)?;
        if begun.is_of(&texts(&begun)?)? {
            return Ok(Some(begun));
        }
        let message =
            format!("the stream `{name}` was begun with other files\nhint: choose another `--id`, or `{}`", begun.resume_command());
        Err(failure(Exit::Records, message))
    }

    /// Whether it holds `texts`.
    ///
    /// # Errors
    /// If its folder can't be read.
    fn is_of(&self, texts: &StreamTexts) -> anyhow::Result<bool> {
        Ok(self.folder.texts().or_exit(Exit::Records)? == *texts)
    }

    /// The orchestrator as `entries` leave it, which keeps nothing: for looking at.
    ///
    /// # Errors
    /// If the stream has no end within reason.
    pub fn look(&self, entries: &[Entry<StreamEvent>]) -> anyhow::Result<Orchestrator<'_>> {
        Orchestrator::new(self.stream.clone(), |spec| self.adapt(spec), None, entries).or_exit(Exit::Experiment)
    }

    /// `spec` with everything that it asks for where it runs.
    fn adapt(&self, spec: JobSpec) -> JobSpec {
        match &self.place {
            Place::Here => spec,
            #[cfg(feature = "cluster")]
            Place::Kubernetes(context) => context.with_requests(spec),
        }
    }

    /// The command that goes on with it.
    #[must_use]
    pub fn resume_command(&self) -> String {
        let command = match &self.place {
            Place::Here => "run",
            #[cfg(feature = "cluster")]
            Place::Kubernetes(_) => "cluster",
        };
        format!("fltk {command} --resume {}", self.folder.path().display())
    }
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
