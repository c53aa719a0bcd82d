//! Tests of diagnostics: which are written at which level, and in which format.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::{fs, path::Path, process::Output};

use common::{TINY_CENTRAL, fltk, json_lines, repository, run};

/// An arrival file of KFLTK with a warning and notes.
fn arrivals() -> String {
    repository().join("configs/distributed_tasks/example_arrival_config.json").display().to_string()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs the program with `levels` in the environment.
fn with_levels(home: &Path, levels: &str, args: &[&str]) -> Output {
    fltk(home).env("FLTK_LOG", levels).args(args).output().unwrap()
}

#[test]
fn quiet_silences_notes_about_files_and_leaves_warnings() {
    let home = tempfile::tempdir().unwrap();
    let file = arrivals();
    for command in ["validate", "plan", "convert"] {
        let (usual, quiet) = (run(home.path(), &[command, &file]), run(home.path(), &[command, "-q", &file]));
        assert!(usual.status.success() && usual.stdout == quiet.stdout, "{command}: {}", said(&usual));
        assert!(said(&usual).contains("note: ") && said(&usual).contains("warning: "), "{command}: {}", said(&usual));
        assert!(!said(&quiet).contains("note: ") && said(&quiet).contains("warning: "), "{command}: {}", said(&quiet));
        // A level of the environment is the same, a flag has priority over it.
        assert_eq!(said(&with_levels(home.path(), "warn", &[command, &file])), said(&quiet), "{command}");
        assert_eq!(said(&with_levels(home.path(), "info", &[command, "-q", &file])), said(&quiet), "{command}");
        assert_eq!(said(&with_levels(home.path(), "error", &[command, &file])), "", "{command}");
    }
}

#[test]
fn wrong_levels_are_an_error_that_says_what_to_write() {
    let home = tempfile::tempdir().unwrap();
    for levels in ["loud", "fltk=loud", "info,[job]=debug"] {
        let output = with_levels(home.path(), levels, &["validate", &arrivals()]);
        let expected = format!("error: `FLTK_LOG` is `{levels}`: ");
        assert!(output.status.code() == Some(2) && said(&output).starts_with(&expected), "{}", said(&output));
        assert!(
            said(&output).contains("hint: write `error`, `warn`, `info`, `debug` or `trace`, or levels by module"),
            "{}",
            said(&output)
        );
    }
    // An empty variable counts as none.
    assert!(with_levels(home.path(), "", &["validate", &arrivals()]).status.success());
}

#[test]
#[cfg(feature = "cluster")]
fn a_stream_on_a_cluster_logs_for_programs() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("central.yaml"), TINY_CENTRAL).unwrap();
    let output = run(home.path(), &["cluster", "central.yaml", &arrivals(), "--log-format", "json", "--kubeconfig", "none"]);
    // Problems of files are lines like all others, and so is the error that ends the process.
    assert!(!output.status.success());
    let lines = json_lines(&said(&output));
    assert_eq!(lines.last().unwrap()["level"], "error", "{lines:?}");

    let output = run(home.path(), &["cluster", &arrivals(), "--log-format", "json", "--kubeconfig", "none"]);
    let lines = json_lines(&said(&output));
    let levels: Vec<_> = lines.iter().map(|line| line["level"].as_str().unwrap()).collect();
    assert!(levels.contains(&"warn") && levels.contains(&"info") && levels.last() == Some(&"error"), "{lines:?}");
}

#[test]
#[cfg(feature = "web")]
fn a_server_logs_for_programs() {
    use std::{
        io::{BufRead as _, BufReader, Read as _, Write as _},
        net::TcpStream,
        process::Stdio,
    };

    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("runs")).unwrap();
    let mut command = fltk(home.path());
    command.args(["serve", "--listen", "127.0.0.1:0", "-v"]).env("FLTK_LOG_FORMAT", "json").stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let greeting = json_lines(&lines.next().unwrap()).remove(0);
    assert_eq!((&greeting["level"], &greeting["target"]), (&"info".into(), &"fltk::cmd::serve".into()));
    assert!(greeting["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{greeting}");
    let address = greeting["message"].as_str().unwrap().split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();

    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    stream.read_to_string(&mut String::new()).unwrap();
    let request = json_lines(&lines.next().unwrap()).remove(0);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((&request["level"], &request["path"], &request["status"]), (&"debug".into(), &"/api/v1/runs".into(), &200.into()));
    assert_eq!(request["message"], "GET /api/v1/runs: 200 OK");
}
