//! Tests of clients that have data of their own (`data: here`): each at its node, which nobody else's data reaches.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;
#[path = "support/own_data.rs"]
mod support;

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output},
};

use common::{fltk, json};
use support::{federate, free_port, journal, node, wait, write_classes};

/// Returns an experiment whose clients have these names, and `more` settings.
fn experiment(names: &[&str], rounds: u32, more: &str) -> String {
    let num = names.len();
    format!(
        "\
name: own
tasks:
  - kind: federated
    network: McMahan2NN
    dataset: fashion-mnist-mini
    train: {{ batch_size: 32, optimizer: {{ type: SGD, learning_rate: 0.05 }} }}
    federated: {{ clients: [{}], data: here, clients_per_round: {num}, rounds: {rounds}, {more} }}
",
        names.join(", ")
    )
}

/// Runs the experiment with a node for each of its clients, and returns the result of the run. The federator is killed once its journal has so many lines, and begun again.
fn run(at: &Path, names: &[&str], more: &str, killed_at: Option<usize>) -> serde_json::Value {
    let rounds = if killed_at.is_some() { 20 } else { 6 };
    run_of(at, &experiment(names, rounds, more), names, killed_at)
}

fn run_of(at: &Path, text: &str, names: &[&str], killed_at: Option<usize>) -> serde_json::Value {
    fs::write(at.join("own.yaml"), text).unwrap();
    let listen = free_port();
    let args = ["--listen", &listen, "--host", "localhost"];
    let (mut federator, lines, _) = federate(at, &args, names.len());
    let nodes: Vec<Child> = lines.iter().zip(names).map(|(line, name)| node(at, line, name)).collect();
    if let Some(lines) = killed_at {
        wait(&|| journal(at).lines().count() >= lines);
        federator.kill().unwrap();
        federator.wait().unwrap();
        federator = federate(at, &args, 0).0;
    }
    let Output { status, stdout, .. } = federator.wait_with_output().unwrap();
    for node in nodes {
        let Output { status, stderr, .. } = node.wait_with_output().unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    }
    assert!(status.success());
    let result = String::from_utf8(stdout).unwrap();
    serde_json::from_str(&result).unwrap()
}

#[test]
fn two_clients_learn_together_what_neither_knows_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_classes(&at.join("north"), 0..5);
    write_classes(&at.join("south"), 5..10);
    let accuracy = |result: &serde_json::Value| result["accuracy"].as_f64().unwrap();
    let begin = || fs::remove_dir_all(at.join("runs")).unwrap();
    let north = accuracy(&run(at, &["north"], "", None));
    begin();
    let south = accuracy(&run(at, &["south"], "", None));
    begin();
    let first = run(at, &["north", "south"], "max_samples: 1000", None);
    let both = accuracy(&first);
    assert!(north.max(south) < 0.5 && both > north.max(south) + 0.1, "{north} and {south} alone, {both} together");
    let run_folder = || fs::read_dir(at.join("runs")).unwrap().next().unwrap().unwrap().path();
    let nodes = json(at, &["runs", "nodes", run_folder().to_str().unwrap(), "--output", "json"]);
    let mut clients: Vec<(&str, u64)> =
        nodes.as_array().unwrap().iter().map(|node| (node["client"].as_str().unwrap(), node["num_samples"].as_u64().unwrap())).collect();
    clients.sort_unstable();
    assert_eq!(clients, [("north", 2000), ("south", 2000)]);
    begin();
    // Given the same clients in each round, it is the same model; what clients keep stays at their nodes.
    assert_eq!(run(at, &["north", "south"], "max_samples: 1000", None)["parameters_sha256"], first["parameters_sha256"]);
    begin();
    let scaffold = "strategy: { type: SCAFFOLD }, compression: { type: top_k, fraction: 0.2 }";
    let text = experiment(&["north", "south"], 20, scaffold);
    let keeps = run_of(at, &text, &["north", "south"], None);
    assert!(!run_folder().join("client-state").exists());
    assert_eq!(fs::read_dir(at.join("cache/fltk/nodes/state")).unwrap().count(), 2);
    begin();
    // A federator that is killed and begun again asks its nodes for what they kept after its last checkpoint.
    let again = run(at, &["north", "south"], scaffold, Some(25));
    assert!(journal(at).matches("\"started\"").count() >= 2);
    assert_eq!(again["parameters_sha256"], keeps["parameters_sha256"]);
}

