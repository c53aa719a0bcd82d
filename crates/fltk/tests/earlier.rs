//! Tests of the commands that read files of earlier versions; those of commands that train are in the tests of fltk-torch.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::{fs, path::Path, process::Output};

use common::{earlier, json, run};
use serde_json::Value as Json;

const VERSION: &str = "0.1.0";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeeds(at: &Path, args: &[&str]) -> String {
    let output = run(at, args);
    assert!(output.status.success(), "fltk {args:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn commands_read_earlier_runs() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    earlier(VERSION, at);
    let listed = json(at, &["runs", "list", "--output", "json"]);
    let mut runs: Vec<(String, String)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|run| (run["run"].as_str().unwrap().to_owned(), run["status"].as_str().unwrap().to_owned()))
        .collect();
    runs.sort();
    let expected = [
        ("grid-20261128-005015-0f4bd112", "finished"),
        ("grid-20261128-005016-662329c6", "interrupted"),
        ("pair-20261128-005012-6048943f", "finished"),
        ("solo-20261128-005010-a69ad64c", "finished"),
        ("stream-20261128-005022-3d549d81", "finished"),
        ("stream-20261128-005023-63b68aab", "interrupted"),
    ];
    assert_eq!(runs, expected.map(|(run, status)| (run.to_owned(), status.to_owned())));
    for (run, status) in expected {
        let shown = json(at, &["runs", "show", run, "--output", "json"]);
        assert!(shown.to_string().contains(status), "{shown}");
        assert!(succeeds(at, &["runs", "show", run]).contains(run));
        succeeds(at, &["validate", &format!("runs/{run}/experiment.yaml")]);
    }
    let names: Vec<&str> = expected.iter().map(|(run, _)| *run).collect();
    let compared = json(at, &[&["runs", "compare", "--output", "json"][..], &names].concat());
    assert_eq!(compared["runs"].as_array().unwrap().len(), names.len());
    let exported = succeeds(at, &["runs", "export", "--format", "csv"]);
    assert!(names.iter().filter(|name| !name.ends_with("63b68aab")).all(|name| exported.contains(name)), "{exported}");
}

#[test]
fn commands_read_earlier_streams() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    earlier(VERSION, at);
    assert!(succeeds(at, &["runs", "jobs"]).contains("stream-1"));
    let jobs = json(at, &["runs", "jobs", "stream-1", "--output", "json"]);
    let states: Vec<(&Json, &Json)> = jobs.as_array().unwrap().iter().map(|job| (&job["class"], &job["state"])).collect();
    assert_eq!(states.len(), 2, "{jobs}");
    assert!(states.iter().any(|(class, state)| *class == "first" && *state == "succeeded"), "{jobs}");
    for job in jobs.as_array().unwrap() {
        let explained = succeeds(at, &["explain", job["job"].as_str().unwrap(), "--stream", "stream-1"]);
        assert!(explained.contains("stream-1") && explained.contains("\nrun  "), "{explained}");
    }
    // The experiment still determines the same tasks.
    let planned = succeeds(at, &["plan", "stream.yaml", "--output", "json"]);
    assert!(planned.contains("first"), "{planned}");
}

#[test]
fn stream_with_unknown_settings_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    earlier(VERSION, at);
    let file = at.join("runs/stream-1/experiment.yaml");
    let later = fs::read_to_string(&file).unwrap().replacen("threads: 1", "threads: 1\n  gravity: 9.81", 1);
    fs::write(&file, later).unwrap();
    let output = run(at, &["runs", "jobs", "stream-1"]);
    assert_eq!(output.status.code(), Some(6), "{}", said(&output));
    for words in ["stream-1/experiment.yaml", "gravity", "fltk 0.1.0 wrote it"] {
        assert!(said(&output).contains(words), "{}", said(&output));
    }
}

/// Tests for a stream on Kubernetes. It is over and needs no cluster, and there is none.
#[cfg(feature = "cluster")]
mod cluster {
    use super::*;

    const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
current-context: a
clusters: [{ name: a, cluster: { server: 'http://127.0.0.1:1' } }]
contexts: [{ name: a, context: { cluster: a, user: a } }]
users: [{ name: a, user: {} }]
";

    fn nightly(at: &Path, more: &[&str]) -> Output {
        let args = ["cluster", "cluster.yaml", "kubernetes.yaml", "--kubeconfig", "kubeconfig", "--id", "nightly", "--output", "json"];
        run(at, &[&args, more].concat())
    }

    fn is_gone_on_with(at: &Path) {
        let output = nightly(at, &[]);
        assert!(output.status.success(), "{}", said(&output));
        let jobs: Vec<Json> = serde_json::from_slice(&output.stdout).unwrap();
        assert!(jobs.len() == 2 && jobs.iter().all(|job| job["state"] == "succeeded"), "{jobs:?}");
    }

    #[test]
    fn streams_are_identified_by_the_meaning_of_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        earlier(VERSION, at);
        fs::write(at.join("kubeconfig"), KUBECONFIG).unwrap();
        is_gone_on_with(at);
        assert!(run(at, &["cluster", "--resume", "nightly", "--kubeconfig", "kubeconfig"]).status.success());
        for more in [
            &["--set", "tasks.0.distributed.epochs=2"][..],
            &["--seed", "7"],
            &["--image", "registry.example/fltk:2"],
            &["--namespace", "another"],
        ] {
            let output = nightly(at, more);
            assert_eq!(output.status.code(), Some(6), "{more:?}: {}", said(&output));
            assert!(said(&output).contains("was started"), "{}", said(&output));
        }
        // The folder's files as a version with fewer settings would have written them: without settings that have defaults.
        let stream = at.join("runs/nightly");
        fs::copy(at.join("cluster.yaml"), stream.join("experiment.yaml")).unwrap();
        fs::copy(at.join("kubernetes.yaml"), stream.join("cluster.json")).unwrap();
        is_gone_on_with(at);
        // The same with the user's file written out in full.
        fs::write(at.join("cluster.yaml"), succeeds(at, &["convert", "cluster.yaml"])).unwrap();
        is_gone_on_with(at);
        let other = fs::read_to_string(at.join("kubernetes.yaml")).unwrap().replace("pool: fltk", "pool: other");
        fs::write(at.join("kubernetes.yaml"), other).unwrap();
        let output = nightly(at, &[]);
        assert!(said(&output).contains("was started with other files"), "{}", said(&output));
    }
}
