//! The limit on lost pods of a job, as its operator counts them.
//!
//! Operators don't know that ranks depend on each other: when one is lost, all others end, and the container of each restarts. Operators limit the
//! number of these restarts over all pods of a job together. What they count, and when a job has failed, was read in their sources:
//!
//! | | counts | has failed |
//! |---|---|---|
//! | training operator 1.9.3 (`core.PastBackoffLimit`) | restarts of all containers, of init containers too, in pods that run | at the limit |
//! | Kubernetes Jobs, behind `TrainJob`s (`pastBackoffLimitOnFailure`) | the same, in pods that run or are pending | at the limit |
//! | the same, for pods that aren't restarted (`restart_policy: Never`; deleted pods, which are counted apart from restarts) | failed pods | beyond the limit |
//!
//! A pod that is deleted or evicted takes the count of its own restarts with it.

use crate::config::{Backend, KubernetesConfig, RestartPolicy};

/// The limit for the object of a job of `num_pods` pods that may lose a pod `backoff_limit` times. One loss costs a restart of every pod: the others
/// end when they notice it, and all meet again at the store that rank 0 then serves.
pub fn object_limit(config: &KubernetesConfig, num_pods: u32) -> i32 {
    let losses = config.run_policy.backoff_limit;
    let restarts = losses.saturating_mul(i32::try_from(num_pods).unwrap_or(i32::MAX));
    match (config.backend, config.restart_policy) {
        // No loss is allowed, which is a limit of 0 for both.
        _ if losses == 0 => 0,
        (Backend::TrainJob, RestartPolicy::Never) => restarts,
        _ => restarts.saturating_add(1),
    }
}

#[cfg(test)]
mod tests {
    use fltk_experiment::SourceFile;

    use super::*;

    #[test]
    fn restart_limit_counts_losses_of_pods() {
        for (backend, restart_policy, losses, num_pods, expected) in [
            ("pytorchjob", "OnFailure", 3, 3, 10),
            ("pytorchjob", "OnFailure", 3, 1, 4),
            ("pytorchjob", "OnFailure", 0, 3, 0),
            ("trainjob", "OnFailure", 1, 2, 3),
            ("trainjob", "Never", 1, 2, 2),
            ("trainjob", "Never", 0, 2, 0),
            ("pytorchjob", "OnFailure", 1000, u32::MAX, i32::MAX),
        ] {
            let text = format!(
                "kubernetes: {{ backend: {backend}, restart_policy: {restart_policy}, run_policy: {{ backoff_limit: {losses} }} }}"
            );
            let (config, _) = KubernetesConfig::parse(&SourceFile { name: "test".to_owned(), text }).unwrap();
            assert_eq!(object_limit(&config, num_pods), expected, "{config:?}");
        }
    }
}
