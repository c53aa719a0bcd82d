//! Tests of federated runs on a virtual clock, as processes: FedScale's traces converted, the same results for any number of workers, interruptions,
//! and what is shown and recorded of simulated time.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{fs, path::Path, process::Command};

use common::json;
use serde_json::Value as Json;

/// Two devices' capacities, and the times of three devices, of which one is never there, in FedScale's form.
const PICKLES: &str = r"
import collections, pickle
capacity = {7: {'computation': 10.0, 'communication': 8000.0}, 3: {'computation': 4, 'communication': 2000.5}}
pickle.dump(capacity, open('capacity', 'wb'))
day = lambda active, inactive: {'duration': 0, 'active': active, 'inactive': inactive, 'finish_time': 100, 'model': 'CPH1801'}
pickle.dump(collections.OrderedDict({12: day([0, 60], [50, 95]), 5: day([], []), 9: day([20], [300])}), open('behave', 'wb'))
pickle.dump({1: print}, open('hostile', 'wb'))
";

fn python(at: &Path, arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new("python3").args(arguments).current_dir(at).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn converter() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/fedscale_traces.py").to_str().unwrap().to_owned()
}

/// Makes FedScale's pickles in `at` and converts them.
fn convert(at: &Path) {
    assert!(python(at, &["-c", PICKLES]).0);
    let (done, devices, told) = python(at, &[&converter(), "devices", "capacity"]);
    assert!(done && told == "2 devices\n", "{told}");
    // Ascending by device; three times the milliseconds of a forward pass, and Mbit/s.
    assert_eq!(devices, "ms_per_sample,up_mbit,down_mbit\n12.0,2.0005,2.0005\n30.0,8.0,8.0\n");
    let (done, times, told) = python(at, &[&converter(), "availability", "behave"]);
    assert!(done && told == "1 of 3 devices are never there, and have no row\n2 devices\n", "{told}");
    assert_eq!(times, "device,from_s,to_s,period_s\n1,20.0,100.0,100.0\n2,0.0,50.0,100.0\n2,60.0,95.0,100.0\n");
    fs::write(at.join("devices.csv"), devices).unwrap();
    fs::write(at.join("times.csv"), times).unwrap();
    let (done, _, told) = python(at, &[&converter(), "availability", "hostile"]);
    assert!(!done && told.contains("it names `builtins.print`, which isn't plain data"), "{told}");
}

fn experiment(strategy: &str) -> String {
    format!(
        "\
name: timed
seeds: [7]
tasks:
  - kind: federated
    network: LeNet5
    dataset: fashion-mnist-mini
    train: {{ batch_size: 32, optimizer: {{ type: SGD, learning_rate: 0.05 }} }}
    checkpoint_every: 3
    federated:
      clients: 12
      clients_per_round: 4
      rounds: 7
      evaluate_every: 2
      partition: {{ type: quantity_skew, skew: {{ law: linear }} }}
      strategy: {strategy}
      simulation:
        devices: {{ type: trace, path: devices.csv }}
        network: {{ type: trace, path: devices.csv, assign: random }}
        availability: {{ type: trace, path: times.csv }}
        server: 50ms
"
    )
}

/// The figures of each event of the journal that don't depend on the machine.
fn figures(at: &Path, folder: &str) -> Vec<String> {
    let journal = fs::read_to_string(at.join(folder).join("journal.jsonl")).unwrap();
    let of_event = |line: &str| {
        let event: Json = serde_json::from_str(line).unwrap();
        let is_round = event["event"] == "client_trained" || event["event"] == "round_ended";
        is_round.then(|| {
            ["event", "round", "client", "clients", "train", "test", "virtual_seconds", "staleness"]
                .map(|key| event[key].to_string())
                .join(" ")
        })
    };
    let mut figures: Vec<String> = journal.lines().filter_map(of_event).collect();
    figures.sort();
    figures.dedup();
    figures
}

