//! Streams of jobs: from files or from a stream's folder to what is to be run, on this machine or on Kubernetes.

mod begin;
mod clock;
mod here;
mod job_files;
#[cfg(feature = "cluster")]
pub mod kubernetes;

use std::path::Path;

#[cfg(feature = "cluster")]
use fltk_cluster::kubernetes::manifest::RunContext;
use fltk_cluster::{Event, JobId, JobSpec, Orchestrator, Stream, StreamEvent};
use fltk_core::experiment::{Duration, Experiment, SourceFile};
use fltk_records::{StreamFolder, journal::Entry};
use jiff::Timestamp;

#[cfg(feature = "cluster")]
pub use self::begin::check_name;
pub use self::begin::{new_name, planned_name};
pub use self::{
    clock::Clock,
    here::{End, Here, work},
    job_files::JobFiles,
};
use crate::{
    exit::{Exit, OrExit as _, failure},
    inputs, output,
};

/// Jobs that are tried again and named: a line or two.
const RETRIED_SHOWN_MAX: usize = 10;

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

    /// The stream as `run`, begun now.
    ///
    /// # Errors
    /// If its trace is none.
    pub fn stream(&self, run: &str) -> anyhow::Result<Stream> {
        let trace = self.trace.as_ref().map_or_else(|| Ok(Vec::new()), inputs::parse_trace)?;
        Ok(Stream { experiment: self.experiment.clone().with_newest_defaults(), trace, run: run.to_owned() })
    }
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
    /// The stream of a folder, to go on with it: its jobs are those that were begun.
    ///
    /// # Errors
    /// If it's damaged, or has other files than those that it was begun with.
    pub fn resume(folder: StreamFolder) -> anyhow::Result<Self> {
        folder.check_texts().or_exit(Exit::Records)?;
        Self::open(folder)
    }

    /// The stream of a folder, to look at it or to remove what it made.
    ///
    /// # Errors
    /// If it's damaged.
    pub fn open(folder: StreamFolder) -> anyhow::Result<Self> {
        let texts = folder.texts().or_exit(Exit::Records)?;
        let source = |name: &str, text: String| SourceFile { name: folder.path().join(name).display().to_string(), text };
        let experiment = folder.experiment().or_exit(Exit::Records)?;
        let inputs = Inputs { experiment, trace: texts.trace.map(|text| source("trace.txt", text)) };
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

    /// How long ago it began, at the time `now`.
    #[must_use]
    pub fn elapsed(&self, now: Timestamp) -> Duration {
        let millis = now.as_millisecond().saturating_sub(self.folder.description().started_at.as_millisecond());
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
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

    /// The orchestrator as `entries` leave it, which keeps nothing: for looking at.
    ///
    /// # Errors
    /// If the stream has no end within reason.
    pub fn look(&self, entries: &[Entry<StreamEvent>]) -> anyhow::Result<Orchestrator<'_>> {
        Orchestrator::new(self.stream.clone(), |spec| self.adapt(spec), None, entries).or_exit(Exit::Experiment)
    }

    /// Has `orchestrator` try `jobs` again that failed; says so unless `quiet`.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn retry(&self, orchestrator: &mut Orchestrator<'_>, jobs: &[JobId], quiet: bool) -> anyhow::Result<()> {
        if jobs.is_empty() {
            return Ok(());
        }
        let now = Timestamp::now();
        let events = jobs.iter().map(|job| Event::Retried { job: job.clone() }).collect();
        // What follows from it is outstanding.
        drop(orchestrator.take(self.elapsed(now), events, now).or_exit(Exit::Records)?);
        if !quiet {
            let names = jobs.iter().take(RETRIED_SHOWN_MAX).map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let more = if jobs.len() > RETRIED_SHOWN_MAX { ", ..." } else { "" };
            output::talk(format_args!("{} jobs that failed are tried again: {names}{more}", jobs.len()));
        }
        Ok(())
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
