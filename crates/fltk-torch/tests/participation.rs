//! Tests of federated runs in which not everybody counts, as processes: what the file orders and what the wall clock decides is recorded, and
//! repeated when the run is resumed.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{fs, path::Path};

use common::{json, run};
use serde_json::Value as Json;

fn experiment(federated: &str) -> String {
    format!(
        "\
name: absent
seeds: [7]
tasks:
  - kind: federated
    network: LeNet5
    dataset: fashion-mnist-mini
    train: {{ batch_size: 32, optimizer: {{ type: SGD, learning_rate: 0.05 }} }}
    checkpoint_every: 2
    federated: {{ clients: 20, clients_per_round: 5, rounds: 4, {federated} }}
"
    )
}

/// Runs `federated`; returns the run's folder, relative to `at`, and its digest.
fn trained(at: &Path, federated: &str) -> (String, String) {
    fs::write(at.join("absent.yaml"), experiment(federated)).unwrap();
    let result = json(at, &["run", "absent.yaml", "--output", "json"]);
    let text = |key: &str| result[key].as_str().unwrap().to_owned();
    (text("run"), text("parameters_sha256"))
}

/// The records of clients, in order, without times.
fn clients(at: &Path, folder: &str) -> Vec<Json> {
    let journal = fs::read_to_string(at.join(folder).join("journal.jsonl")).unwrap();
    let mut events: Vec<Json> = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    events.retain(|event| event["event"].as_str().unwrap().starts_with("client_"));
    for event in &mut events {
        for key in ["crc", "seq", "time", "seconds"] {
            event.as_object_mut().unwrap().remove(key);
        }
    }
    events
}

/// Cuts the journal after the record of the end of `round`, as if the run had been killed then.
fn interrupt_after(at: &Path, folder: &str, round: u32) {
    let path = at.join(folder).join("journal.jsonl");
    let journal = fs::read_to_string(&path).unwrap();
    let start = journal.find(&format!("\"event\":\"round_ended\",\"round\":{round},")).unwrap();
    let end = start + journal[start..].find('\n').unwrap() + 1;
    fs::write(&path, &journal[..end]).unwrap();
}

/// Interrupts the run after its last round, before the checkpoint, and resumes it after its second; it has the same clients and the same result.
fn check_resumed(at: &Path, folder: &str, digest: &str) {
    let whole = clients(at, folder);
    interrupt_after(at, folder, 4);
    let resumed = json(at, &["run", "--resume", folder, "--output", "json"]);
    assert_eq!(resumed["parameters_sha256"], digest);
    // The last two rounds are recorded twice, with the same clients.
    let again: Vec<Json> = whole.iter().filter(|event| event["round"].as_u64() > Some(2)).cloned().collect();
    assert_eq!(again.len() * 2, whole.len());
    assert_eq!(clients(at, folder), [whole, again].concat());
}

#[test]
fn thirty_percent_drop_out_and_the_run_completes_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (run, digest) = trained(at, "faults: { drop_out: 0.3, attack: { type: label_flip, fraction: 0.25 } }");
    let events = clients(at, &run);
    assert_eq!(events.len(), 4 * 5);
    let absent: Vec<&Json> = events.iter().filter(|event| event["event"] == "client_absent").collect();
    assert!(!absent.is_empty() && absent.iter().all(|event| event["absence"] == "dropped_out"), "{absent:?}");
    let shown = json(at, &["runs", "show", &run, "--output", "json"]);
    assert_eq!(shown["absences"]["dropped_out"], absent.len());
    let malicious: Vec<&Json> = shown["malicious"].as_array().unwrap().iter().collect();
    assert!(!malicious.is_empty());
    for event in events.iter().filter(|event| event["event"] == "client_trained") {
        assert_eq!(event["malicious"] == true, malicious.contains(&&event["client"]), "{event}");
    }
    let output = common::run(at, &["runs", "show", &run]);
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(&format!("{} dropped out", absent.len())) && text.contains("malicious"), "{text}");
    check_resumed(at, &run, &digest);
}

#[test]
fn who_was_first_is_repeated_when_the_run_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (run, digest) = trained(at, "participation: { over_select: 1.0 }");
    let events = clients(at, &run);
    assert_eq!(events.iter().filter(|event| event["absence"] == "surplus").count(), 4 * 5);
    check_resumed(at, &run, &digest);
}

#[test]
fn a_deadline_that_nobody_meets_ends_the_run_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("absent.yaml"), experiment("epochs_per_round: 50, participation: { deadline: 1ms }")).unwrap();
    let output = run(at, &["run", "absent.yaml"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("round `1` can't have the 1 update that it needs, at most 0: of 5 selected clients 5 were late"), "{said}");
}
