//! Checks for streams that could never run.

use std::collections::BTreeSet;

use fltk_core::name::is_dns_label;

use super::{
    super::{
        Experiment, Gaps, OrchestratorType, PolicyName, StreamConfig,
        places::{Place, Places},
        report::{Problem, Severity},
        source::{Span, closest, quote},
    },
    read_name,
};

/// The limit on characters in an image reference, which is a registry's host, a path and a tag.
const IMAGE_CHARS_MAX: usize = 512;

/// Checks the stream. `task_spans` has the place of each task of the experiment, in order.
pub(crate) fn check_stream(experiment: &Experiment, places: &Places<'_>, task_spans: &[Span], problems: &mut Vec<Problem>) {
    let Some(stream) = &experiment.stream else { return };
    check_names(stream, places, problems);
    check_own_data(experiment, places, task_spans, problems);
    let mut seen = BTreeSet::new();
    for (index, group) in stream.groups.iter().enumerate() {
        let at = |key: &str| places.at(&format!("stream.groups.{index}.{key}"));
        read_name(&group.name, "an arrival group", at("name").span, problems);
        if stream.groups[..index].iter().any(|earlier| earlier.name == group.name) {
            problems.push(Problem::error(at("name").span, format!("two groups are called {}", quote(&group.name))));
        }
        for (position, name) in group.tasks.iter().enumerate() {
            let span = at(&format!("tasks.{position}")).span;
            if !experiment.tasks.iter().any(|task| task.name == *name) {
                let problem = Problem::error(span, format!("there is no task {}", quote(name)));
                problems.push(match closest(name, experiment.tasks.iter().map(|task| task.name.as_str())) {
                    Some(near) => problem.hint(format!("did you mean {}?", quote(near))),
                    None => problem.hint("groups list tasks by their `name`"),
                });
            } else if !seen.insert(name.as_str()) {
                problems.push(Problem::error(span, format!("the task {} is in a group already", quote(name))));
            }
        }
        check_gaps(group.gaps, &|key| at(key), problems);
        if group.preempt && stream.policy != PolicyName::Priority {
            let (preempt, policy) = (at("preempt"), places.at("stream.policy"));
            let message = format!("`{}` has an effect under `policy: priority` only", preempt.name);
            problems.push(Problem::new(Severity::Warning, Some(preempt.span), message).label(policy.span, "another policy"));
        }
    }
    match stream.orchestrator {
        OrchestratorType::Batch => {}
        OrchestratorType::Simulated => check_simulated(experiment, stream, places, task_spans, problems),
        OrchestratorType::Trace => check_trace(stream, places, problems),
    }
}

/// Refuses tasks whose clients have data of their own: a job of a stream ends with the nodes that were made for it, and has nobody who waits for others.
fn check_own_data(experiment: &Experiment, places: &Places<'_>, task_spans: &[Span], problems: &mut Vec<Problem>) {
    for (task, span) in experiment.tasks.iter().zip(task_spans).filter(|(task, _)| task.has_own_data()) {
        let message =
            format!("the clients of the task {} have data of their own (`data: here`), and a stream's jobs have none", quote(&task.name));
        let problem = Problem::error(*span, message).label(places.at("stream").span, "a stream");
        problems.push(problem.hint("leave `stream` out, and run it with `fltk federate`, where its nodes can call"));
    }
}

fn check_gaps(gaps: Option<Gaps>, at: &dyn Fn(&str) -> Place, problems: &mut Vec<Problem>) {
    let (key, longest) = match gaps {
        None => return,
        Some(Gaps::Exponential { mean }) => ("gaps.mean", mean),
        Some(Gaps::Deterministic { every }) => ("gaps.every", every),
        Some(Gaps::Uniform { min, max }) => {
            if min > max {
                let (shortest, longest) = (at("gaps.min"), at("gaps.max"));
                let problem = Problem::error(shortest.span, format!("`{}` is {min}, above `{}`", shortest.name, longest.name));
                problems.push(problem.label(longest.span, format!("{max}")));
            }
            ("gaps.max", max)
        }
    };
    if longest.as_millis() == 0 {
        let place = at(key);
        problems.push(Problem::error(place.span, format!("`{}` must be above 0", place.name)));
    }
}

