//! The rule that failed Jobs keep the evidence: the pod, with its log. With `OnFailure`, the pod is restarted in place, and Kubernetes removes it once
//! its Job has failed.

use super::objects::{Object, text};

/// Returns the Jobs whose log would be lost.
pub fn check(objects: &[Object]) -> Vec<String> {
    let jobs = objects.iter().filter(|object| object.kind() == "Job");
    let begins_again = |job: &&Object| job.pod().is_none_or(|pod| text(&pod.spec()["restartPolicy"]) != "Never");
    jobs.filter(begins_again)
        .map(|job| format!("{}: its log is gone once it has failed: restartPolicy isn't Never", job.describe()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charts::objects;

    #[test]
    fn jobs_that_lose_their_logs_are_found() {
        let check = |kind: &str, policy: &str| {
            let pod = format!("{{ {policy} containers: [] }}");
            check(&objects::read(&format!("kind: {kind}\nmetadata: {{ name: a }}\nspec: {{ template: {{ spec: {pod} }} }}\n")).unwrap())
                .len()
        };
        assert_eq!(check("Job", "restartPolicy: Never,"), 0);
        assert_eq!(check("Job", "restartPolicy: OnFailure,"), 1);
        assert_eq!(check("Job", ""), 1);
        assert_eq!(check("Deployment", ""), 0);
    }
}
