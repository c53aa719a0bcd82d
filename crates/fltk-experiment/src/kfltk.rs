//! KFLTK's own files, read as they are: the cluster JSON, the arrival JSON, and both of the seed era (2021) and of the era between (May 2022);
//! and the YAML of its federated learners.
//!
//! Nothing in them is lost: `to_yaml` writes the result in our format. Where KFLTK didn't do what a file says, fltk does what the file says; where a
//! name was misleading (the seed era's `ADAM`), fltk does what KFLTK did. Both are reported. `lambda` has the unit of the era's code: minutes, or
//! seconds in the seed era.

mod arrival;
mod between;
mod cluster;
mod flat;
mod lenient;
mod losses;
mod lower;
mod nets;
mod sampler;
mod sections;
mod seed_era;
mod stream;
mod training;

pub use cluster::Cluster;

use super::{
    AdmissionConfig, Experiment, Gaps, OrchestratorType, PolicyName, StreamConfig,
    check::{check_stream, own_name},
    places::Places,
    report::{Problem, Severity, refused},
    source::{Span, quote},
    tree::{Entry, Node, Value},
};
use fltk_core::{catalogue::Catalogues, name::Name, seed::Seed};

/// The seed of an arrival file without a cluster file: that of KFLTK's example.
const SEED_DEFAULT: Seed = Seed(42);
/// The name of an experiment whose files give none, as in KFLTK.
const NAME_DEFAULT: &str = "experiment";

pub(crate) use between::is as is_between;
pub(crate) use cluster::read as read_cluster;
pub(crate) use flat::{is as is_flat, read as read_flat};

/// The layouts of the arrival file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    /// 2023: `trainTasks`.
    Main,
    /// May 2022: a bare list, in which each job has a single class.
    Between,
    /// 2021: a bare list.
    Seed,
}

/// Returns the experiment of an arrival file and, if there is one, a cluster file.
pub(crate) fn read(
    mut arrival: Node,
    era: Era,
    cluster: Option<Node>,
    catalogues: &Catalogues,
    problems: &mut Vec<Problem>,
) -> Option<Experiment> {
    nets::rename(&mut arrival, &["network"], problems);
    match era {
        Era::Main => arrival::check_shape(&mut arrival, catalogues, problems),
        Era::Between => between::check_shape(&mut arrival, catalogues, problems),
        Era::Seed => seed_era::check_shape(&mut arrival, catalogues, problems),
    }
    let seeds = arrival_seeds(&arrival, era, problems);
    let read_cluster = cluster.map(|mut node| (cluster::read(&mut node, !seeds.is_empty(), catalogues, problems), node));
    // The checks below are about meaning, and skip values that were refused.
    let refused = refused(problems);
    let mut found = Vec::new();
    let experiment = read_checked(arrival, era, &seeds, read_cluster, catalogues, &mut found);
    problems.extend(found.into_iter().filter(|problem| !problem.touches(&refused)));
    experiment
}

/// Returns the seeds in an arrival file, with their places; most arrival files have none.
fn arrival_seeds(arrival: &Node, era: Era, problems: &mut Vec<Problem>) -> Vec<Node> {
    match era {
        Era::Main => match arrival.get("experimentConfiguration").and_then(|section| section.get("randomSeed")) {
            Some(Node { value: Value::List(seeds), .. }) => seeds.clone(),
            _ => Vec::new(),
        },
        Era::Between => {
            let (seeds, other) = between::seeds(arrival);
            if let Some(span) = other {
                let message = "jobs have different `randomSeed`s: here each job runs once with each seed of all of them";
                let problem = Problem::new(Severity::Warning, Some(span), message);
                problems.push(problem.hint("for runs with their own seeds only, give each job a file of its own"));
            }
            seeds
        }
        Era::Seed => Vec::new(),
    }
}

/// Returns `seeds` without repetitions: a run with the same seed has the same results.
fn without_repeats(seeds: &[Seed], places: &[Node], problems: &mut Vec<Problem>) -> Vec<Seed> {
    let mut kept: Vec<Seed> = Vec::new();
    for (index, seed) in seeds.iter().enumerate() {
        if kept.contains(seed) {
            let message = format!("the seed `{}` is given twice, and runs once", seed.0);
            let problem = Problem::new(Severity::Warning, places.get(index).map(|place| place.span), message);
            problems.push(problem.hint("a replication with the same seed gives the same results"));
        } else {
            kept.push(*seed);
        }
    }
    kept
}

