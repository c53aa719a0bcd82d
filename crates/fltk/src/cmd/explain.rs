//! `fltk explain JOB`: the reason why a job waits, its current activity, or how it ended.

use fltk_plan::{
    JobId, Orchestrator, StreamEvent,
    plan::{Job, State},
};
use fltk_records::StreamFolder;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    cli::{Cli, ExplainArgs, Output},
    exit::{Exit, OrExit as _, failure},
    output,
    stream::{Begun, JobFiles, Place},
    timeline::clock,
    work::Work,
};

#[derive(Serialize)]
struct Explained {
    job: String,
    stream: String,
    class: String,
    state: &'static str,
    text: String,
}

/// Prints the explanation of the job that `args` name.
///
/// # Errors
/// If no job matches, or several do.
pub fn run(cli: &Cli, args: &ExplainArgs) -> anyhow::Result<()> {
    let work = Work::wait("reading the streams");
    let (begun, id) = find(args)?;
    let replay = begun.folder.replay::<StreamEvent>().or_exit(Exit::Records)?;
    let orchestrator = begun.look(&replay.entries)?;
    let Some(job) = orchestrator.all_jobs().find(|job| job.spec.id == id) else {
        return Err(failure(Exit::Records, format!("job {id} isn't in the stream any more")));
    };
    let explained = Explained {
        job: id.to_string(),
        stream: begun.name().to_owned(),
        class: job.spec.class.clone(),
        state: job.state_name(),
        text: format!("{}{}{}", words(args, &begun, &orchestrator, job), hint(&begun, job), files(&begun, job)),
    };
    drop(work);
    match cli.output {
        Output::Json => output::json(&explained),
        Output::Text => output::text(&format!(
            "job {} of stream {}, task `{}`: {}\n{}",
            explained.job, explained.stream, explained.class, explained.state, explained.text
        )),
    }
}

/// Returns the job whose name begins with the given text, and its stream.
fn find(args: &ExplainArgs) -> anyhow::Result<(Begun, JobId)> {
    let folders = match &args.stream {
        Some(named) => vec![StreamFolder::find(&args.runs.runs, named).or_exit(Exit::Records)?],
        None => {
            let all = StreamFolder::list(&args.runs.runs).or_exit(Exit::Records)?;
            all.into_iter().filter_map(|path| StreamFolder::open(path).ok()).collect()
        }
    };
    let prefix = args.job.strip_prefix("trainjob-").unwrap_or(&args.job);
    let mut found = Vec::new();
    for folder in folders {
        let (begun, ids) = match begins_with(folder, prefix) {
            Ok(looked_at) => looked_at,
            // A damaged stream doesn't keep the others from being searched.
            Err(error) if args.stream.is_none() => {
                tracing::warn!("a stream is skipped: {error:#}");
                continue;
            }
            Err(error) => return Err(error),
        };
        match ids.as_slice() {
            [] => {}
            [id] => found.push((begun, id.clone())),
            _ => return Err(failure(Exit::General, format!("several jobs begin with `{}`\nhint: give more of the name", args.job))),
        }
    }
    match found.len() {
        0 => {
            let place = match &args.stream {
                Some(named) => format!("the stream `{}` doesn't have", named.display()),
                None => format!("no stream in `{}` has", args.runs.runs.display()),
            };
            let job = args.job.escape_debug();
            let message = format!("{place} a job `{job}`\nhint: `fltk runs jobs STREAM` lists a stream's jobs");
            Err(failure(Exit::Records, message))
        }
        1 => Ok(found.remove(0)),
        _ => Err(failure(Exit::General, format!("several streams have a job `{}`\nhint: choose with `--stream`", args.job))),
    }
}

/// Returns at most two jobs of the stream in `folder` whose names begin with `prefix`.
fn begins_with(folder: StreamFolder, prefix: &str) -> anyhow::Result<(Begun, Vec<JobId>)> {
    let begun = Begun::open(folder)?;
    let replay = begun.folder.replay::<StreamEvent>().or_exit(Exit::Records)?;
    let orchestrator = begun.look(&replay.entries)?;
    let ids = orchestrator.all_jobs().map(|job| &job.spec.id).filter(|id| id.0.starts_with(prefix)).take(2).cloned().collect();
    drop(orchestrator);
    Ok((begun, ids))
}

fn words(args: &ExplainArgs, begun: &Begun, orchestrator: &Orchestrator<'_>, job: &Job) -> String {
    let record = &job.record;
    match &job.state {
        State::Pending => format!("It arrives {} after its replication begins.", clock(job.spec.arrival.at)),
        State::Waiting => match orchestrator.explain(&job.spec.id, begun.elapsed(Timestamp::now())) {
            Some(wait) => format!("It waits: {wait}."),
            None => "It waits for the orchestrator to look at it.".to_owned(),
        },
        State::Suspending { for_job } => {
            let stays = pods_wait(args, begun, job).map(|words| format!(" Now: {words}.")).unwrap_or_default();
            format!("It is being preempted by job {for_job} of higher priority. It resumes later.{stays}")
        }
        State::Ended => {
            let after = record.response_seconds().map(|seconds| format!(" after {seconds:.1} s")).unwrap_or_default();
            let reason = record.reason.as_deref().unwrap_or("no reason was given");
            let words = record.words.iter().map(|said| format!("\nrank {} said last: {}", said.pod, said.words));
            format!("It ended{after}: {reason}{}", words.collect::<String>())
        }
        State::Running => {
            let on = record.nodes.iter().cloned().collect::<Vec<_>>().join(", ");
            let now = pods_wait(args, begun, job);
            format!("It runs, on {on}.{}", now.map(|words| format!(" {words}.")).unwrap_or_default())
        }
        State::Held => {
            let ran = record.run_seconds().map(|seconds| format!(" It has run for {seconds:.1} s.")).unwrap_or_default();
            format!(
                "It is held: somebody else suspended its object, such as a queue without capacity. It keeps its place, and continues when the suspension ends.{ran}"
            )
        }
        State::Admitted | State::Starting => {
            let now = pods_wait(args, begun, job).unwrap_or_else(|| "It is being started".to_owned());
            format!("It has its place. {now}.")
        }
    }
}

/// Returns a hint if the job isn't over and no orchestrator is running the stream; otherwise an empty text.
fn hint(begun: &Begun, job: &Job) -> String {
    if job.state == State::Ended || begun.folder.is_taken() {
        return String::new();
    }
    format!(" No orchestrator runs the stream: `{}` resumes it.", begun.resume_command())
}

/// Returns what the job's pods wait for, according to the cluster.
#[cfg_attr(not(feature = "cluster"), expect(unused_variables, reason = "only pods can be asked"))]
fn pods_wait(args: &ExplainArgs, begun: &Begun, job: &Job) -> Option<String> {
    match &begun.place {
        #[cfg(feature = "cluster")]
        Place::Kubernetes(context) => super::cluster::pods_wait(&args.target, context, job),
        Place::Here => None,
    }
}

/// Returns the paths of the job's log and of its run, as far as they exist.
fn files(begun: &Begun, job: &Job) -> String {
    let files = JobFiles::of(&begun.folder);
    let log = Some(files.log(&job.spec.id)).filter(|log| log.exists()).map(|log| format!("\nlog  {}", log.display()));
    let run = files.run(&job.spec.id).map(|run| format!("\nrun  {}", run.display()));
    [log, run].into_iter().flatten().collect()
}
