//! Tests of `fltk cluster` as it runs in a pod: it lingers after its stream is over, waits for another orchestrator of the stream, and ends at once when
//! asked to.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

#[path = "../../fltk-records/src/samples.rs"]
mod samples;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{fltk, run};
use fltk_experiment::SourceFile;
use fltk_kubernetes::config::KubernetesConfig;
use fltk_plan::{Event, StreamEvent, jobs, plan::Outcome};
use fltk_records::{StreamFolder, StreamTexts};
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};

const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);
const NAME: &str = "nightly";

const EXPERIMENT: &str = "\
name: s
tasks:
  - { name: a, kind: distributed, network: FashionMNISTCNN, dataset: fashion-mnist, distributed: { epochs: 1 } }
  - { name: b, kind: distributed, network: FashionMNISTCNN, dataset: fashion-mnist, distributed: { epochs: 1 } }
stream: { parallel: true }
";

/// Creates a home folder with the experiment, and a kubeconfig for the API server at `address`.
fn home(address: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("experiment.yaml"), EXPERIMENT).unwrap();
    let config = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{ name: a, cluster: {{ server: 'http://{address}' }} }}]\n\
         contexts: [{{ name: a, context: {{ cluster: a, user: a }} }}]\nusers: [{{ name: a, user: {{}} }}]\n"
    );
    fs::write(home.path().join("kubeconfig"), config).unwrap();
    home
}

/// Creates the folder of a stream whose jobs are all over, the last one with the outcome `last`.
fn ended(home: &Path, last: Outcome) {
    let source = SourceFile { name: "experiment.yaml".to_owned(), text: EXPERIMENT.to_owned() };
    let experiment =
        fltk_experiment::parse(&[source], &[], fltk::catalogues()).unwrap_or_else(|report| panic!("{}", report.render(false))).experiment;
    let mut config = KubernetesConfig::of_stream(experiment.stream.as_ref());
    config.namespace = Some("training".to_owned());
    config.image = Some("fltk:1".to_owned());
    let cluster = serde_json::to_string_pretty(&serde_json::json!({ "kubernetes": config })).unwrap() + "\n";
    let texts = StreamTexts { experiment: fltk_experiment::to_yaml(&experiment), cluster: Some(cluster), ..StreamTexts::default() };
    let description = samples::stream_description(NAME, "s");
    let folder = StreamFolder::create::<StreamEvent>(&home.join("runs"), &description, &texts).unwrap();
    let specs = jobs(&experiment, NAME, 0, &[]).unwrap();
    let mut events = vec![Event::Tick];
    for (spec, outcome) in specs.iter().zip([Outcome::Succeeded, last]) {
        let job = || spec.id.clone();
        events.push(Event::Created { job: job(), attempt: 1 });
        events.push(Event::PodRunning { job: job(), attempt: 1, pod: 0, node: "node-0".to_owned() });
        events.push(Event::ended(job(), outcome, "because"));
    }
    let now = fltk_core::experiment::Duration::from_millis(1000);
    let entries: Vec<StreamEvent> = events.into_iter().map(|event| StreamEvent { now, event }).collect();
    let (mut journal, _) = folder.journal::<StreamEvent>().unwrap();
    journal.append_all(&entries, Timestamp::UNIX_EPOCH).unwrap();
}

fn cluster(home: &Path) -> Command {
    let mut command = fltk(home);
    command.args(["cluster", "experiment.yaml", "--kubeconfig", "kubeconfig", "--namespace", "training", "--image", "fltk:1"]);
    command
}

