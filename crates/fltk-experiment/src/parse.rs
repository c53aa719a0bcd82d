//! Conversion of files to a checked experiment, whatever their format.

use super::{
    Experiment, Override, Report, SourceFile,
    kfltk::{self, Cluster, Era},
    read::{self, ReadTasks},
    report::{Problem, Severity},
    source::{Span, closest},
    tree::{self, Node, Value},
    write,
};
use fltk_core::catalogue::Catalogues;

/// A parsed experiment with warnings and notes.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The experiment, checked and with every default filled in.
    pub experiment: Experiment,
    /// Warnings and notes; may be empty.
    pub warnings: Report,
    /// The places of the tasks' [`files`](fltk_core::experiment::Task::files), in the same order. Files of KFLTK's name none.
    pub file_places: Vec<FilePlace>,
}

/// The place of a path in a task, for those who open the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlace {
    /// The index of the task.
    pub task: usize,
    /// The setting, such as `federated.partition.path`.
    pub setting: String,
    /// The place of its value, in the sources of the parsed experiment's warnings.
    pub span: Span,
}

/// A parsed cluster file with warnings and notes.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedCluster {
    /// The contents of the file.
    pub cluster: Cluster,
    /// Warnings and notes; may be empty.
    pub warnings: Report,
}

/// Returns the experiment that `files` describe, with `overrides` replacing values in them. Nets, strategies and the like are those of `catalogues`.
///
/// `files` is one file of our format or of KFLTK's federated learners, or an arrival file of KFLTK with or without its cluster file, in any order. The format
/// is recognized by the keys. Every default of our format is in `defaults.yaml`, next to this module. An arrival file without a cluster file has the seed 42.
/// An override of KFLTK's files may name a place in them, or in the experiment of our format that they are converted to.
///
/// ```
/// use fltk_experiment::{SourceFile, parse};
/// let catalogues = fltk_catalogue::catalogues();
/// let text = "
/// name: first
/// tasks:
///   - kind: federated
///     network: FashionMNISTCNN
///     dataset: fashion-mnist
///     federated: { clients: 10, clients_per_round: 20, rounds: 5 }
/// ";
/// let report = parse(&[SourceFile { name: "first.yaml".into(), text: text.into() }], &[], catalogues).expect_err("too many");
/// assert!(report.render(false).contains("first.yaml:7:50"));
///
/// let text = text.replace("20", "2");
/// let parsed = parse(&[SourceFile { name: "first.yaml".into(), text }], &["seeds=[7]".parse()?], catalogues).expect("a right file");
/// assert_eq!(parsed.experiment.seeds[0].0, 7);
/// # Ok::<(), fltk_experiment::OverrideError>(())
/// ```
///
/// # Errors
/// Every problem in the files, together with warnings and notes.
pub fn parse(files: &[SourceFile], overrides: &[Override], catalogues: &Catalogues) -> Result<Parsed, Report> {
    let (mut problems, mut sources) = (Vec::new(), files.to_vec());
    sources.extend(overrides.iter().map(|set| SourceFile { name: "--set".to_owned(), text: set.source_text() }));
    let experiment = read(files, overrides, catalogues, &mut sources, &mut problems);
    let report = Report::new(sources, problems);
    match experiment {
        Some(ReadTasks { experiment, file_places }) if !report.has_errors() => Ok(Parsed { experiment, warnings: report, file_places }),
        _ => Err(or_unreadable(report)),
    }
}

/// Parses a KFLTK cluster file alone, of either era.
///
/// # Errors
/// Every problem in the file.
pub fn parse_cluster(file: &SourceFile, catalogues: &Catalogues) -> Result<ParsedCluster, Report> {
    let mut problems = Vec::new();
    let cluster = match tree::read_file(file, 0, &mut problems) {
        Ok(mut node) => kfltk::read_cluster(&mut node, false, catalogues, &mut problems),
        Err(problem) => {
            problems.push(*problem);
            None
        }
    };
    let report = Report::new(vec![file.clone()], problems);
    match cluster {
        Some(cluster) if !report.has_errors() => Ok(ParsedCluster { cluster, warnings: report }),
        _ => Err(or_unreadable(report)),
    }
}

/// Ensures that a refusal has a reason, even if a schema and a type should disagree.
pub(super) fn or_unreadable(mut report: Report) -> Report {
    if !report.has_errors() {
        report.problems.push(Problem::new(Severity::Error, None, "the file can't be read as an experiment"));
    }
    report
}