/// A federator without the data set has no test set: clients evaluate on theirs. With the same test set everywhere it finds what it would find itself.
#[test]
fn clients_evaluate_where_the_federator_has_no_test_set() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_classes(&at.join("north"), 0..5);
    write_classes(&at.join("south"), 5..10);
    let clients = ["north", "south"];
    let text = experiment(&clients, 6, "").replace("fashion-mnist-mini", "{ name: mnist, path: north }");
    let own = run_of(at, &text, &clients, None);
    let rows_of = |at: &Path| {
        let run = fs::read_dir(at.join("runs")).unwrap().next().unwrap().unwrap().path();
        let shown = json(at, &["runs", "show", run.to_str().unwrap(), "--output", "json"]);
        let row = |row: &serde_json::Value| (row["test"]["num_samples"].as_u64().unwrap(), row["test"]["accuracy"].as_f64().unwrap());
        shown["rows"].as_array().unwrap().iter().map(row).collect::<Vec<_>>()
    };
    let rows = rows_of(at);
    // Killed and begun again, with data that it might take for a test set now.
    for killed_at in [None, Some(8)] {
        fs::remove_dir_all(at.join("runs")).unwrap();
        let theirs = run_of(at, &text.replace("{ name: mnist, path: north }", "mnist"), &clients, killed_at);
        assert_eq!(theirs["parameters_sha256"], own["parameters_sha256"]);
        let found = rows_of(at);
        assert_eq!(found.len(), rows.len());
        for ((num, accuracy), (own_num, own_accuracy)) in found.into_iter().zip(&rows) {
            assert!(num == 2 * own_num && (accuracy - own_accuracy).abs() < 1e-12, "{accuracy} of {num}, {own_accuracy} of {own_num}");
        }
    }
}

#[test]
fn whoever_is_away_is_not_selected_and_who_is_not_a_client_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_classes(&at.join("north"), 0..2);
    write_classes(&at.join("south"), 2..4);
    let text = experiment(&["north", "south", "west"], 6, "").replace("clients_per_round: 3", "clients_per_round: 2");
    fs::write(at.join("own.yaml"), text).unwrap();
    // Without nodes, nobody has the data.
    let alone = fltk(at).args(["run", "own.yaml"]).output().unwrap();
    let said = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert!(!alone.status.success() && said.contains("hint: `fltk federate`"), "{said}");
    let _ = fs::remove_dir_all(at.join("runs"));
    let listen = free_port();
    let (federator, lines, said) = federate(at, &["--listen", &listen, "--host", "localhost"], 3);
    let refused = |line: &str, expected: &str| {
        let Output { status, stderr, .. } = node(at, line, "north").wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&stderr).into_owned();
        assert!(!status.success() && said.contains(expected), "{said}");
    };
    // The invitation is good, and the run has no such client.
    refused(&lines[2].replace("west", "east"), "none is called `east`");
    refused(&lines[2].replace(" --client west --data DIR", ""), "`--client NAME --data DIR` says whose data the node has");
    wait(&|| said.lock().unwrap().contains("node `east` was refused: the clients of this run have data of their own"));
    let mut north = node(at, &lines[0], "north");
    // One client alone begins no round, and nobody takes its name with another's invitation.
    wait(&|| said.lock().unwrap().contains("node `north` takes part"));
    refused(&lines[2].replace("west", "north"), "the invitation is for client `west`");
    assert!(!journal(at).contains("client_trained"));
    let mut south = node(at, &lines[1], "south");
    assert!(federator.wait_with_output().unwrap().status.success());
    assert!(north.wait().unwrap().success() && south.wait().unwrap().success());
    let journal = journal(at);
    let away = common::json_lines(&journal).into_iter().filter(|event| event["absence"] == "away");
    let away: Vec<(u64, u64)> = away.map(|event| (event["round"].as_u64().unwrap(), event["client"].as_u64().unwrap())).collect();
    assert_eq!(away, (1..=6).map(|round| (round, 2)).collect::<Vec<_>>());
}

#[test]
fn an_interrupted_federator_says_how_it_goes_on_where_its_nodes_call() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("own.yaml"), experiment(&["north"], 6, "")).unwrap();
    let listen = free_port();
    let (mut federator, _, said) = federate(at, &["--listen", &listen, "--host", "localhost"], 1);
    Command::new("kill").args(["-INT", &federator.id().to_string()]).status().unwrap();
    assert_eq!(federator.wait().unwrap().code(), Some(130));
    let expected = format!("hint: `fltk federate --listen {listen} --host localhost --resume runs/own-");
    wait(&|| said.lock().unwrap().contains(&expected));
}
