//! `fltk plan FILE`: the stream of jobs, before anything runs.

use fltk_cluster::{Amounts, JobSpec, Settings, jobs};
use fltk_core::experiment::{AdmissionConfig, Duration, Experiment};
use serde::Serialize;

use crate::{
    cli::{Cli, Output, PlanArgs},
    exit::{Exit, OrExit as _},
    inputs, output, timeline,
};

#[derive(Serialize)]
struct Plan<'a> {
    experiment: &'a str,
    policy: Settings,
    replications: Vec<Replication>,
}

#[derive(Serialize)]
struct Replication {
    seed: u64,
    jobs: Vec<JobSpec>,
}

/// Prints the jobs of every replication: when they arrive, and what they ask for.
///
/// # Errors
/// If the experiment or its trace is wrong, or the stream has no end within reason.
pub fn run(cli: &Cli, args: &PlanArgs) -> anyhow::Result<()> {
    let files = &args.experiment.files;
    let experiment = inputs::read_experiment(files, &args.experiment.overrides, args.experiment.seed)?;
    let trace = inputs::read_trace(&experiment, &inputs::base_folder(files))?;
    let replication = |index: usize| -> anyhow::Result<Replication> {
        let jobs = jobs(&experiment, &experiment.name, index, &trace).or_exit(Exit::Experiment)?;
        Ok(Replication { seed: experiment.seeds[index].0, jobs })
    };
    let replications = (0..experiment.seeds.len()).map(replication).collect::<anyhow::Result<_>>()?;
    let plan = Plan { experiment: &experiment.name, policy: Settings::of(experiment.stream.as_ref()), replications };
    match cli.output {
        Output::Json => output::json(&plan),
        Output::Text => plan.replications.iter().try_for_each(|replication| output::text(&plan.text(&experiment, replication, args.rows))),
    }
}

impl Plan<'_> {
    fn text(&self, experiment: &Experiment, replication: &Replication, rows: usize) -> String {
        let jobs = &replication.jobs;
        let last = jobs.last().map_or(Duration::from_millis(0), |job| job.arrival.at);
        let backfill = if self.policy.backfill { ", with backfill" } else { "" };
        let mut text = format!(
            "{}, seed {}: {} jobs, the last after {}\npolicy {}, admission {}{backfill}\n\n",
            self.experiment,
            replication.seed,
            jobs.len(),
            clock(last),
            name_of(&self.policy.policy),
            admission(self.policy.admission)
        );
        let mut table = output::table(&["job", "arrives", "task", "priority", "pods", "asks for, in all"], &[1, 3, 4]);
        for job in jobs.iter().take(rows) {
            let pods: u32 = job.pods.iter().map(|pod| pod.count).sum();
            let asks =
                Some(job.requests()).filter(|requests| *requests != Amounts::none()).map_or_else(|| "-".to_owned(), |sum| sum.to_string());
            let (at, priority) = (clock(job.arrival.at), job.arrival.priority.to_string());
            table.add_row([job.id.to_string(), at, job.class.clone(), priority, pods.to_string(), asks]);
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

/// `0:01:23.4`.
fn clock(at: Duration) -> String {
    let tenths = at.as_millis() / 100;
    let seconds = tenths / 10;
    format!("{}:{:02}:{:02}.{}", seconds / 3600, seconds / 60 % 60, seconds % 60, tenths % 10)
}
