//! Jobs that run a program of the user's own, beside jobs that train.

use fake_kubernetes::Fate;
use fltk_kubernetes::{claim::image_of_jobs, preflight::share};
use serde_json::json;

use crate::harness::{Cluster, NAMESPACE, PARALLEL, federated, task};

/// Returns a command whose jobs have `ranks` pods; `more` is added to it.
fn command(name: &str, ranks: u32, more: &str) -> String {
    let of_command = format!("run: [sh, -c, \"echo $(date)\"], ranks: {ranks}, image: mine, grace: 70s, variables: {{ A: \"1\" }}");
    format!("{{ name: {name}, kind: command, command: {{ {of_command} }}, {more} }}")
}

#[tokio::test(start_paused = true)]
async fn commands_run_beside_jobs_that_train() {
    for (backend, jobs) in [("", "pytorchjobs"), ("backend: trainjob", "trainjobs")] {
        let tasks = [task("pair", 2, ""), federated("alone", 0, ""), command("program", 3, "")];
        let cluster = Cluster::new(&tasks, PARALLEL, backend);
        share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
        let told = cluster.run(async |_| {}).await;
        told.assert_all_succeeded();
        cluster.assert_made_once(jobs);
        // The config maps are those of the two that train.
        let program = cluster.specs().into_iter().find(|spec| spec.class == "program").unwrap();
        let maps = cluster.scenario.creates("configmaps");
        assert!(maps.len() >= 2 && maps.iter().all(|name| !name.contains(&program.id.0)), "{maps:?}");
        assert!(cluster.scenario.creates("secrets").is_empty());
        let object = cluster.scenario.get(jobs, NAMESPACE, &cluster.object("program")).unwrap();
        assert_eq!(object["metadata"]["labels"]["fltk.node/command"], "true");
        // Nothing of ours is in its pods, of which there are as many as it has ranks.
        let text = object.to_string();
        assert!(!text.contains("FLTK_TERMINATION_LOG") && !text.contains("fltk-log") && !text.contains("initContainers"), "{text}");
        assert!(text.contains("echo $$(date)") && text.contains("mine"), "{text}");
        assert_eq!(program.num_pods(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn preempted_command_is_suspended_and_started_again() {
    for (backend, jobs, suspend) in [("", "pytorchjobs", "/spec/runPolicy/suspend"), ("backend: trainjob", "trainjobs", "/spec/suspend")] {
        let stream = "orchestrator: trace, trace: trace.csv, policy: priority, admission: { type: max_concurrent, jobs: 1 }, \
                      groups: [{ name: urgent, tasks: [urgent], preempt: true }]";
        let cluster = Cluster::with_trace(&[command("low", 2, ""), command("urgent", 1, "")], stream, backend, "0,low,1\n5,urgent,0\n");
        let low = cluster.object("low");
        cluster.scenario.operator({
            let low = low.clone();
            move |run| if run.job == low && run.attempt == 0 { Fate::runs_on() } else { Fate::succeeds("").after(10) }
        });
        share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
        let told = cluster.run(async |_| {}).await;
        told.assert_all_succeeded();
        assert_eq!(told.record("low").suspensions, 1, "{backend}");
        let object = cluster.scenario.get(jobs, NAMESPACE, &low).unwrap();
        assert_eq!((object.pointer(suspend), &object["metadata"]["annotations"]["fltk.node/attempt"]), (Some(&json!(false)), &json!("2")));
    }
}

#[tokio::test(start_paused = true)]
async fn the_image_of_a_command_is_not_taken_for_ours() {
    let cluster = Cluster::new(&[command("program", 1, "")], PARALLEL, "");
    cluster.run(async |_| {}).await.assert_all_succeeded();
    assert_eq!(image_of_jobs(&cluster.scenario.client(), NAMESPACE).await.unwrap(), None);
    let cluster = Cluster::new(&[task("alone", 1, ""), command("program", 1, "")], PARALLEL, "");
    cluster.run(async |_| {}).await.assert_all_succeeded();
    assert_eq!(image_of_jobs(&cluster.scenario.client(), NAMESPACE).await.unwrap(), Some("fltk".to_owned()));
}