/// Applies overrides, each with the number of its source, to an experiment that was converted from other files.
fn replace(
    experiment: &Experiment,
    overrides: &[(usize, &Override)],
    catalogues: &Catalogues,
    sources: &mut Vec<SourceFile>,
    problems: &mut Vec<Problem>,
) -> Option<ReadTasks> {
    let file = SourceFile { name: "as `fltk convert` prints it".to_owned(), text: write::to_yaml_as_is(experiment) };
    let mut root = tree::read(&file.text, sources.len(), problems).map_err(|problem| problems.push(*problem)).ok()?;
    sources.push(file);
    for (source, set) in overrides {
        set.apply(&mut root, *source, problems).map_err(|problem| problems.push(*problem)).ok()?;
    }
    read::read(root, catalogues, problems)
}

/// The format of a file, judged by its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Ours,
    Arrival(Era),
    /// KFLTK's YAML of a federated learner.
    Flat,
    Cluster,
    Kubernetes,
    /// Values of the Helm charts.
    Values,
}

/// Keys of our format that no file of KFLTK has.
const OURS: [&str; 4] = ["name", "seeds", "tasks", "stream"];

/// Keys of the charts' values, of which any file of values has two.
const VALUES: [&str; 5] = ["fltk", "provider", "storage", "orchestrator", "extractor"];

fn read(
    files: &[SourceFile],
    overrides: &[Override],
    catalogues: &Catalogues,
    sources: &mut Vec<SourceFile>,
    problems: &mut Vec<Problem>,
) -> Option<ReadTasks> {
    let mut roots = Vec::new();
    for (source, file) in files.iter().enumerate() {
        match tree::read_file(file, source, problems) {
            Ok(node) => roots.push(node),
            Err(problem) => problems.push(*problem),
        }
    }
    if roots.len() < files.len() {
        return None;
    }
    // Overrides are left out here: a value from the command line doesn't change the format of a file.
    let kinds: Vec<Format> = roots.iter().map(format_of).collect();
    let is_kfltk = kinds.iter().any(|kind| matches!(kind, Format::Arrival(_) | Format::Flat));
    let mut of_experiment = Vec::new();
    for (index, set) in overrides.iter().enumerate() {
        let source = files.len() + index;
        if is_kfltk && set.path.first().is_some_and(|key| OURS.contains(&key.as_str())) {
            of_experiment.push((source, set));
            continue;
        }
        // With several files, the override applies to the one that has the first key.
        let position = roots.iter().position(|root| set.path.first().is_some_and(|key| root.get(key).is_some())).unwrap_or(0);
        let applied = roots.get_mut(position).map(|root| set.apply(root, source, problems));
        if let Some(Err(problem)) = applied {
            problems.push(*problem);
        }
    }
    let mut formats: Vec<(Format, Node)> = kinds.into_iter().zip(roots).collect();
    formats.sort_by_key(|(format, _)| *format == Format::Cluster);
    let kinds: Vec<Format> = formats.iter().map(|(format, _)| *format).collect();
    let mut nodes = formats.into_iter().map(|(_, node)| node);
    match (kinds.as_slice(), nodes.next()) {
        ([Format::Ours], Some(node)) => read::read(node, catalogues, problems),
        ([Format::Arrival(era)] | [Format::Arrival(era), Format::Cluster], Some(arrival)) => {
            let experiment = kfltk::read(arrival, *era, nodes.next(), catalogues, problems)?;
            if of_experiment.is_empty() {
                Some(experiment.into())
            } else {
                replace(&experiment, &of_experiment, catalogues, sources, problems)
            }
        }
        ([Format::Flat], Some(node)) => {
            let experiment = kfltk::read_flat(node, catalogues, problems)?;
            if of_experiment.is_empty() {
                Some(experiment.into())
            } else {
                replace(&experiment, &of_experiment, catalogues, sources, problems)
            }
        }
        ([Format::Cluster], Some(mut cluster)) => {
            kfltk::read_cluster(&mut cluster, false, catalogues, problems);
            let start = Span { end: cluster.span.start, ..cluster.span };
            let problem = Problem::error(start, "a cluster file alone describes no tasks");
            problems.push(problem.hint("give the arrival file (with `trainTasks`) too"));
            None
        }
        (kinds, _) if kinds.contains(&Format::Kubernetes) => {
            let problem = Problem::new(Severity::Error, None, "a file with a `kubernetes` block describes pods, not an experiment");
            problems.push(problem.hint("`fltk cluster` and `fltk plan` take it together with an experiment"));
            None
        }
        (kinds, _) if kinds.contains(&Format::Values) => {
            let problem =
                Problem::new(Severity::Error, None, "a file with values of the Helm charts describes an installation, not an experiment");
            problems.push(problem.hint("`helm install` takes it (`--values`), together with the experiment: docs/charts.md"));
            None
        }
        (kinds, _) => {
            let problem = Problem::new(Severity::Error, None, format!("{} files that don't make one experiment together", kinds.len()));
            problems.push(problem.hint("give one file of fltk's own format, or an arrival file of KFLTK with or without its cluster file"));
            None
        }
    }
}

