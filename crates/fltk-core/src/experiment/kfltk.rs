//! KFLTK's own files, read as they are: the cluster JSON, the arrival JSON, and both of the seed era (2021).
//!
//! Nothing of what they say is lost: `to_yaml` writes the result in our format. Where KFLTK didn't do what a file says, fltk does, and where a
//! name meant something else than it says (the seed era's `ADAM`), fltk does what was done; both with a word in the report. A unit that isn't
//! in the file is the same in both eras: `lambda` is minutes, and the report says so where the code had seconds.

mod arrival;
mod cluster;
mod losses;
mod lower;
mod sampler;
mod seed_era;
mod training;

pub use cluster::Cluster;

use super::{
    AdmissionConfig, Experiment, OrchestratorType, PolicyName, StreamConfig,
    check::check_stream,
    places::Places,
    report::{Problem, Severity, refused},
    source::{Span, quote},
    tree::{Entry, Node, Value},
};
use crate::seed::Seed;

/// Seed of an arrival file without a cluster file: that of KFLTK's example.
const SEED_DEFAULT: Seed = Seed(42);
/// Name of an experiment whose files give none, as in KFLTK.
const NAME_DEFAULT: &str = "experiment";

pub(crate) use cluster::read as read_cluster;

/// The arrival file's two layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    /// 2023: `trainTasks`.
    Main,
    /// 2021: a bare list.
    Seed,
}

/// The experiment of an arrival file and, where there is one, a cluster file.
pub(crate) fn read(mut arrival: Node, era: Era, cluster: Option<Node>, problems: &mut Vec<Problem>) -> Option<Experiment> {
    let read_cluster = cluster.map(|mut node| (cluster::read(&mut node, problems), node));
    match era {
        Era::Main => arrival::check_shape(&mut arrival, problems),
        Era::Seed => seed_era::check_shape(&mut arrival, problems),
    }
    // What follows are checks of meaning, which have nothing to say about values that were refused.
    let refused = refused(problems);
    let mut found = Vec::new();
    let experiment = read_checked(arrival, era, read_cluster, &mut found);
    problems.extend(found.into_iter().filter(|problem| !problem.touches(&refused)));
    experiment
}

fn read_checked(arrival: Node, era: Era, read_cluster: Option<(Option<Cluster>, Node)>, problems: &mut Vec<Problem>) -> Option<Experiment> {
    let jobs = match era {
        Era::Main => arrival::read(&arrival, problems),
        Era::Seed => seed_era::read(&arrival, problems),
    };
    let (settings, cluster_node) = match read_cluster {
        Some((settings, node)) => (Some(settings?), Some(node)),
        None => (None, None),
    };
    let jobs = jobs?;
    let name = match &settings {
        Some(settings) => experiment_name(settings, cluster_node.as_ref(), problems),
        None => NAME_DEFAULT.to_owned(),
    };
    let mut tasks = Vec::new();
    let mut spans = Vec::new();
    let mut groups = Vec::new();
    for job in jobs {
        groups.push(job.group);
        for (mut task, span) in job.tasks {
            if let Some(every) = settings.as_ref().and_then(|settings| settings.checkpoint_every) {
                task.checkpoint_every = every;
            }
            tasks.push(task);
            spans.push(span);
        }
    }
    let stream = StreamConfig {
        orchestrator: settings.as_ref().map_or(OrchestratorType::Batch, |settings| settings.orchestrator),
        parallel: settings.as_ref().is_none_or(|settings| settings.parallel),
        duration: settings.as_ref().and_then(|settings| settings.duration),
        // All that have arrived are started, in order of priority.
        policy: PolicyName::Priority,
        admission: AdmissionConfig::Unlimited {},
        backfill: false,
        trace: None,
        max_jobs: None,
        namespace: settings.as_ref().and_then(|settings| settings.namespace.clone()),
        image: settings.as_ref().and_then(|settings| settings.image.clone()),
        groups,
    };
    let seeds = settings.map_or_else(|| vec![SEED_DEFAULT], |settings| settings.seeds);
    let experiment = Experiment { name, seeds, tasks, stream: Some(stream) };
    check_both(&experiment, arrival, era, cluster_node, &spans, problems);
    Some(experiment)
}

/// Checks the stream; its settings are in both files.
fn check_both(experiment: &Experiment, arrival: Node, era: Era, cluster: Option<Node>, spans: &[Span], problems: &mut Vec<Problem>) {
    let whole = arrival.span;
    let entry = |key: &str, node: Node| Entry { key: key.to_owned(), key_span: node.span, node };
    let mut entries = vec![entry("arrival", arrival)];
    entries.extend(cluster.map(|node| entry("cluster", node)));
    let root = Node { span: whole, value: Value::Map(entries) };
    let jobs = match era {
        Era::Main => "arrival.trainTasks",
        Era::Seed => "arrival",
    };
    let mut names = vec![
        ("stream.orchestrator".to_owned(), "cluster.cluster.orchestrator.orchestrator_type".to_owned()),
        ("stream.duration".to_owned(), "cluster.execution_config.duration".to_owned()),
        ("stream.namespace".to_owned(), "cluster.cluster.namespace".to_owned()),
        ("stream.image".to_owned(), "cluster.cluster.image".to_owned()),
        ("stream.class_probability".to_owned(), "classProbability".to_owned()),
    ];
    let groups = experiment.stream.as_ref().map_or(0, |stream| stream.groups.len());
    for ours in ["gaps", "gaps.mean"] {
        names.extend((0..groups).map(|index| (format!("stream.groups.{index}.{ours}"), format!("{jobs}.{index}.lambda"))));
    }
    let names: Vec<(&str, &str)> = names.iter().map(|(ours, theirs)| (ours.as_str(), theirs.as_str())).collect();
    check_stream(experiment, &Places { root: &root, whole, names: &names }, spans, problems);
}

/// The prefix, with `-` in place of what a name can't have.
fn experiment_name(settings: &Cluster, cluster: Option<&Node>, problems: &mut Vec<Problem>) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let plain: String = settings.experiment_prefix.chars().map(|c| if fits(c) { c } else { '-' }).take(63).collect();
    let plain = plain.trim_start_matches('-');
    let name = if plain.is_empty() { NAME_DEFAULT.to_owned() } else { plain.to_owned() };
    if name != settings.experiment_prefix {
        let span = cluster.and_then(|node| node.get("execution_config")?.get("experiment_prefix")).map(|node| node.span);
        let message = format!("the experiment is called {} here", quote(&name));
        problems.push(Problem::new(Severity::Note, span, message).hint("names are letters, digits, `-` and `_`, at most 63"));
    }
    name
}
