//! The arrival JSON of the main era: `trainTasks` with job classes, camelCase.

use fltk_core::catalogue::Catalogues;

use super::{
    super::{
        entries,
        report::Problem,
        tree::{Node, Value},
    },
    lenient,
    lower::{self, Job},
    sections::{ArrivalFile, JobDescription},
};

pub(super) fn check_shape(root: &mut Node, catalogues: &Catalogues, problems: &mut Vec<Problem>) {
    let schema = entries::generate_with::<ArrivalFile>(catalogues);
    lenient::check(&schema, root, "arrival file", lenient::IGNORED, catalogues, problems);
}

/// Reads the jobs of the file as far as possible.
pub(super) fn read(root: &Node, catalogues: &Catalogues, problems: &mut Vec<Problem>) -> Option<Vec<Job>> {
    let Value::List(items) = &root.get("trainTasks")?.value else { return None };
    let jobs: Vec<Option<Job>> = items.iter().enumerate().map(|(index, node)| read_job(node, index, catalogues, problems)).collect();
    jobs.into_iter().collect()
}

fn read_job(node: &Node, index: usize, catalogues: &Catalogues, problems: &mut Vec<Problem>) -> Option<Job> {
    let mut json = node.to_json();
    json["jobClassParameters"] = serde_json::Value::Array(Vec::new());
    let job: JobDescription = serde_json::from_value(json).ok()?;
    let Value::List(classes) = &node.get("jobClassParameters")?.value else { return None };
    let mut tasks = Vec::new();
    let mut all_read = true;
    for (position, class_node) in classes.iter().enumerate() {
        match lower::read_class(class_node, job.kind, lower::task_name(index, position), &lower::NAMES, catalogues, problems) {
            Some(task) => tasks.push((task, lower::head(class_node))),
            None => all_read = false,
        }
    }
    all_read.then(|| lower::job(index, tasks, job.lambda.map(|minutes| minutes * 60.0), job.preempt_jobs))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{super::schema, losses::LOSSES},
        *,
    };

    #[test]
    fn schema_has_every_loss() {
        let schema = schema::generate::<ArrivalFile>();
        let names = schema["$defs"]["NetworkSection"]["properties"]["lossFunction"]["enum"].as_array().expect("a list");
        assert_eq!(names.len(), LOSSES.len());
        assert!(LOSSES.iter().all(|(name, _)| names.contains(&(*name).into())));
    }
}