fn check_names(stream: &StreamConfig, places: &Places<'_>, problems: &mut Vec<Problem>) {
    if let Some(namespace) = stream.namespace.as_ref().filter(|namespace| !is_dns_label(namespace)) {
        let problem = Problem::error(places.at("stream.namespace").span, format!("{} isn't a Kubernetes namespace", quote(namespace)));
        problems.push(problem.hint("lower-case letters, digits and `-` in the middle, at most 63"));
    }
    if let Some(image) = &stream.image
        && (image.is_empty() || image.len() > IMAGE_CHARS_MAX || image.chars().any(|c| c.is_whitespace() || c.is_control()))
    {
        problems.push(Problem::error(places.at("stream.image").span, format!("{} isn't a container image", quote(image))));
    }
}

fn check_trace(stream: &StreamConfig, places: &Places<'_>, problems: &mut Vec<Problem>) {
    let orchestrator = places.at("stream.orchestrator");
    if stream.trace.as_ref().is_none_or(|path| path.trim().is_empty() || path.contains('\0')) {
        let problem = Problem::error(orchestrator.span, "a stream by trace needs the path of a `trace`");
        problems.push(problem.hint("add `trace: arrivals.csv`, relative to this file, with columns time, class and priority"));
    }
    for (index, group) in stream.groups.iter().enumerate().filter(|(_, group)| group.gaps.is_some()) {
        let place = places.at(&format!("stream.groups.{index}.gaps"));
        let message = format!("the trace says when jobs arrive: `{}` of the group {} has no effect", place.name, quote(&group.name));
        problems.push(Problem::new(Severity::Warning, Some(place.span), message).label(orchestrator.span, "by trace"));
    }
}

fn check_simulated(experiment: &Experiment, stream: &StreamConfig, places: &Places<'_>, task_spans: &[Span], problems: &mut Vec<Problem>) {
    let orchestrator = places.at("stream.orchestrator");
    if stream.duration.is_none_or(|duration| duration.as_millis() == 0) {
        let place = places.at("stream.duration");
        let problem = Problem::error(place.span, format!("a simulated stream needs a `{}` above 0", place.name));
        problems.push(problem.hint("it's the time during which jobs arrive"));
    }
    if stream.groups.is_empty() {
        let problem = Problem::error(orchestrator.span, "a simulated stream has no arrival groups: nothing would ever arrive");
        problems.push(problem.hint("add `groups`, or use `batch`"));
    }
    // If a group names an unknown task, the name is mistyped, and a warning about the task left out would be a repetition.
    let listed: BTreeSet<&str> = stream.groups.iter().flat_map(|group| &group.tasks).map(String::as_str).collect();
    let all_known = listed.iter().all(|name| experiment.tasks.iter().any(|task| task.name == *name));
    for (task, span) in experiment.tasks.iter().zip(task_spans) {
        if all_known && !listed.is_empty() && !listed.contains(task.name.as_str()) {
            let message = format!("the task {} is in no arrival group: it never arrives", quote(&task.name));
            let problem = Problem::new(Severity::Warning, Some(*span), message).label(orchestrator.span, "simulated here");
            problems.push(problem.hint("list it in the `tasks` of a group, or remove it"));
        }
    }
    for (index, group) in stream.groups.iter().enumerate() {
        if group.gaps.is_none() {
            let place = places.at(&format!("stream.groups.{index}.gaps"));
            let message = format!("arrivals are simulated, and this group of tasks has no `{}`", place.name);
            let problem = Problem::error(place.span, message).label(orchestrator.span, "simulated here");
            let example = match place.name.as_str() {
                "gaps" => "`gaps: { type: exponential, mean: 1.5min }`".to_owned(),
                theirs => format!("`{theirs}`, the mean gap between two arrivals"),
            };
            problems.push(problem.hint(format!("add {example}, or use `batch`")));
        }
        let members = || experiment.tasks.iter().zip(task_spans).filter(|(task, _)| group.has(task));
        let key = places.at("stream.class_probability").name;
        for (task, span) in members().filter(|(task, _)| task.class_probability.is_none()) {
            let message = format!("arrivals are simulated, and the task {} has no `{key}`", quote(&task.name));
            let problem = Problem::error(*span, message).label(orchestrator.span, "simulated here");
            problems.push(problem.hint(format!("add `{key}`, how often it's drawn, or use `batch`")));
        }
        let all_zero = members().all(|(task, _)| task.class_probability == Some(0.0));
        if all_zero && let Some((_, span)) = members().next() {
            problems.push(Problem::error(*span, format!("no task of the group {} is ever drawn: every `{key}` is 0", quote(&group.name))));
        }
    }
}
