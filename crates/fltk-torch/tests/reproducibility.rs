//! Tests that the same file and seed give the same bits, whatever the number of workers and however often the run is killed.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{fs, path::Path, process::Stdio, time::Duration};

use common::{TINY_CENTRAL, TINY_FEDERATED, fltk, json};

fn digest(folder: &Path, args: &[&str]) -> String {
    let result = json(folder, args);
    result["parameters_sha256"].as_str().expect("the result has a digest").to_owned()
}

#[test]
fn results_do_not_depend_on_the_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tiny.yaml"), TINY_FEDERATED).unwrap();
    let with = |workers: &str| digest(folder.path(), &["run", "tiny.yaml", "--workers", workers, "--output", "json"]);
    let one = with("1");
    assert_eq!(one, with("2"));
    assert_eq!(one, with("3"));
    let other_seed = digest(folder.path(), &["run", "tiny.yaml", "--seed", "7", "--output", "json"]);
    assert_ne!(one, other_seed);
}

/// Starts the run, kills it (SIGKILL) once its journal holds `lines` lines, resumes it as often as needed, and returns the final digest.
fn digest_after_kills(folder: &Path, file: &str, kill_at_lines: &[usize]) -> (String, usize) {
    let runs = folder.join("killed");
    let mut kills = 0;
    let mut command = fltk(folder);
    command.args(["run", file, "--runs", "killed"]);
    for &lines in kill_at_lines {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let killed = loop {
            if child.try_wait().unwrap().is_some() {
                break false;
            }
            if journal_lines(&runs).is_some_and(|found| found >= lines) {
                child.kill().unwrap();
                child.wait().unwrap();
                break true;
            }
            std::thread::sleep(Duration::from_micros(200));
        };
        let Some(run) = run_folder(&runs) else { continue };
        kills += usize::from(killed);
        command = fltk(folder);
        command.arg("run").arg("--resume").arg(run).args(["--runs", "killed"]);
    }
    let run = run_folder(&runs).expect("there is a run to resume");
    (digest(folder, &["run", "--resume", run.to_str().unwrap(), "--runs", "killed", "--output", "json"]), kills)
}

fn run_folder(runs: &Path) -> Option<std::path::PathBuf> {
    let mut folders: Vec<_> =
        fs::read_dir(runs).ok()?.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.join("journal.jsonl").exists()).collect();
    folders.sort();
    folders.into_iter().next()
}

/// The number of complete lines in the journal of the run; `None` before it has a folder.
fn journal_lines(runs: &Path) -> Option<usize> {
    let journal = fs::read(run_folder(runs)?.join("journal.jsonl")).ok()?;
    Some(journal.iter().filter(|byte| **byte == b'\n').count())
}

#[test]
fn killed_and_resumed_federated_run_ends_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tiny.yaml"), TINY_FEDERATED).unwrap();
    let expected = digest(folder.path(), &["run", "tiny.yaml", "--output", "json"]);
    let mut total_kills = 0;
    // A round writes four clients, its end and perhaps a checkpoint: these kills happen before, within and after rounds.
    for kill_at_lines in [vec![0], vec![1, 3, 9], vec![4, 14, 20, 26], vec![8, 12, 16], vec![22], vec![31]] {
        let _ = fs::remove_dir_all(folder.path().join("killed"));
        let (found, kills) = digest_after_kills(folder.path(), "tiny.yaml", &kill_at_lines);
        assert_eq!(found, expected, "killed at {kill_at_lines:?} lines, {kills} times");
        total_kills += kills;
    }
    assert!(total_kills >= 8, "only {total_kills} kills hit a running process");
}

#[test]
fn killed_and_resumed_single_process_run_ends_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tiny.yaml"), TINY_CENTRAL).unwrap();
    let expected = digest(folder.path(), &["run", "tiny.yaml", "--output", "json"]);
    let mut total_kills = 0;
    for kill_at_lines in [vec![1], vec![2, 4], vec![3, 5, 7]] {
        let _ = fs::remove_dir_all(folder.path().join("killed"));
        let (found, kills) = digest_after_kills(folder.path(), "tiny.yaml", &kill_at_lines);
        assert_eq!(found, expected, "killed at {kill_at_lines:?} lines, {kills} times");
        total_kills += kills;
    }
    assert!(total_kills >= 3, "only {total_kills} kills hit a running process");
}
