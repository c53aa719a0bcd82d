//! `fltk run FILE` for an experiment with a `stream`: its jobs arrive, wait and run on this machine.

use fltk_core::experiment::Experiment;
use fltk_plan::{Orchestrator, StreamEvent};
use fltk_records::StreamFolder;
use jiff::Timestamp;

use crate::{
    cli::{Cli, RunArgs},
    exit::{Exit, OrExit as _, failure},
    follow::Follow,
    inputs, jobs, log,
    stream::{self, Begun, Clock, End, Here, Inputs, Place, work},
};

/// Runs the stream of `experiment`, or resumes one with the same name.
///
/// # Errors
/// If it has more jobs than allowed, its folder can't be written, or a job failed.
pub fn start(cli: &Cli, args: &RunArgs, here: &Here, mut experiment: Experiment) -> anyhow::Result<()> {
    check_options(args)?;
    let base = inputs::base_folder(&args.files);
    // Absolute paths let the stream be resumed from anywhere; the trace is copied.
    inputs::make_paths_absolute(&mut experiment, &base)?;
    let inputs = Inputs::of(experiment, &base)?;
    let (texts, now) = (inputs.texts(), Timestamp::now());
    let name = match &args.id {
        Some(name) => {
            let name = stream::read_name(name)?;
            match Begun::named(&args.runs, &name, |begun| Ok(matches!(begun.place, Place::Here) && begun.is_of(&inputs)?))? {
                Some(begun) => return go_on(cli, here, &begun, args.retry_failed),
                None => name,
            }
        }
        None => stream::new_name(&inputs.experiment.name, now),
    };
    let stream = inputs.stream(&name)?;
    // An impossible stream isn't begun.
    if trains(&inputs.experiment) {
        here.engine.check()?;
    }
    Orchestrator::new(stream.clone(), |spec| spec, None, &[]).or_exit(Exit::Experiment)?;
    go_on(cli, here, &Begun::create(&args.runs, stream, &texts, Place::Here, now)?, false)
}

/// Resumes the stream in `folder`.
///
/// # Errors
/// If it isn't a stream for one machine, another process is running it, or a job failed.
pub fn resume(cli: &Cli, args: &RunArgs, here: &Here, folder: StreamFolder) -> anyhow::Result<()> {
    check_options(args)?;
    // Links are resolved: the runs of its jobs lie beside the real folder.
    let path = folder.path().canonicalize().or_exit(Exit::Records)?;
    let begun = Begun::resume(StreamFolder::open(path).or_exit(Exit::Records)?)?;
    match begun.place {
        Place::Here => go_on(cli, here, &begun, args.retry_failed),
        #[cfg(feature = "cluster")]
        Place::Kubernetes(_) => {
            let path = begun.folder.path().display();
            let message = format!("`{path}` is a stream for Kubernetes\nhint: `{}` resumes it", begun.resume_command());
            Err(failure(Exit::Records, message))
        }
    }
}

/// Refuses options that have no effect on a stream.
fn check_options(args: &RunArgs) -> anyhow::Result<()> {
    if args.fail_fast {
        let message = "`--fail-fast` is for runs: a stream's jobs arrive regardless of others\nhint: leave it out".to_owned();
        return Err(failure(Exit::Experiment, message));
    }
    if args.metrics.is_some() {
        let message = "`--metrics` is for runs: a stream's jobs are processes of their own\nhint: leave it out".to_owned();
        return Err(failure(Exit::Experiment, message));
    }
    Ok(())
}

/// True if a job of the stream needs the program that trains.
fn trains(experiment: &Experiment) -> bool {
    experiment.tasks.iter().any(|task| task.training().is_some())
}

fn go_on(cli: &Cli, here: &Here, begun: &Begun, retry_failed: bool) -> anyhow::Result<()> {
    log::stay_in(begun.span());
    begun.check_is_alone()?;
    let who = format!("`fltk run`, process {}", std::process::id());
    let _lock = begun.folder.lock(&who).or_exit(Exit::Records)?;
    let (journal, replay) = begun.folder.journal::<StreamEvent>().or_exit(Exit::Records)?;
    let mut orchestrator =
        Orchestrator::new(begun.stream.clone(), |spec| spec, Some(journal), &replay.entries).or_exit(Exit::Experiment)?;
    drop(replay);
    let failed = orchestrator.to_retry(retry_failed);
    begun.retry(&mut orchestrator, &failed)?;
    if !orchestrator.is_finished() && trains(&begun.stream.experiment) {
        here.engine.check()?;
    }
    tracing::info!("stream {} on this machine; folder {}", begun.name(), begun.folder.path().display());
    let clock = Clock::start(begun.folder.description().started_at, orchestrator.now());
    clock.warning().iter().for_each(|text| tracing::warn!("{text}"));
    let end = work(here, begun, &mut orchestrator, Follow::default(), &|| clock.now())?;
    let rows = jobs::rows(&orchestrator, &begun.folder);
    jobs::keep(&rows, &begun.folder)?;
    jobs::print(cli, &rows)?;
    match end {
        End::Finished => jobs::verdict(&rows, &begun.folder),
        End::Stopped => {
            let message = format!("interrupted\nhint: `{}` resumes it, each job from its last checkpoint", begun.resume_command());
            Err(failure(Exit::Interrupted, message))
        }
    }
}
