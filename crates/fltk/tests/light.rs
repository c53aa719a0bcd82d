//! Tests of the cost of a command that trains nothing: no libtorch, and little memory.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;
#[path = "common/record.rs"]
mod record;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use common::{PROGRAM, TINY_CENTRAL, fltk, repository};
use fltk_experiment::SourceFile;
use fltk_plan::{Event, JobId, StreamEvent, jobs};
use fltk_records::{StreamFolder, StreamTexts};
use jiff::Timestamp;

/// The maximum memory that such a command may use, in MiB. With libtorch it was 116.
const PEAK_MIB_MAX: u64 = 24;

#[test]
fn fltk_is_not_linked_with_libtorch() {
    let listing = Command::new("ldd").arg(PROGRAM).output().unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    assert!(listing.contains("libc.so"), "{listing}");
    // Of each library the listing also has an address, in hexadecimal digits.
    for library in ["libtorch", "libc10", "libgomp", "libstdc++"] {
        assert!(!listing.contains(library), "{listing}");
    }
}

#[test]
fn commands_without_training_use_little_memory() {
    let home = tempfile::tempdir().unwrap();
    let at = home.path();
    let example = |name: &str| repository().join("examples").join(name).display().to_string();
    let job = stream(at);
    (0..20).for_each(|seed| drop(record::record(&at.join("runs"), seed)));
    for args in [
        &["validate", &example("quickstart.yaml"), &example("stream.yaml"), &example("sweep.yaml")][..],
        &["plan", &example("stream.yaml")],
        &["plan", &example("stream.yaml"), "--output", "json"],
        &["runs", "list"],
        &["explain", &job.0],
    ] {
        let peak = peak_mib(fltk(at).args(args));
        assert!(peak <= PEAK_MIB_MAX, "fltk {args:?} took {peak} MiB");
    }
}

/// Creates a stream of two jobs in `runs`, none of which has ended; returns the first job.
fn stream(home: &Path) -> JobId {
    let text = format!("{TINY_CENTRAL}seeds: [1, 2]\nstream: {{ orchestrator: batch, parallel: false }}\n");
    let source = SourceFile { name: "stream.yaml".to_owned(), text };
    let experiment =
        fltk_experiment::parse(&[source], &[], fltk::catalogues()).unwrap_or_else(|report| panic!("{}", report.render(false))).experiment;
    let texts = StreamTexts { experiment: fltk_experiment::to_yaml(&experiment), ..StreamTexts::default() };
    let description = record::samples::stream_description("batch", experiment.name.as_ref());
    let folder = StreamFolder::create::<StreamEvent>(&home.join("runs"), &description, &texts).unwrap();
    let (mut journal, _) = folder.journal::<StreamEvent>().unwrap();
    let now = fltk_core::experiment::Duration::from_millis(1000);
    journal.append_all(&[StreamEvent { now, event: Event::Tick }], Timestamp::UNIX_EPOCH).unwrap();
    jobs(&experiment, "batch", 0, &[]).unwrap()[0].id.clone()
}

/// Returns the peak memory of `command`, which must succeed, in MiB rounded up: as the kernel reports it, polled until the command ends.
fn peak_mib(command: &mut Command) -> u64 {
    // On a busy machine, the command may end before it is polled once.
    let peak_kib = (0..50).map(|_| peak_kib(command)).find(|peak_kib| *peak_kib > 0);
    peak_kib.unwrap_or_else(|| panic!("{command:?} was never seen")).div_ceil(1024)
}

/// Returns the peak memory in KiB; 0 if the command ended before it was polled.
fn peak_kib(command: &mut Command) -> u64 {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    let status = loop {
        // A process that has ended has no status file, or no memory in it.
        let status = fs::read_to_string(&status_file).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak_kib = peak_kib.max(kib.unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
    };
    assert!(status.success(), "{command:?}: {status}");
    peak_kib
}
