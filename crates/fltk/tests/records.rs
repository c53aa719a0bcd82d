//! End-to-end tests of `fltk serve`, `fltk extract` and `fltk runs export --from`.
#![cfg(feature = "web")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;
#[path = "common/record.rs"]
mod record;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{fltk, json, run};
use fltk_core::event::RunEvent;
use fltk_records::{RunFolder, RunRecorder, checkpoint::Files, history::Unit};
use jiff::Timestamp;
use record::record;
use rustix::process::{Pid, Signal, kill_process};

/// The time limit for something that should be immediate.
const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits for the process to end, and returns its exit code.
fn code(mut child: Child) -> Option<i32> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(began.elapsed() < LIMIT, "it doesn't end");
        thread::sleep(POLL);
    }
}

struct Server {
    child: Child,
    url: String,
    _stderr: BufReader<ChildStderr>,
}

/// Starts `fltk serve` for the runs in `folder`.
fn serve(folder: &Path, args: &[&str]) -> Server {
    start(fltk(folder).args(["serve", "--listen", "127.0.0.1:0"]).args(args), "/")
}

/// Starts `command`, and reads the address that it prints, which ends with `end`.
fn start(command: &mut Command, end: &str) -> Server {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let url = line.split_whitespace().last().and_then(|word| word.strip_suffix(end)).unwrap_or_else(|| panic!("{line}"));
    Server { child, url: url.to_owned(), _stderr: stderr }
}

#[test]
fn results_are_copied_over_http_unchanged_and_once() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("runs");
    let (first, second) = (record(&root, 1), record(&root, 2));
    let server = serve(home.path(), &[]);
    for format in ["csv", "json"] {
        let (here, there) = (
            run(home.path(), &["runs", "export", "--format", format]),
            run(home.path(), &["runs", "export", "--format", format, "--from", &server.url]),
        );
        assert!(there.status.success(), "{}", said(&there));
        assert!(!here.stdout.is_empty() && here.stdout == there.stdout);
    }
    let one = run(home.path(), &["runs", "export", "--from", &server.url, &second]);
    assert_eq!(String::from_utf8(one.stdout).unwrap().lines().count(), 3);

    let extract =
        |named: &[&str]| json(home.path(), &[&["extract", "--output", "json", "--into", "copies", "--from", &server.url], named].concat());
    let states = |done: serde_json::Value| -> Vec<(String, String)> {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        done.as_array().unwrap().iter().map(|one| (text(&one["name"]), text(&one["state"]))).collect()
    };
    let state = |name: &str, state: &str| (name.to_owned(), state.to_owned());
    assert_eq!(states(extract(&[&second])), [state(&second, "new")]);
    assert_eq!(states(extract(&[])), [state(&first, "new"), state(&second, "same")]);
    // The copies are valid runs.
    let listed = |root: &str| json(home.path(), &["runs", "list", "--sort", "name", "--output", "json", "--runs", root]);
    assert_eq!(listed("copies").as_array().unwrap().len(), 2);
    assert_eq!(listed("copies")[0]["run"], listed("runs")[0]["run"]);

    // A run that has continued is fetched again; a copy with other records isn't replaced.
    let (mut recorder, _) = RunRecorder::open(RunFolder::open(root.join(&first)).unwrap(), "a test").unwrap();
    recorder.record(&RunEvent::Finished { parameters_sha256: "f".repeat(64), seconds: 3.5 }, Timestamp::UNIX_EPOCH).unwrap();
    drop(recorder);
    fs::write(home.path().join("copies").join(&second).join("journal.jsonl"), "mine\n").unwrap();
    let output = run(home.path(), &["extract", "--into", "copies", "--from", &server.url]);
    assert_eq!(output.status.code(), Some(6), "{}", said(&output));
    assert!(said(&output).contains(&format!("run {first}: copied in place of an older copy")), "{}", said(&output));
    assert!(said(&output).contains("has other records"), "{}", said(&output));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "0 copied, 1 replaced, 0 already present, 1 failed\n");
    assert_eq!(fs::read_to_string(home.path().join("copies").join(&second).join("journal.jsonl")).unwrap(), "mine\n");

    let output = run(home.path(), &["extract", "--into", "copies", "--from", &server.url, "none"]);
    assert!(output.status.code() == Some(6) && said(&output).contains("no run or stream `none`"), "{}", said(&output));
    signal(&server.child, Signal::TERM);
    assert_eq!(code(server.child), Some(0));
    let output = run(home.path(), &["extract", "--into", "copies", "--from", &server.url]);
    assert_eq!(output.status.code(), Some(6), "{}", said(&output));
}

