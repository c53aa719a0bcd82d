//! Tests that runs that earlier versions began under a name resume by that name and with the same file.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use common::{earlier, fltk, json, run};
use serde_json::Value as Json;
use tempfile::TempDir;

const VERSION: &str = "0.1.0";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    earlier(VERSION, folder.path());
    folder
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The names in the folder of runs that start with `begin`.
fn runs(at: &Path, begin: &str) -> BTreeSet<String> {
    let names = fs::read_dir(at.join("runs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(begin)).collect()
}

fn name(run: &Json) -> String {
    Path::new(run["run"].as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_owned()
}

fn description(at: &Path, run: &str) -> Json {
    serde_json::from_slice(&fs::read(at.join("runs").join(run).join("run.json")).unwrap()).unwrap()
}

#[test]
fn finished_runs_are_found_and_not_repeated() {
    let folder = folder();
    let at = folder.path();
    for (file, id) in [("solo.yaml", "solo-1"), ("pair.yaml", "pair-1")] {
        let before = runs(at, "");
        let result = json(at, &["run", file, "--id", id, "--output", "json"]);
        assert!(before.contains(&name(&result)), "{result}");
        assert_eq!(runs(at, ""), before);
        // `fltk client` finds the run too, whatever version began it; this is tested for the single-process task only.
        if file == "solo.yaml" {
            let client = fltk(at).args(["client", file, "0", "--id", id, "--output", "json"]).output().unwrap();
            assert!(client.status.success(), "{}", said(&client));
            assert_eq!(serde_json::from_slice::<Json>(&client.stdout).unwrap(), result);
        }
        assert_eq!(runs(at, ""), before);
    }
    // The same name with another experiment is another group, which is then found by the same command.
    let other = ["run", "solo.yaml", "--id", "solo-1", "--set", "tasks.0.federated.rounds=1", "--output", "json"];
    let first = json(at, &other);
    assert_eq!(runs(at, "solo-").len(), 2);
    assert_eq!(json(at, &other), first);
    assert_eq!(description(at, &name(&first))["group_name"], "solo-1");
    // The file is rewritten as by a version that had fewer settings but recorded the group's name.
    let experiment = fs::read_to_string(at.join("solo.yaml")).unwrap().replace("rounds: 2", "rounds: 1");
    fs::write(at.join("runs").join(name(&first)).join("experiment.yaml"), experiment).unwrap();
    assert_eq!(json(at, &other), first);
    assert_eq!(runs(at, "solo-").len(), 2);
}

#[test]
fn interrupted_group_is_resumed_by_its_name_or_a_run() {
    let begun = "grid-20261128-005016-662329c6";
    for args in [&["run", "grid.yaml", "--id", "grid-1", "--output", "json"][..], &["run", "--resume", begun, "--output", "json"]] {
        let folder = folder();
        let at = folder.path();
        let before = runs(at, "grid-");
        let output = run(at, args);
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains("resuming after round"), "{}", said(&output));
        let results: Json = serde_json::from_slice(&output.stdout).unwrap();
        let results: Vec<String> = results["runs"].as_array().unwrap().iter().map(name).collect();
        assert_eq!(results.len(), 4);
        assert_eq!(results[..2].iter().cloned().collect::<BTreeSet<_>>(), before);
        assert_eq!(runs(at, "grid-").len(), 4);
        let groups: BTreeSet<String> = results.iter().map(|run| description(at, run)["group"].to_string()).collect();
        assert_eq!(groups.len(), 1, "{groups:?}");
        // The partition keeps its version, also in the runs that begin only now.
        let version = |run: &String| description(at, run)["hyperparameters"]["federated.partition.version"].as_f64();
        assert_eq!(results.iter().map(version).collect::<Vec<_>>(), [None, None, None, Some(1.0)]);
        assert!(fs::read_to_string(at.join("runs").join(&results[3]).join("experiment.yaml")).unwrap().contains("version: 1"));
        // From now on all runs are one group, whichever command resumed it.
        assert_eq!(json(at, &["run", "grid.yaml", "--id", "grid-1", "--output", "json"])["runs"].as_array().unwrap().len(), 4);
        assert_eq!(runs(at, "grid-").len(), 4);
        let compared =
            json(at, &[&["runs", "compare", "--output", "json"], &*results.iter().map(String::as_str).collect::<Vec<_>>()].concat());
        let groups: Vec<usize> =
            compared["groups"].as_array().unwrap().iter().map(|group| group["runs"].as_array().unwrap().len()).collect();
        assert_eq!(groups, [2, 2], "seeds of one task are replications, whatever version recorded them");
    }
}

/// The times, the clients and their staleness are compared with those of a new run; the numbers depend on the kind of processor.
#[test]
fn interrupted_asynchronous_run_keeps_its_clock_and_its_clients_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    earlier("0.1.0-virtual-time", at);
    let begun = runs(at, "timed-");
    let output = run(at, &["run", "timed.yaml", "--id", "timed-1", "--output", "json"]);
    assert!(output.status.success() && said(&output).contains("resuming after round 6"), "{}", said(&output));
    let resumed: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(runs(at, "timed-"), begun);
    let anew = json(at, &["run", "timed.yaml", "--id", "timed-2", "--output", "json"]);
    let counted = |run: &Json| -> BTreeSet<String> {
        let journal = fs::read_to_string(at.join(run["run"].as_str().unwrap()).join("journal.jsonl")).unwrap();
        let events = journal.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
        let of = |event: Json| {
            ["event", "round", "client", "clients", "virtual_seconds", "staleness"].map(|key| event[key].to_string()).join(" ")
        };
        events.filter(|event| event["event"] == "client_trained" || event["event"] == "round_ended").map(of).collect()
    };
    let expected = counted(&anew);
    assert_eq!(counted(&resumed), expected);
    assert_eq!(expected.len(), 8 * 3 + 9, "{expected:?}");
    let accuracy = |run: &Json| run["accuracy"].as_f64().unwrap();
    assert!((accuracy(&resumed) - accuracy(&anew)).abs() < 0.02, "{resumed} {anew}");
}

/// Partitions had no `version` in earlier versions, and rounded each class on its own. A new run without a `version` has the newest; a run from then
/// keeps the old one.
#[test]
fn earlier_partitions_are_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let file = "{ name: p, tasks: [{ kind: federated, network: MNISTCNN, dataset: fashion-mnist-mini, federated: { clients: 40, clients_per_round: 1, rounds: 1, partition: { type: dirichlet, alpha: 5 } } }] }";
    fs::write(at.join("p.yaml"), file).unwrap();
    let set = |version: u32| ["--set".to_owned(), format!("tasks.0.federated.partition.version={version}")];
    let begin = |id: &str, more: &[String]| {
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        json(at, &[&["run", "p.yaml", "--id", id, "--output", "json"], more.as_slice()].concat())
    };
    let parameters = |result: &Json| result["parameters_sha256"].as_str().unwrap().to_owned();
    let (first, newest) = (begin("old", &set(1)), begin("new", &[]));
    assert_ne!(parameters(&first), parameters(&newest));
    assert_eq!(begin("new", &set(2)), newest, "what is left out is the newest");
    // The files are rewritten as earlier versions wrote the first run.
    let run = at.join("runs").join(name(&first));
    let written = fs::read_to_string(run.join("experiment.yaml")).unwrap();
    let without = |text: &str| text.lines().filter(|line| !line.contains("version: 1")).map(|line| format!("{line}\n")).collect::<String>();
    assert_ne!(without(&written), written);
    // As this version wrote it, the experiment differs from the file's.
    assert_eq!(parameters(&begin("old", &[])), parameters(&newest));
    fs::write(run.join("experiment.yaml"), without(&written)).unwrap();
    let mut description: Json = serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap();
    assert_eq!(description["hyperparameters"].as_object_mut().unwrap().remove("federated.partition.version"), Some(1.0.into()));
    description["group_name"] = "before".into();
    fs::write(run.join("run.json"), description.to_string()).unwrap();
    let num_runs = runs(at, "").len();
    assert_eq!(begin("before", &[]), first);
    assert_eq!(begin("before", &set(1)), first);
    assert_eq!(runs(at, "").len(), num_runs, "nothing was begun");
    // Interrupted before its first round, the run resumes with its old partition: by its folder, by its name, or in an orchestrator's pod.
    let journal = fs::read_to_string(run.join("journal.jsonl")).unwrap();
    let interrupted = || {
        fs::write(run.join("journal.jsonl"), journal.lines().take(1).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        fs::remove_dir_all(run.join("checkpoints")).unwrap();
    };
    let run_name = name(&first);
    for args in [&["run", "--resume", &run_name][..], &["run", "p.yaml", "--id", "before"], &["client", "p.yaml", "0", "--id", "before"]] {
        interrupted();
        assert_eq!(parameters(&json(at, &[args, &["--output", "json"]].concat())), parameters(&first), "{args:?}");
    }
    // Runs of one task with several seeds are replications, whatever version recorded them; the newest partition is another setting.
    let other = name(&begin("seven", &[&set(1)[..], &["--seed".to_owned(), "7".to_owned()]].concat()));
    let groups = |runs: [&str; 2]| json(at, &["runs", "compare", runs[0], runs[1], "--output", "json"])["groups"].as_array().unwrap().len();
    assert_eq!((groups([&run_name, &other]), groups([&run_name, &name(&newest)])), (1, 2));
    assert_eq!(parameters(&begin("before", &set(2))), parameters(&newest), "another experiment, since the file says so");
    // The file is run anew, and in the pod of an earlier orchestrator, whose file has no version.
    assert_eq!(parameters(&json(at, &["run", "p.yaml", "--output", "json"])), parameters(&newest));
    let mounted = "opt/federation-lab/experiments/experiment.yaml";
    fs::create_dir_all(at.join(mounted).parent().unwrap()).unwrap();
    fs::copy(at.join("p.yaml"), at.join(mounted)).unwrap();
    for (file, expected) in [(mounted, &first), ("p.yaml", &newest)] {
        let report = at.join("report.json");
        let pod = fltk(at).args(["client", file, "0", "--output", "json"]).env("FLTK_TERMINATION_LOG", &report).output().unwrap();
        assert_eq!(parameters(&serde_json::from_slice(&pod.stdout).unwrap()), parameters(expected), "{file}: {}", said(&pod));
    }
}

#[test]
fn stream_is_resumed_by_its_name() {
    let folder = folder();
    let at = folder.path();
    let before = runs(at, "stream-");
    // The file is written as by a version that has fewer settings.
    let stream: PathBuf = at.join("runs/stream-1");
    fs::copy(at.join("stream.yaml"), stream.join("experiment.yaml")).unwrap();
    let args = ["run", "stream.yaml", "--id", "stream-1", "--output", "json"];
    let jobs = json(at, &args);
    assert!(jobs.as_array().unwrap().iter().all(|job| job["state"] == "succeeded"), "{jobs}");
    assert_eq!(runs(at, "stream-"), before, "its jobs' runs were found by their names too");
    let other = run(at, &[&args[..], &["--seed", "7"]].concat());
    assert_eq!(other.status.code(), Some(6), "{}", said(&other));
    assert!(said(&other).contains("was started with other files"), "{}", said(&other));
    // The same arrivals in another form are the same stream; other arrivals are another stream.
    fs::write(at.join("arrivals.csv"), "time,class,priority\n0s,first,1\n500ms,second,1\n").unwrap();
    assert_eq!(json(at, &args).as_array().unwrap().len(), 2);
    fs::write(at.join("arrivals.csv"), "time,class,priority\n0,first,1\n1,second,1\n").unwrap();
    assert!(said(&run(at, &args)).contains("was started with other files"));
}

#[test]
fn run_with_unknown_settings_blocks_its_name() {
    let folder = folder();
    let at = folder.path();
    let result = json(at, &["run", "solo.yaml", "--id", "later", "--output", "json"]);
    let file = at.join("runs").join(name(&result)).join("experiment.yaml");
    let later = fs::read_to_string(&file).unwrap().replacen("threads: 1", "threads: 1\n  gravity: 9.81", 1);
    fs::write(&file, later).unwrap();
    // The run looks like one of a later version, whose group has another ID.
    let file = at.join("runs").join(name(&result)).join("run.json");
    let mut json = description(at, &name(&result));
    json["group"] = "0123456789abcdef".into();
    fs::write(file, json.to_string()).unwrap();
    let before = runs(at, "");
    let output = run(at, &["run", "solo.yaml", "--id", "later"]);
    assert_eq!(output.status.code(), Some(6), "{}", said(&output));
    assert!(said(&output).contains(&name(&result)) && said(&output).contains("gravity"), "{}", said(&output));
    assert_eq!(runs(at, ""), before, "nothing is begun");
    // A run with another name isn't affected.
    assert!(run(at, &["run", "solo.yaml", "--id", "solo-1"]).status.success());
}