fn terminate(child: &Child) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
}

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

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn finished_stream_is_served_until_stopped() {
    for (last, exit) in [(Outcome::Succeeded, 0), (Outcome::Failed, 5)] {
        // Nothing listens at this address: a stream that is over needs no cluster.
        let home = home("127.0.0.1:1");
        ended(home.path(), last);
        let mut command = cluster(home.path());
        command.args(["--id", NAME, "--listen", "127.0.0.1:0", "--linger"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let first = lines.next().unwrap();
        let address =
            first.strip_prefix("metrics at http://").and_then(|rest| rest.strip_suffix("/metrics")).unwrap_or_else(|| panic!("{first}"));
        let all: Vec<String> = lines.by_ref().take_while(|line| !line.starts_with("the stream has ended")).collect();
        assert_eq!(all.iter().any(|line| line.contains("1 of 2 jobs didn't succeed")), exit == 5, "{all:?}");
        let metrics = get(address, "/metrics");
        let succeeded = if exit == 0 { 2 } else { 1 };
        for line in [&format!("fltk_jobs{{state=\"succeeded\"}} {succeeded}"), "fltk_arrivals_total 2", "fltk_job_response_seconds_count 2"]
        {
            assert!(metrics.lines().any(|other| other == line), "{line} in {metrics}");
        }
        assert!(get(address, "/readyz").starts_with("HTTP/1.1 200"));
        assert!(home.path().join("runs").join(NAME).join("jobs.csv").is_file(), "its records are written");
        let folder = StreamFolder::open(home.path().join("runs").join(NAME)).unwrap();
        assert!(!folder.is_taken(), "who wants to remove its objects may");
        terminate(&child);
        assert_eq!(code(child), Some(exit));
        // Without `--linger` it ends at once, with the same exit code.
        let output = cluster(home.path()).args(["--id", NAME]).output().unwrap();
        assert_eq!(output.status.code(), Some(exit), "{}", said(&output));
    }
}

#[test]
fn early_stop_begins_no_stream() {
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let home = home(&api.local_addr().unwrap().to_string());
    let child = cluster(home.path()).args(["--id", NAME]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The command connects, and gets no answer.
    let (_silent, _) = api.accept().unwrap();
    terminate(&child);
    assert_eq!(code(child), Some(130));
    assert!(!home.path().join("runs").join(NAME).exists());
}

#[test]
fn name_of_a_stream_with_other_files_is_refused() {
    let home = home("127.0.0.1:1");
    ended(home.path(), Outcome::Succeeded);
    for more in [&["--set", "tasks.0.distributed.epochs=2"][..], &["--seed", "7"], &["--image", "fltk:2"]] {
        let mut command = fltk(home.path());
        command.args(["cluster", "experiment.yaml", "--kubeconfig", "kubeconfig", "--namespace", "training", "--id", NAME]);
        let image = if more[0] == "--image" { &[][..] } else { &["--image", "fltk:1"] };
        let output = command.args(image).args(more).output().unwrap();
        assert_eq!(output.status.code(), Some(6), "{more:?}: {}", said(&output));
        assert!(said(&output).contains("was started with other files") && said(&output).contains("--resume"), "{}", said(&output));
    }
}

#[test]
fn another_process_on_the_stream_is_waited_for() {
    let home = home("127.0.0.1:1");
    ended(home.path(), Outcome::Succeeded);
    let folder = StreamFolder::open(home.path().join("runs").join(NAME)).unwrap();
    let lock = folder.lock("the old pod").unwrap();
    for more in [&[][..], &["--wait", "100ms"]] {
        let output = cluster(home.path()).args(["--id", NAME]).args(more).output().unwrap();
        assert_eq!(output.status.code(), Some(6), "{more:?}: {}", said(&output));
        assert!(said(&output).contains("is being written by the old pod\nhint"), "{more:?}: {}", said(&output));
    }
    let wait = || {
        let mut command = cluster(home.path());
        command.args(["--id", NAME, "--wait", "10min"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let first = lines.next().unwrap();
        assert!(first.contains("is being written by the old pod; waiting"), "{first}");
        (child, lines)
    };
    let (child, lines) = wait();
    terminate(&child);
    assert_eq!((code(child), lines.last().unwrap().contains("interrupted")), (Some(130), true));
    let (child, lines) = wait();
    drop(lock);
    assert_eq!((code(child), lines.count() > 0), (Some(0), true));
}

#[test]
fn linger_requires_a_served_address() {
    let home = home("127.0.0.1:1");
    let output = run(home.path(), &["cluster", "experiment.yaml", "--linger"]);
    assert!(output.status.code() == Some(2) && said(&output).contains("--listen"), "{}", said(&output));
}