#[test]
fn asynchronous_runs_over_fedscale_traces_are_the_same_however_they_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    convert(at);
    fs::create_dir(at.join("moved")).unwrap();
    for name in ["devices.csv", "times.csv"] {
        fs::copy(at.join(name), at.join("moved").join(name)).unwrap();
    }
    for strategy in ["{ type: FedBuff, buffer_size: 3 }", "{ type: FedAsync, mu: 0.01 }"] {
        fs::write(at.join("timed.yaml"), experiment(strategy)).unwrap();
        let run = |workers| json(at, &["run", "timed.yaml", "--workers", workers, "--output", "json"]);
        let (one, two) = (run("1"), run("2"));
        assert_eq!(one["parameters_sha256"], two["parameters_sha256"], "{strategy}");
        let (one, two) = (one["run"].as_str().unwrap(), two["run"].as_str().unwrap());
        let expected = figures(at, one);
        assert_eq!(figures(at, two), expected, "{strategy}");
        assert!(
            expected.iter().any(|line| line.starts_with("\"client_trained\"") && !line.ends_with(" 0")),
            "somebody was stale: {expected:?}"
        );
        // Killed after the fifth round, of which there is no checkpoint, and resumed.
        let journal = at.join(two).join("journal.jsonl");
        let text = fs::read_to_string(&journal).unwrap();
        let end = text.find("\"event\":\"round_ended\",\"round\":5,").unwrap();
        fs::write(&journal, &text[..end + text[end..].find('\n').unwrap() + 1]).unwrap();
        // Its traces have moved in the meantime.
        let file = at.join(two).join("experiment.yaml");
        let given = fs::read_to_string(&file).unwrap();
        let moved = given.replace("/devices.csv", "/moved/devices.csv").replace("/times.csv", "/moved/times.csv");
        assert_eq!(moved.matches("/moved/").count(), 3, "{given}");
        fs::write(&file, moved).unwrap();
        // What they say has not: other capacities would be another experiment.
        let trace = at.join("moved/devices.csv");
        let devices = fs::read_to_string(&trace).unwrap();
        fs::write(&trace, devices.replace("30.0", "31.0")).unwrap();
        let refused = common::run(at, &["run", "--resume", two, "--workers", "2"]);
        assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("federated.simulation.devices.path"));
        fs::write(&trace, devices).unwrap();
        json(at, &["run", "--resume", two, "--workers", "2", "--output", "json"]);
        assert_eq!(figures(at, two), expected, "{strategy}");
    }
}

#[test]
fn simulated_time_is_shown_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    convert(at);
    fs::write(at.join("timed.yaml"), experiment("{ type: FedBuff, buffer_size: 3 }")).unwrap();
    let run = json(at, &["run", "timed.yaml", "--output", "json"])["run"].as_str().unwrap().to_owned();
    let shown = json(at, &["runs", "show", &run, "--output", "json"]);
    let times: Vec<f64> = shown["rows"].as_array().unwrap().iter().map(|row| row["virtual_seconds"].as_f64().unwrap()).collect();
    assert!(times.len() == 8 && times.is_sorted() && times[0] == 0.0 && times[7] > 1.0, "{times:?}");
    assert_eq!(shown["summary"]["virtual_seconds"].as_f64(), Some(times[7]));
    let table = fs::read_to_string(at.join(&run).join("metrics.csv")).unwrap();
    let last: Vec<f64> = table.lines().skip(1).map(|line| line.rsplit(',').nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!(last, times);
    let compared = json(at, &["runs", "compare", &run, &run, "--output", "json"]);
    assert_eq!(compared["times"].as_array().unwrap().len(), 10);
    assert_eq!(compared["times"][9]["accuracy"][0], shown["summary"]["accuracy"]);
    assert!(String::from_utf8(common::run(at, &["runs", "show", &run]).stdout).unwrap().contains("virtual s"));
}

#[test]
fn what_time_cannot_be_is_refused_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    convert(at);
    let refused = |text: &str, expected: &[&str]| {
        fs::write(at.join("timed.yaml"), text).unwrap();
        let told = String::from_utf8(common::run(at, &["validate", "timed.yaml"]).stderr).unwrap();
        assert!(expected.iter().all(|words| told.contains(words)), "{told}");
    };
    let text = experiment("{ type: FedBuff, buffer_size: 13 }");
    refused(&text, &["`FedBuff` needs the updates of 13 different clients, and there are 12", "timed.yaml:15:", "^^"]);
    let with = |more: &str| {
        experiment("{ type: FedBuff, buffer_size: 3 }").replace("      evaluate_every: 2\n", &format!("      evaluate_every: 2\n{more}"))
    };
    refused(
        &with("      participation: { min_updates: 2 }\n"),
        &["`participation` says who counts in a round that begins together", "timed.yaml:14:"],
    );
    refused(
        &with("      selection: { type: tifl, tiers: 2 }\n"),
        &["`tifl` selects the clients of a round together", "`random`, `weighted`"],
    );
    fs::write(at.join("times.csv"), "device,from_s,to_s\n1,5,5\n").unwrap();
    refused(&with(""), &["line 2: the time from 5 s to 5 s has no length", "timed.yaml:19:", "fltk catalogue trace"]);
    let shares = with("").replace("{ type: trace, path: times.csv }", "{ type: diurnal, share: 0 }");
    refused(&shares, &["`share`", "timed.yaml:19:"]);
    let classes = with("").replace("{ type: trace, path: devices.csv }", "{ type: classes, ms_per_sample: [1, 2], shares: [1, 2, 3] }");
    refused(&classes, &["`shares` has 3 numbers, and `ms_per_sample` has 2", "timed.yaml:17:"]);
}
