//! `fltk plan FILE`: prints the stream of jobs before anything runs.

#[cfg(feature = "cluster")]
mod manifests;

use fltk_core::{
    arrivals::TraceEntry,
    experiment::{AdmissionConfig, Duration, Experiment},
};
#[cfg(feature = "cluster")]
use fltk_kubernetes::manifest::RunContext;
use fltk_plan::{Amounts, JobSpec, Settings, Stream, jobs};
use serde::Serialize;

#[cfg(feature = "cluster")]
use crate::stream::kubernetes;
use crate::{
    cli::{Cli, Output, PlanArgs},
    exit::{Exit, OrExit as _},
    output,
    stream::planned_name,
    timeline::{self, clock},
    work::Work,
};
#[cfg(not(feature = "cluster"))]
use crate::{inputs, stream::Inputs};

#[derive(Serialize)]
struct Plan<'a> {
    experiment: &'a str,
    policy: Settings,
    replications: Vec<Replication>,
    /// The settings that Kubernetes can't run, each with the reason.
    refusals: Vec<String>,
}

#[derive(Serialize)]
struct Replication {
    seed: u64,
    jobs: Vec<JobSpec>,
}

/// Prints the jobs of every replication, with their arrival times and resource requests.
///
/// # Errors
/// If the experiment or its trace is wrong, or the stream has more jobs than allowed.
pub fn run(cli: &Cli, args: &PlanArgs) -> anyhow::Result<()> {
    let read = read(args)?;
    let work = Work::wait("computing the arrivals");
    let experiment = &read.experiment;
    let run = planned_name(&experiment.name);
    let replication = |index: usize| -> anyhow::Result<Replication> {
        let jobs = jobs(experiment, &run, index, &read.trace).or_exit(Exit::Experiment)?;
        Ok(Replication { seed: experiment.seeds[index].0, jobs: jobs.into_iter().map(|spec| read.adapt(spec)).collect() })
    };
    let replications = (0..experiment.seeds.len()).map(replication).collect::<anyhow::Result<_>>()?;
    drop(work);
    let policy = Settings::of(experiment.stream.as_ref());
    let plan = Plan { experiment: &experiment.name, policy, replications, refusals: read.refusals() };
    #[cfg(feature = "cluster")]
    if let Some(folder) = &args.manifests {
        let context = read.objects.as_ref().map_err(|error| anyhow::anyhow!("{error}")).or_exit(Exit::Experiment)?;
        let count = manifests::write(folder, context, plan.replications.iter().flat_map(|replication| &replication.jobs))?;
        tracing::info!("the objects of {} are in `{}`", output::counted(count, "job"), folder.display());
    }
    match cli.output {
        Output::Json => output::json(&plan),
        Output::Text => {
            plan.replications.iter().try_for_each(|replication| output::text(&plan.text(experiment, replication, args.rows)))?;
            plan.refusals.iter().try_for_each(|refusal| output::text(&format!("refused on Kubernetes: {refusal}")))
        }
    }
}

/// The contents of the files.
struct Read {
    experiment: Experiment,
    trace: Vec<TraceEntry>,
    /// The settings that all jobs share on Kubernetes; `None` if no file has a `kubernetes` block or names an image.
    #[cfg(feature = "cluster")]
    context: Option<RunContext>,
    /// The context that objects are created from, or the reason why none can be created.
    #[cfg(feature = "cluster")]
    objects: anyhow::Result<RunContext>,
}

#[cfg(feature = "cluster")]
fn read(args: &PlanArgs) -> anyhow::Result<Read> {
    let mut read = kubernetes::read(&args.experiment.files, &args.experiment.overrides, args.experiment.seed)?;
    if args.manifests.is_some() {
        read.take_modules()?;
    }
    let namespace = read.config.namespace.clone().unwrap_or_else(|| "default".to_owned());
    let Stream { experiment, trace, run } = read.inputs.stream(&planned_name(&read.inputs.experiment.name))?;
    let objects = read.context(&run, &namespace);
    // Requests and refusals don't depend on the image, and `fltk cluster --image` may still name one.
    let unnamed = || read.has_block.then(|| read.context_with(&run, &namespace, String::new()));
    let context = objects.as_ref().ok().cloned().or_else(unnamed);
    Ok(Read { context, objects, trace, experiment })
}

#[cfg(not(feature = "cluster"))]
fn read(args: &PlanArgs) -> anyhow::Result<Read> {
    let files = &args.experiment.files;
    let experiment = inputs::read_experiment(files, &args.experiment.overrides, args.experiment.seed)?;
    let run = planned_name(&experiment.name);
    let Stream { experiment, trace, .. } = Inputs::of(experiment, &inputs::base_folder(files))?.stream(&run)?;
    Ok(Read { experiment, trace })
}

impl Read {
    #[cfg(feature = "cluster")]
    fn adapt(&self, spec: JobSpec) -> JobSpec {
        match &self.context {
            Some(context) => context.with_requests(spec),
            None => spec,
        }
    }

    #[cfg(feature = "cluster")]
    fn refusals(&self) -> Vec<String> {
        self.context.as_ref().map(RunContext::refusals).unwrap_or_default()
    }

    #[cfg(not(feature = "cluster"))]
    fn adapt(&self, spec: JobSpec) -> JobSpec {
        spec
    }

    #[cfg(not(feature = "cluster"))]
    fn refusals(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Plan<'_> {
    fn text(&self, experiment: &Experiment, replication: &Replication, rows: usize) -> String {
        let jobs = &replication.jobs;
        let Some(last) = jobs.last() else {
            return format!("{}, seed {}: no job arrives\n", self.experiment, replication.seed);
        };
        let backfill = if self.policy.backfill { ", with backfill" } else { "" };
        let mut text = format!(
            "{}, seed {}: {}, the last after {}\npolicy {}, admission {}{backfill}\n\n",
            self.experiment,
            replication.seed,
            output::counted(jobs.len(), "job"),
            clock(last.arrival.at),
            name_of(&self.policy.policy),
            admission(self.policy.admission)
        );
        let mut table = output::table(&["job", "arrives", "task", "priority", "pods", "requests in total"], &[1, 3, 4]);
        for job in jobs.iter().take(rows) {
            let asks =
                Some(job.requests()).filter(|requests| *requests != Amounts::none()).map_or_else(|| "-".to_owned(), |sum| sum.to_string());
            let (at, priority) = (clock(job.arrival.at), job.arrival.priority.to_string());
            table.add_row([job.id.to_string(), at, job.class.clone(), priority, job.num_pods().to_string(), asks]);
        }
        text.push_str(&format!("{table}\n"));
        if let Some(more) = jobs.len().checked_sub(rows).filter(|more| *more > 0) {
            text.push_str(&format!("and {more} more (`--rows N`, or `--output json`)\n"));
        }
        let classes: Vec<&str> = experiment.tasks.iter().map(|task| task.name.as_str()).collect();
        let arrivals: Vec<(usize, Duration)> = jobs.iter().map(|job| (job.arrival.task, job.arrival.at)).collect();
        text.push_str(&format!("\n{}", timeline::draw(&classes, &arrivals)));
        text
    }
}

fn name_of(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|json| json.as_str().map(str::to_owned)).unwrap_or_default()
}

fn admission(admission: AdmissionConfig) -> String {
    match admission {
        AdmissionConfig::Unlimited {} => "unlimited".to_owned(),
        AdmissionConfig::MaxConcurrent { jobs } => format!("max_concurrent {jobs}"),
        AdmissionConfig::Capacity {} => "by capacity".to_owned(),
    }
}