#[test]
fn files_only_in_the_copy_are_kept() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("runs");
    let name = record(&root, 1);
    let (origin, copy) = (root.join(&name), home.path().join("copies").join(&name));
    let store = |folder: &Path| RunFolder::open(folder).unwrap().checkpoints(Unit::Epoch);
    store(&origin).save(1.into(), &Files::new()).unwrap();
    let server = serve(home.path(), &[]);
    let extract = || {
        let output = run(home.path(), &["extract", "--into", "copies", "--from", &server.url]);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(extract(), "1 copied, 0 replaced, 0 already present, 0 failed\n");
    // The user adds a note to the copy, and deletes checkpoints of the original to free space.
    fs::write(copy.join("notes.txt"), "mine").unwrap();
    fs::remove_dir_all(origin.join("checkpoints/epoch-000001")).unwrap();
    assert_eq!(extract(), "0 copied, 0 replaced, 1 already present, 0 failed\n");
    // The run continues.
    let (mut recorder, _) = RunRecorder::open(RunFolder::open(&origin).unwrap(), "a test").unwrap();
    recorder.record(&RunEvent::Finished { parameters_sha256: "f".repeat(64), seconds: 3.5 }, Timestamp::UNIX_EPOCH).unwrap();
    drop(recorder);
    assert_eq!(extract(), "0 copied, 1 replaced, 0 already present, 0 failed\n");
    assert_eq!(extract(), "0 copied, 0 replaced, 1 already present, 0 failed\n", "again is cheap, although there is more here");
    assert_eq!(fs::read_to_string(copy.join("notes.txt")).unwrap(), "mine");
    assert_eq!(store(&copy).list().unwrap().len(), 1);
    signal(&server.child, Signal::TERM);
    assert_eq!(code(server.child), Some(0));
}

#[test]
fn server_with_a_token_requires_it() {
    let home = tempfile::tempdir().unwrap();
    record(&home.path().join("runs"), 1);
    fs::write(home.path().join("token"), "0123456789abcdef\n").unwrap();
    let server = serve(home.path(), &["--token-file", "token"]);
    let export = ["runs", "export", "--from", &server.url];
    let without = run(home.path(), &export);
    assert!(without.status.code() == Some(6) && said(&without).contains("--token-file"), "{}", said(&without));
    let with = run(home.path(), &[&export[..], &["--token-file", "token"]].concat());
    assert!(with.status.success(), "{}", said(&with));
    let with = fltk(home.path()).args(export).env("FLTK_TOKEN", "0123456789abcdef").output().unwrap();
    assert!(with.status.success(), "{}", said(&with));
    signal(&server.child, Signal::INT);
    assert_eq!(code(server.child), Some(0));
    // An empty variable is an error for a server, since it would let everybody in.
    let output = fltk(home.path()).args(["serve", "--listen", "127.0.0.1:0"]).env("FLTK_TOKEN", "").output().unwrap();
    assert!(output.status.code() == Some(1) && said(&output).contains("FLTK_TOKEN is set but empty"), "{}", said(&output));
    for (wrong, content) in [("short", "short"), ("none", "")] {
        fs::write(home.path().join(wrong), content).unwrap();
        let output = run(home.path(), &["serve", "--listen", "127.0.0.1:0", "--token-file", wrong]);
        assert!(!output.status.success() && said(&output).contains("a token has 16"), "{}", said(&output));
    }
}

