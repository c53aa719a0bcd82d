//! Tests that foreign text can't reach standard output or error as a control sequence, for any command and any error.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;
#[path = "common/record.rs"]
mod record;

use std::{fs, path::Path};

use common::{TINY_FEDERATED, run};
use fltk_core::{event::RunEvent, terminal::is_plain};
use fltk_records::{RunFolder, RunRecorder};
use jiff::Timestamp;
use record::record;

/// A text with control sequences that clear the screen in two ways, set the window title and ring the bell, return to the beginning of the line, delete
/// characters, and reverse the direction of text.
const HOSTILE: &str = "x\u{1b}[2J\u{9b}2J\u{1b}]0;t\u{7}\r\u{8}\u{7f}\u{202e}\u{2066}y";

/// Returns the command's output, which must contain only plain characters.
fn says(home: &Path, args: &[&str]) -> String {
    let output = run(home, args);
    let mut said = String::new();
    for bytes in [output.stdout, output.stderr] {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.chars().all(is_plain), "{args:?}: {text:?}");
        said.push_str(&text);
    }
    said
}

#[test]
fn names_and_contents_of_files_are_escaped() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let write = |name: &str, text: &str| {
        let path = home.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let missing = home.join(HOSTILE).join("none").to_str().unwrap().to_owned();
    let set = format!("name={HOSTILE}");
    // YAML's escape sequences have eight digits.
    let yaml_text = format!("\"{}\"", HOSTILE.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect::<String>());
    let files = [
        write(&format!("{HOSTILE}.yaml"), TINY_FEDERATED),
        write("raw.yaml", &format!("name: a\n{HOSTILE}: 1\n")),
        write("key.yaml", &format!("{TINY_FEDERATED}\n{yaml_text}: {yaml_text}\n")),
        write("name.yaml", &format!("name: {yaml_text}\ntasks: {yaml_text}\n")),
        write("path.yaml", &TINY_FEDERATED.replacen("dataset:", &format!("dataset: {{ name: mnist, path: {yaml_text} }}\n    was:"), 1)),
        write("raw.json", &format!("{{\"a\": \"{HOSTILE}\"}}")),
        write("trace.yaml", &format!("{TINY_FEDERATED}\nstream: {{ arrivals: {{ type: trace, path: trace.csv }} }}\n")),
        missing.clone(),
    ];
    write("trace.csv", &format!("time,task,{HOSTILE}\n{HOSTILE},{HOSTILE},{HOSTILE}\n"));
    for file in &files {
        for args in [
            &["validate", file][..],
            &["validate", "--output", "json", file],
            &["convert", file],
            &["plan", file],
            &["data", "show", file],
            &["extractor", file],
        ] {
            says(home, args);
        }
    }
    // The first file is valid and would be trained, so it is skipped.
    for file in &files[1..] {
        says(home, &["run", file]);
        says(home, &["run", "--set", &set, file]);
        says(home, &["run", "--runs", file, file]);
    }
    for args in [
        &["run", "--resume", &missing][..],
        &["runs", "show", &missing],
        &["runs", "show", HOSTILE],
        &["runs", "compare", &missing, HOSTILE],
        &["runs", "export", &missing],
        &["runs", "jobs", &missing],
        &["runs", "list", "--runs", &missing],
        &["runs", "list", "--runs", &missing, "--output", "json"],
        &["explain", HOSTILE, "--stream", &missing],
        &["data", "verify", HOSTILE],
        &["data", "fetch", HOSTILE],
        &["run", "--id", HOSTILE, &files[0]],
    ] {
        assert!(!says(home, args).is_empty(), "{args:?}");
    }
    #[cfg(feature = "web")]
    for args in [
        &["serve", "--runs", &missing][..],
        &["serve", "--token-file", &missing],
        &["extract", "--into", &missing, "--from", HOSTILE],
        &["runs", "export", "--from", &format!("http://{HOSTILE}/")],
    ] {
        assert!(!says(home, args).is_empty(), "{args:?}");
    }
    assert!(says(home, &["validate", &missing]).contains("\\u{1b}[2J\\u{9b}2J"), "it is seen");
}

#[test]
fn foreign_run_folders_are_escaped() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let root = home.join("runs");
    let name = record(&root, 1);
    let (mut recorder, _) = RunRecorder::open(RunFolder::open(root.join(&name)).unwrap(), "a test").unwrap();
    recorder.record(&RunEvent::Failed { reason: HOSTILE.to_owned(), for_good: false }, Timestamp::UNIX_EPOCH).unwrap();
    drop(recorder);
    fs::rename(root.join(&name), root.join(HOSTILE)).unwrap();
    let damaged = record(&root, 2);
    fs::write(root.join(damaged).join("run.json"), format!("{{\"format\": 1, \"{HOSTILE}\": ")).unwrap();
    for args in [
        &["runs", "list"][..],
        &["runs", "list", "--output", "json"],
        &["runs", "show", HOSTILE],
        &["runs", "show", HOSTILE, "--output", "json"],
        &["runs", "compare", HOSTILE, HOSTILE],
        &["runs", "compare", HOSTILE, HOSTILE, "--output", "json"],
        &["report", HOSTILE],
    ] {
        assert!(says(home, args).contains("[2J"), "{args:?}");
    }
    says(home, &["run", "--resume", HOSTILE]);
}
