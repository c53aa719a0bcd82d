//! Streams of jobs, read from files or from a stream's folder, to be run on this machine or on Kubernetes.

mod begin;
mod clock;
mod here;
mod job_files;
#[cfg(feature = "cluster")]
pub mod kubernetes;

use std::path::Path;

use fltk_core::{
    experiment::{Duration, Experiment},
    name::Name,
};
use fltk_experiment::SourceFile;
#[cfg(feature = "cluster")]
use fltk_kubernetes::manifest::RunContext;
use fltk_plan::{Event, JobId, JobSpec, Orchestrator, Stream, StreamEvent};
use fltk_records::{StreamFolder, journal::Entry};
use jiff::Timestamp;
use tracing::Span;

pub use self::begin::{new_name, planned_name, read_name};
pub use self::{
    clock::Clock,
    here::{End, Here, work},
    job_files::JobFiles,
};
use crate::{
    exit::{Exit, OrExit as _, failure},
    inputs,
};

/// The maximum number of retried jobs that are named, so that the message has a line or two.
const RETRIED_SHOWN_MAX: usize = 10;

/// An experiment, and the trace of its arrivals if it replays one.
#[derive(Clone)]
pub struct Inputs {
    /// The experiment.
    pub experiment: Experiment,
    /// The text of its trace, if it replays one.
    pub trace: Option<SourceFile>,
}

impl Inputs {
    /// Returns `experiment` with its trace, whose path is relative to `base`.
    ///
    /// # Errors
    /// If the trace can't be read.
    pub fn of(experiment: Experiment, base: &Path) -> anyhow::Result<Self> {
        Ok(Self { trace: inputs::read_trace_text(&experiment, base)?, experiment })
    }

    /// Returns the stream with the name `run`, with the defaults of a stream that is begun now.
    ///
    /// # Errors
    /// If its trace isn't valid.
    pub fn stream(&self, run: &Name) -> anyhow::Result<Stream> {
        let trace = self.trace.as_ref().map_or_else(|| Ok(Vec::new()), inputs::parse_trace)?;
        Ok(Stream { experiment: self.experiment.clone().with_newest_defaults(), trace, run: run.clone() })
    }
}

/// The place where a stream's jobs run.
pub enum Place {
    /// The jobs run as processes of this machine.
    Here,
    /// The jobs run as pods, which share these settings.
    #[cfg(feature = "cluster")]
    Kubernetes(Box<RunContext>),
}

/// A stream that has a folder.
pub struct Begun {
    /// Its folder.
    pub folder: StreamFolder,
    /// The experiment, trace and name that determine its jobs.
    pub stream: Stream,
    /// The place where its jobs run.
    pub place: Place,
}

impl Begun {
    /// Opens the stream of a folder in order to resume it, with the jobs that it was begun with.
    ///
    /// # Errors
    /// If the folder is damaged, or has other files than those that the stream was begun with.
    pub fn resume(folder: StreamFolder) -> anyhow::Result<Self> {
        folder.check_texts().or_exit(Exit::Records)?;
        #[cfg_attr(not(feature = "cluster"), expect(unused_mut, reason = "only streams on a cluster have modules"))]
        let mut begun = Self::open(folder)?;
        #[cfg(feature = "cluster")]
        if let Place::Kubernetes(context) = &mut begun.place {
            context.modules = begun.folder.modules().or_exit(Exit::Records)?;
        }
        Ok(begun)
    }