#[test]
fn serve_errors_are_reported() {
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert!(output.status.code() == Some(6) && said(&output).contains("there is no folder `runs`"), "{}", said(&output));
    fs::create_dir(home.path().join("runs")).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let output = run(home.path(), &["serve", "--listen", &taken.local_addr().unwrap().to_string()]);
    assert!(output.status.code() == Some(1) && said(&output).contains("can't listen at"), "{}", said(&output));
    let output = run(home.path(), &["extract", "--from", "runs", "--into", "copies"]);
    assert!(!output.status.success() && said(&output).contains("`http://localhost:8080`"), "{}", said(&output));
}

#[test]
fn interrupted_extract_leaves_no_files() {
    let home = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let folder = home.path().join("copies");
    let child = fltk(home.path())
        .args(["extract", "--from", &url, "--into", "copies"])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // The server lists one run and its files, begins to send it, and then sends nothing more.
    let records = "[{\"kind\":\"run\",\"name\":\"r\"}]";
    let mut header = vec![0; 512];
    header[..2].copy_from_slice(b"r/");
    for answer in [records, "[]"] {
        let mut stream = accept(&listener);
        write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).unwrap();
    }
    let mut stream = accept(&listener);
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n").unwrap();
    stream.write_all(&header[..100]).unwrap();
    let began = Instant::now();
    while fs::read_dir(&folder).map_or(0, Iterator::count) == 0 {
        assert!(began.elapsed() < LIMIT, "it unpacks nothing");
        thread::sleep(POLL);
    }
    signal(&child, Signal::INT);
    assert_eq!(code(child), Some(130));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

/// Accepts the next connection, and reads the head of its request.
fn accept(listener: &TcpListener) -> std::net::TcpStream {
    accept_with_head(listener).0
}

fn accept_with_head(listener: &TcpListener) -> (std::net::TcpStream, String) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    (stream, String::from_utf8(head).unwrap())
}

/// Returns the server's answer to `GET path`, in which an archive has a different name of the experiment.
fn altered(server: &str, path: &str) -> Vec<u8> {
    let mut stream = std::net::TcpStream::connect(server).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let (from, to) = (b"\"exp", b"\"exq");
    let places: Vec<usize> = (0..answer.len() - from.len()).filter(|at| answer[*at..].starts_with(from)).collect();
    places.into_iter().filter(|_| path.ends_with("/archive")).for_each(|at| answer[at..at + to.len()].copy_from_slice(to));
    answer
}

#[test]
fn altered_transfers_are_rejected() {
    let home = tempfile::tempdir().unwrap();
    record(&home.path().join("runs"), 1);
    let server = serve(home.path(), &[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let between = format!("http://{}", listener.local_addr().unwrap());
    let to = server.url.trim_start_matches("http://").to_owned();
    thread::spawn(move || {
        loop {
            let (mut stream, head) = accept_with_head(&listener);
            // A client that rejects the answer closes the connection.
            let _ = stream.write_all(&altered(&to, head.split(' ').nth(1).unwrap()));
        }
    });
    let output = run(home.path(), &["extract", "--into", "copies", "--from", &between]);
    assert_eq!(output.status.code(), Some(6), "{}", said(&output));
    assert!(said(&output).contains("run.json`, which differs from the digests"), "{}", said(&output));
    assert_eq!(fs::read_dir(home.path().join("copies")).unwrap().count(), 0);
    let output = run(home.path(), &["extract", "--into", "copies", "--from", &server.url]);
    assert!(output.status.success(), "{}", said(&output));
    signal(&server.child, Signal::TERM);
    assert_eq!(code(server.child), Some(0));
}