fn read_checked(
    mut arrival: Node,
    era: Era,
    seeds: &[Node],
    read_cluster: Option<(Option<Cluster>, Node)>,
    catalogues: &Catalogues,
    problems: &mut Vec<Problem>,
) -> Option<Experiment> {
    let jobs = match era {
        Era::Main => arrival::read(&arrival, catalogues, problems),
        Era::Between => between::read(&mut arrival, catalogues, problems),
        Era::Seed => seed_era::read(&arrival, catalogues, problems),
    };
    let (settings, cluster_node) = match read_cluster {
        Some((settings, node)) => (Some(settings?), Some(node)),
        None => (None, None),
    };
    let jobs = jobs?;
    let name = match &settings {
        Some(settings) => {
            let span = cluster_node.as_ref().and_then(|node| node.get("execution_config")?.get("experiment_prefix")).map(|node| node.span);
            experiment_name(&settings.experiment_prefix, span, problems)
        }
        None => own_name(NAME_DEFAULT),
    };
    let seeds = seeds_of(seeds, settings.as_ref(), cluster_node.as_ref(), problems);
    let mut tasks = Vec::new();
    let mut spans = Vec::new();
    let mut groups = Vec::new();
    for job in jobs {
        groups.push(job.group);
        for (mut task, span) in job.tasks {
            if let Some(every) = settings.as_ref().and_then(|settings| settings.checkpoint_every) {
                task.training_mut().into_iter().for_each(|training| training.checkpoint_every = every);
            }
            tasks.push(task);
            spans.push(span);
        }
    }
    let orchestrator = stream::orchestrator(era, settings.as_ref(), cluster_node.as_ref(), problems);
    if orchestrator == OrchestratorType::Batch {
        // The gaps aren't used in a batch, so they may have any value.
        groups
            .iter_mut()
            .for_each(|group| group.gaps = group.gaps.filter(|gaps| !matches!(gaps, Gaps::Exponential { mean } if mean.as_millis() == 0)));
    }
    let stream = StreamConfig {
        orchestrator,
        parallel: settings.as_ref().is_none_or(|settings| settings.parallel),
        duration: settings.as_ref().and_then(|settings| settings.duration),
        // All jobs that have arrived are started, in order of priority.
        policy: PolicyName::Priority,
        admission: AdmissionConfig::Unlimited {},
        backfill: false,
        trace: None,
        max_jobs: None,
        namespace: settings.as_ref().and_then(|settings| settings.namespace.clone()),
        image: settings.as_ref().and_then(|settings| settings.image.clone()),
        groups,
    };
    stream::note(&stream, &tasks, &arrival, era, cluster_node.is_some(), problems);
    let experiment = Experiment { name, seeds, tasks, stream: Some(stream) };
    check_both(&experiment, arrival, era, cluster_node, &spans, problems);
    Some(experiment)
}

/// Returns the arrival file's seeds, if it has any; otherwise the cluster file's.
fn seeds_of(arrival: &[Node], settings: Option<&Cluster>, cluster: Option<&Node>, problems: &mut Vec<Problem>) -> Vec<Seed> {
    let reproducibility = cluster.and_then(|node| node.get("execution_config")?.get("reproducibility"));
    let of_arrival: Option<Vec<Seed>> = arrival.iter().map(|seed| serde_json::from_value(seed.to_json()).ok()).collect();
    if let Some(seeds) = of_arrival.filter(|seeds| !seeds.is_empty()) {
        let given = reproducibility.and_then(|section| section.entry("seeds").or_else(|| section.entry("torch_seed")));
        if let Some(entry) = given {
            let message = format!("{} has no effect: the arrival file's `randomSeed` sets the seeds", quote(&entry.key));
            problems.push(Problem::new(Severity::Note, Some(entry.key_span), message));
        }
        return without_repeats(&seeds, arrival, problems);
    }
    let places = match reproducibility.and_then(|section| section.get("seeds")) {
        Some(Node { value: Value::List(seeds), .. }) => seeds.as_slice(),
        _ => &[],
    };
    settings.map_or_else(|| vec![SEED_DEFAULT], |settings| without_repeats(&settings.seeds, places, problems))
}

/// Checks the stream, whose settings are in both files.
fn check_both(experiment: &Experiment, arrival: Node, era: Era, cluster: Option<Node>, spans: &[Span], problems: &mut Vec<Problem>) {
    let whole = arrival.span;
    let entry = |key: &str, node: Node| Entry { key: key.to_owned(), key_span: node.span, node };
    let mut entries = vec![entry("arrival", arrival)];
    entries.extend(cluster.map(|node| entry("cluster", node)));
    let root = Node { span: whole, value: Value::Map(entries) };
    let jobs = match era {
        Era::Main => "arrival.trainTasks",
        Era::Between | Era::Seed => "arrival",
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

/// Returns `prefix` as a name, with `-` instead of characters that a name can't have.
fn experiment_name(prefix: &str, span: Option<Span>, problems: &mut Vec<Problem>) -> Name {
    let name = Name::most_like(prefix).unwrap_or_else(|| own_name(NAME_DEFAULT));
    if name != prefix {
        let message = format!("the experiment is called {} here", quote(&name));
        problems.push(Problem::new(Severity::Note, span, message).hint(format!("names are {}", Name::RULE)));
    }
    name
}
