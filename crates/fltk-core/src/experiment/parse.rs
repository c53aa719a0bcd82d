//! From files to a checked experiment, whatever their format.

use super::{
    Experiment, Override, Report, SourceFile, file,
    kfltk::{self, Cluster, Era},
    report::{Problem, Severity},
    source::{Span, closest},
    tree::{self, Node, Value},
};

/// What was read, and what is worth saying about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The experiment, checked and with every default filled in.
    pub experiment: Experiment,
    /// Warnings and notes; may be empty.
    pub warnings: Report,
}

/// A cluster file that was read, and what is worth saying about it.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedCluster {
    /// What the file says.
    pub cluster: Cluster,
    /// Warnings and notes; may be empty.
    pub warnings: Report,
}

/// The experiment that `files` describe, with `overrides` in place of what they say.
///
/// `files` is one file of our format or of KFLTK's federated learners, or an arrival file of KFLTK with or without its cluster file, in any order. Which it is shows in its keys.
/// Every default of our format is in `defaults.yaml`, beside this module. An arrival file without a cluster file has the seed 42. An override of
/// KFLTK's files may name a place in them, or in the experiment of our format that they become.
///
/// ```
/// use fltk_core::experiment::{SourceFile, parse};
/// let text = "
/// name: first
/// tasks:
///   - kind: federated
///     network: FashionMNISTCNN
///     dataset: fashion-mnist
///     federated: { clients: 10, clients_per_round: 20, rounds: 5 }
/// ";
/// let report = parse(&[SourceFile { name: "first.yaml".into(), text: text.into() }], &[]).expect_err("more clients than there are");
/// assert!(report.render(false).contains("first.yaml:7:50"));
///
/// let text = text.replace("20", "2");
/// let parsed = parse(&[SourceFile { name: "first.yaml".into(), text }], &["seeds=[7]".parse()?]).expect("a right file");
/// assert_eq!(parsed.experiment.seeds[0].0, 7);
/// # Ok::<(), fltk_core::experiment::OverrideError>(())
/// ```
///
/// # Errors
/// Everything that is wrong with the files, together with warnings and notes.
pub fn parse(files: &[SourceFile], overrides: &[Override]) -> Result<Parsed, Report> {
    let (mut problems, mut sources) = (Vec::new(), files.to_vec());
    sources.extend(overrides.iter().map(|set| SourceFile { name: "--set".to_owned(), text: set.source_text() }));
    let experiment = read(files, overrides, &mut sources, &mut problems);
    let report = Report::new(sources, problems);
    match experiment {
        Some(experiment) if !report.has_errors() => Ok(Parsed { experiment, warnings: report }),
        _ => Err(or_unreadable(report)),
    }
}

/// A KFLTK cluster file alone, of either era.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse_cluster(file: &SourceFile) -> Result<ParsedCluster, Report> {
    let mut problems = Vec::new();
    let cluster = match tree::read_file(file, 0, &mut problems) {
        Ok(mut node) => kfltk::read_cluster(&mut node, false, &mut problems),
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

/// A refusal always says why, even where a schema and a type should disagree.
pub(super) fn or_unreadable(mut report: Report) -> Report {
    if !report.has_errors() {
        report.problems.push(Problem::new(Severity::Error, None, "the file can't be read as an experiment"));
    }
    report
}

/// An experiment that other files became, with overrides, each with the number of its source, in place of what it says.
fn replace(
    experiment: &Experiment,
    overrides: &[(usize, &Override)],
    sources: &mut Vec<SourceFile>,
    problems: &mut Vec<Problem>,
) -> Option<Experiment> {
    let file = SourceFile { name: "as `fltk convert` prints it".to_owned(), text: file::to_yaml_as_is(experiment) };
    let mut root = tree::read(&file.text, sources.len(), problems).map_err(|problem| problems.push(*problem)).ok()?;
    sources.push(file);
    for (source, set) in overrides {
        set.apply(&mut root, *source, problems).map_err(|problem| problems.push(*problem)).ok()?;
    }
    file::read(root, problems)
}

/// What a file is, by its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Ours,
    Arrival(Era),
    /// KFLTK's YAML of a federated learner.
    Flat,
    Cluster,
    Kubernetes,
}