/// The kind of a file, judged by its keys alone: nothing else is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A file in our format or KFLTK's YAML of a federated learner; also any file that can't be recognized.
    Experiment,
    /// A KFLTK arrival file, of either era.
    Arrival,
    /// A KFLTK cluster file.
    Cluster,
    /// Settings for pods on Kubernetes: a file with a `kubernetes` block.
    Kubernetes,
}

/// Returns the kind of `file`.
#[must_use]
pub fn file_kind(file: &SourceFile) -> FileKind {
    match tree::read_file(file, 0, &mut Vec::new()).map(|root| format_of(&root)) {
        Ok(Format::Arrival(_)) => FileKind::Arrival,
        Ok(Format::Cluster) => FileKind::Cluster,
        Ok(Format::Kubernetes) => FileKind::Kubernetes,
        Ok(Format::Ours | Format::Flat | Format::Values) | Err(_) => FileKind::Experiment,
    }
}

fn format_of(root: &Node) -> Format {
    let Value::Map(entries) = &root.value else {
        let is_jobs = root.item(0).is_some_and(|job| job.get("jobClassParameters").is_some() || job.get("name").is_none());
        return match root.value {
            Value::List(_) if kfltk::is_between(root) => Format::Arrival(Era::Between),
            Value::List(_) if is_jobs => Format::Arrival(Era::Seed),
            _ => Format::Ours,
        };
    };
    let has = |names: &[&str]| entries.iter().any(|entry| names.contains(&entry.key.as_str()));
    let nearly_has = |name: &str| entries.iter().any(|entry| closest(&entry.key, ["name", "tasks", "seeds", "stream", name]) == Some(name));
    if has(&["trainTasks"]) && !has(&["tasks"]) {
        // Other keys don't matter: KFLTK ignored unknown keys.
        Format::Arrival(Era::Main)
    } else if has(&["execution_config"]) && has(&["cluster"]) && !has(&["tasks"]) {
        Format::Cluster
    } else if has(&["name", "tasks", "seeds"]) {
        Format::Ours
    } else if has(&["kubernetes"]) {
        Format::Kubernetes
    } else if nearly_has("trainTasks") {
        Format::Arrival(Era::Main)
    } else if has(&["cluster", "execution_config"]) || nearly_has("execution_config") {
        Format::Cluster
    } else if kfltk::is_flat(root) {
        Format::Flat
    } else if entries.iter().filter(|entry| VALUES.contains(&entry.key.as_str())).count() >= 2 && !has(&OURS) {
        Format::Values
    } else {
        Format::Ours
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fltk_core::catalogue::Entries;

    #[test]
    fn formats_are_recognized_by_their_keys() {
        let check = |text: &str, expected| assert_eq!(format_of(&tree::read(text, 0, &mut Vec::new()).expect("valid")), expected, "{text}");
        check("{name: a, tasks: []}", Format::Ours);
        check("{}", Format::Ours);
        check("5", Format::Ours);
        check("{trainTasks: []}", Format::Arrival(Era::Main));
        check("{trainTask: []}", Format::Arrival(Era::Main));
        check("[{jobClassParameters: []}]", Format::Arrival(Era::Seed));
        check("[{type: federated, jobClassParameters: {}}]", Format::Arrival(Era::Between));
        check("[{jobClassParameters: [{hyperParameters: {default: {}}}]}]", Format::Arrival(Era::Between));
        check("{name: mine, trainTasks: []}", Format::Arrival(Era::Main));
        check("{rounds: 2, net_name: MNISTCNN}", Format::Flat);
        check("{total_epochs: 2, net: MNISTCNN}", Format::Flat);
        check("{rounds: 2, batch_size: 1}", Format::Ours);
        check("{name: x, net_name: MNISTCNN, rounds: 2}", Format::Ours);
        check("{execution_config: {}, cluster: {}}", Format::Cluster);
        check("{executionconfig: {}}", Format::Cluster);
        check("{name: mine, execution_config: {}, cluster: {}}", Format::Cluster);
        check("{kubernetes: {}}", Format::Kubernetes);
        check("{provider: {}, orchestrator: {}}", Format::Values);
        check("{orchestrator: {}}", Format::Ours);
        check("{stream: {}, provider: {}, storage: {}}", Format::Ours);
    }

    #[test]
    fn chart_values_are_refused_with_their_place() {
        let source = SourceFile { name: "values.yaml".to_owned(), text: "provider: {}\nextractor: {}\n".to_owned() };
        let report = parse(&[source], &[], &Catalogues::new(Entries::default())).expect_err("no experiment").render(false);
        assert!(report.contains("values of the Helm charts") && report.contains("helm install"), "{report}");
    }
}