    /// Opens the stream of a folder in order to inspect it or to remove its objects.
    ///
    /// # Errors
    /// If the folder is damaged.
    pub fn open(folder: StreamFolder) -> anyhow::Result<Self> {
        let texts = folder.texts().or_exit(Exit::Records)?;
        let source = |name: &str, text: String| SourceFile { name: folder.path().join(name).display().to_string(), text };
        let experiment = folder.experiment(crate::catalogues()).or_exit(Exit::Records)?;
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

    /// Returns the time from the beginning of the stream until `now`.
    #[must_use]
    pub fn elapsed(&self, now: Timestamp) -> Duration {
        let millis = now.as_millisecond().saturating_sub(self.folder.description().started_at.as_millisecond());
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }

    /// Returns the settings that the pods of its jobs share.
    ///
    /// # Errors
    /// If its jobs don't run as pods.
    #[cfg(feature = "cluster")]
    pub fn context(&self) -> anyhow::Result<&RunContext> {
        match &self.place {
            Place::Kubernetes(context) => Ok(context),
            Place::Here => {
                let path = self.folder.path().display();
                let message = format!("`{path}` is a stream for one machine\nhint: `fltk run --resume {path}` resumes it");
                Err(failure(Exit::Records, message))
            }
        }
    }

    /// Returns the span of the work on this stream.
    #[must_use]
    pub fn span(&self) -> Span {
        // At this level it is there whichever messages are written.
        tracing::error_span!("stream", stream = self.name())
    }

    /// Returns the stream's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.stream.run
    }

    /// Returns the orchestrator in the state after `entries`, without a journal: for inspection only.
    ///
    /// # Errors
    /// If the stream has more jobs than allowed.
    pub fn look(&self, entries: &[Entry<StreamEvent>]) -> anyhow::Result<Orchestrator<'_>> {
        Orchestrator::new(self.stream.clone(), |spec| self.adapt(spec), None, entries).or_exit(Exit::Experiment)
    }

    /// Like [`look`](Self::look), for whoever wants to know what the jobs did in the course of `entries`.
    ///
    /// # Errors
    /// Those of [`look`](Self::look).
    #[cfg(feature = "web")]
    pub fn look_back(&self, entries: &[Entry<StreamEvent>]) -> anyhow::Result<Orchestrator<'_>> {
        Orchestrator::looking_back(self.stream.clone(), |spec| self.adapt(spec), entries).or_exit(Exit::Experiment)
    }

    /// Returns the same without a reference to this value, for whoever takes in further events.
    ///
    /// # Errors
    /// If the stream has more jobs than allowed.
    pub fn look_on(&self, entries: &[Entry<StreamEvent>]) -> anyhow::Result<Orchestrator<'static>> {
        let stream = self.stream.clone();
        match &self.place {
            Place::Here => Orchestrator::new(stream, |spec| spec, None, entries),
            #[cfg(feature = "cluster")]
            Place::Kubernetes(context) => {
                let context = context.clone();
                Orchestrator::new(stream, move |spec| context.with_requests(spec), None, entries)
            }
        }
        .or_exit(Exit::Experiment)
    }

    /// Has `orchestrator` retry the failed `jobs`, and prints a message.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn retry(&self, orchestrator: &mut Orchestrator<'_>, jobs: &[JobId]) -> anyhow::Result<()> {
        if jobs.is_empty() {
            return Ok(());
        }
        let now = Timestamp::now();
        let events = jobs.iter().map(|job| Event::Retried { job: job.clone() }).collect();
        // The actions that follow are dropped here: they stay outstanding in the orchestrator.
        drop(orchestrator.take(self.elapsed(now), events, now).or_exit(Exit::Records)?);
        let names = jobs.iter().take(RETRIED_SHOWN_MAX).map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let more = if jobs.len() > RETRIED_SHOWN_MAX { ", ..." } else { "" };
        let retried = if jobs.len() == 1 {
            "1 job that failed is retried".to_owned()
        } else {
            format!("{} jobs that failed are retried", jobs.len())
        };
        tracing::info!("{retried}: {names}{more}");
        Ok(())
    }

    /// Returns `spec` with all resource requests that it has in the place where it runs.
    fn adapt(&self, spec: JobSpec) -> JobSpec {
        match &self.place {
            Place::Here => spec,
            #[cfg(feature = "cluster")]
            Place::Kubernetes(context) => context.with_requests(spec),
        }
    }

    /// Returns the command that resumes the stream.
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