/// Keys of our format that no file of KFLTK has.
const OURS: [&str; 4] = ["name", "seeds", "tasks", "stream"];

fn read(files: &[SourceFile], overrides: &[Override], sources: &mut Vec<SourceFile>, problems: &mut Vec<Problem>) -> Option<Experiment> {
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
    // By what the files themselves say: a value from the command line doesn't make another kind of file of them.
    let kinds: Vec<Format> = roots.iter().map(format_of).collect();
    let is_kfltk = kinds.iter().any(|kind| matches!(kind, Format::Arrival(_) | Format::Flat));
    let mut of_experiment = Vec::new();
    for (index, set) in overrides.iter().enumerate() {
        let source = files.len() + index;
        if is_kfltk && set.path.first().is_some_and(|key| OURS.contains(&key.as_str())) {
            of_experiment.push((source, set));
            continue;
        }
        // Of several files, the one that knows the first key.
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
        ([Format::Ours], Some(node)) => file::read(node, problems),
        ([Format::Arrival(era)] | [Format::Arrival(era), Format::Cluster], Some(arrival)) => {
            let experiment = kfltk::read(arrival, *era, nodes.next(), problems)?;
            if of_experiment.is_empty() { Some(experiment) } else { replace(&experiment, &of_experiment, sources, problems) }
        }
        ([Format::Flat], Some(node)) => {
            let experiment = kfltk::read_flat(node, problems)?;
            if of_experiment.is_empty() { Some(experiment) } else { replace(&experiment, &of_experiment, sources, problems) }
        }
        ([Format::Cluster], Some(mut cluster)) => {
            kfltk::read_cluster(&mut cluster, false, problems);
            let start = Span { end: cluster.span.start, ..cluster.span };
            let problem = Problem::error(start, "a cluster file alone describes no tasks");
            problems.push(problem.hint("give the arrival file (with `trainTasks`) beside it"));
            None
        }
        (kinds, _) if kinds.contains(&Format::Kubernetes) => {
            let problem = Problem::new(Severity::Error, None, "a file with a `kubernetes` block describes pods, and no experiment");
            problems.push(problem.hint("`fltk cluster` and `fltk plan` take it beside an experiment"));
            None
        }
        (kinds, _) => {
            let problem = Problem::new(Severity::Error, None, format!("{} files that don't make one experiment together", kinds.len()));
            problems.push(problem.hint("give one file of fltk's own format, or an arrival file of KFLTK with or without its cluster file"));
            None
        }
    }
}

/// What kind of file a source is, by its keys alone: nothing else is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// One of our format or KFLTK's YAML of a federated learner; also what can't be told.
    Experiment,
    /// A KFLTK arrival file, of either era.
    Arrival,
    /// A KFLTK cluster file.
    Cluster,
    /// What pods get on Kubernetes: a file with a `kubernetes` block.
    Kubernetes,
}

/// What kind of file `file` is.
#[must_use]
pub fn file_kind(file: &SourceFile) -> FileKind {
    match tree::read_file(file, 0, &mut Vec::new()).map(|root| format_of(&root)) {
        Ok(Format::Arrival(_)) => FileKind::Arrival,
        Ok(Format::Cluster) => FileKind::Cluster,
        Ok(Format::Kubernetes) => FileKind::Kubernetes,
        Ok(Format::Ours | Format::Flat) | Err(_) => FileKind::Experiment,
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
        // Whatever keys it has beside them: KFLTK ignored what it didn't know.
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
    } else {
        Format::Ours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_keys() {
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
    }
}
