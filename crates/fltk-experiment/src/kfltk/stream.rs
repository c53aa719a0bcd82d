//! The arrivals of jobs in KFLTK's files.

use std::collections::BTreeSet;

use super::{
    super::{
        OrchestratorType, StreamConfig, Task,
        report::{Problem, Severity},
        source::Span,
        tree::{Node, Value},
    },
    Cluster, Era,
};

/// Returns when jobs arrive: as the cluster file says, or by default as the era's own code did.
pub(super) fn orchestrator(era: Era, settings: Option<&Cluster>, cluster: Option<&Node>, problems: &mut Vec<Problem>) -> OrchestratorType {
    let said = settings.and_then(|settings| settings.orchestrator);
    let has_duration = settings.and_then(|settings| settings.duration).is_some_and(|duration| duration.as_millis() > 0);
    match (era, said) {
        (Era::Between, Some(OrchestratorType::Simulated | OrchestratorType::Trace)) => {
            let span = cluster.and_then(|node| node.get("cluster")?.get("orchestrator")?.get("orchestrator_type")).map(|node| node.span);
            let message = "arrival files of this era have no `lambda`: each job arrives once, as KFLTK ran them";
            problems.push(Problem::new(Severity::Note, span, message));
            OrchestratorType::Batch
        }
        (_, Some(said)) => said,
        (Era::Seed, None) if has_duration => OrchestratorType::Simulated,
        (Era::Main | Era::Between | Era::Seed, None) => OrchestratorType::Batch,
    }
}

/// Notes what the files leave open about the arrivals of jobs, or say and KFLTK didn't do.
pub(super) fn note(stream: &StreamConfig, tasks: &[Task], arrival: &Node, era: Era, has_cluster: bool, problems: &mut Vec<Problem>) {
    let mut note = |span: Option<Span>, message: String, hint: &str| problems.push(Problem::new(Severity::Note, span, message).hint(hint));
    let lambda = arrival.item(0).and_then(|job| job.get("lambda")).map(|node| node.span);
    match stream.orchestrator {
        OrchestratorType::Simulated if era == Era::Seed => {
            let duration = stream.duration.map(|duration| format!(" ({duration})")).unwrap_or_default();
            let message = format!(
                "jobs arrive for `duration`{duration}, with gaps whose mean is `lambda` in seconds: as in KFLTK's loop of August 2021, which a later \
                 commit ended after one job"
            );
            note(lambda, message, "to run each job once: `--set stream.orchestrator=batch`");
        }
        OrchestratorType::Batch if era == Era::Seed && !has_cluster && lambda.is_some() => {
            let message = "each job arrives once, since no file sets a duration".to_owned();
            note(lambda, message, "give the cluster file too: jobs then arrive during its `duration`, with gaps of `lambda` seconds");
        }
        OrchestratorType::Batch if !stream.parallel => {
            if may_differ(tasks) {
                let message = "jobs of this batch run one after another in the order of the priorities that they draw, 0 where a job gives none; KFLTK's \
                               batch passed none on";
                note(first_priorities(arrival), message.to_owned(), "to keep the order of the file: `--set stream.policy=fifo`");
            }
        }
        OrchestratorType::Batch | OrchestratorType::Simulated | OrchestratorType::Trace => {}
    }
}

/// True if two jobs of one batch may have different priorities. A job without one has priority 0.
fn may_differ(tasks: &[Task]) -> bool {
    let drawn = |task: &Task| -> BTreeSet<i32> {
        let possible = task.priorities.iter().filter(|priority| priority.probability > 0.0);
        if task.priorities.is_empty() { [0].into() } else { possible.map(|priority| priority.priority).collect() }
    };
    tasks.len() > 1 && tasks.iter().flat_map(drawn).collect::<BTreeSet<_>>().len() > 1
}

/// Returns the place of the first priorities.
fn first_priorities(node: &Node) -> Option<Span> {
    match &node.value {
        Value::Map(entries) => entries.iter().find_map(|entry| match &entry.node.value {
            Value::List(several) if entry.key == "priorities" && !several.is_empty() => Some(entry.key_span),
            _ => first_priorities(&entry.node),
        }),
        Value::List(items) => items.iter().find_map(first_priorities),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => None,
    }
}
