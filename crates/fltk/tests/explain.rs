//! Tests of `fltk explain` for a job in every state, with a cluster that answers and with one that doesn't.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

#[path = "../../fltk-records/src/samples.rs"]
mod samples;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    thread,
};

use common::json;
use fltk_core::experiment::{Duration, Experiment};
use fltk_experiment::SourceFile;
use fltk_kubernetes::config::KubernetesConfig;
use fltk_plan::{
    Event, JobId, StreamEvent, jobs,
    plan::{Outcome, STATE_NAMES},
};
use fltk_records::{StreamFolder, StreamTexts};
use jiff::Timestamp;
use serde_json::{Value as Json, json as value};

/// An experiment whose stream runs one job at a time. `low` arrives first, `urgent` a second later may preempt it, and another `low` arrives after an hour.
const EXPERIMENT: &str = "\
name: s
tasks:
  - { name: low, kind: distributed, network: FashionMNISTCNN, dataset: fashion-mnist, distributed: { epochs: 1 } }
  - { name: urgent, kind: distributed, network: FashionMNISTCNN, dataset: fashion-mnist, distributed: { epochs: 1 } }
stream:
  orchestrator: trace
  trace: trace.csv
  policy: priority
  admission: { type: max_concurrent, jobs: 1 }
  groups: [{ name: urgent, tasks: [urgent], preempt: true }]
";
const TRACE: &str = "time,class,priority\n0,low,1\n1,urgent,0\n3600,low,1\n";

fn read() -> Experiment {
    let source = SourceFile { name: "experiment.yaml".to_owned(), text: EXPERIMENT.to_owned() };
    fltk_experiment::parse(&[source], &[], fltk::catalogues()).unwrap_or_else(|report| panic!("{}", report.render(false))).experiment
}

/// Creates a stream called `name` with these events, for Kubernetes if `is_cluster`; returns its jobs in the order of their arrival.
fn stream(home: &Path, name: &str, is_cluster: bool, events: impl FnOnce(&[JobId]) -> Vec<(u64, Event)>) -> Vec<JobId> {
    let experiment = read();
    let mut config = KubernetesConfig::of_stream(experiment.stream.as_ref());
    (config.namespace, config.image) = (Some("training".to_owned()), Some("fltk:1".to_owned()));
    let cluster = is_cluster.then(|| value!({ "kubernetes": config }).to_string());
    let texts =
        StreamTexts { experiment: fltk_experiment::to_yaml(&experiment), cluster, trace: Some(TRACE.to_owned()), ..StreamTexts::default() };
    let description = samples::stream_description(name, "s");
    let folder = StreamFolder::create::<StreamEvent>(&home.join("runs"), &description, &texts).unwrap();
    let trace = fltk_core::arrivals::read_trace("trace.csv", TRACE).unwrap();
    let ids: Vec<JobId> = jobs(&experiment, name, 0, &trace).unwrap().into_iter().map(|spec| spec.id).collect();
    let entry = |(seconds, event)| StreamEvent { now: Duration::from_millis(seconds * 1000), event };
    let entries: Vec<StreamEvent> = events(&ids).into_iter().map(entry).collect();
    folder.journal::<StreamEvent>().unwrap().0.append_all(&entries, Timestamp::UNIX_EPOCH).unwrap();
    ids
}

/// Returns the events that bring `low` into `state`; `None` for a state that it can't be in here.
fn until(state: &str, low: &JobId) -> Option<Vec<(u64, Event)>> {
    let (job, attempt) = (|| low.clone(), 1);
    let created = || (0, Event::Created { job: job(), attempt });
    let runs = || (0, Event::PodRunning { job: job(), attempt, pod: 0, node: "node-0".to_owned() });
    let held = (0, Event::Held { job: job(), attempt, at: None });
    let ended = |outcome| vec![(0, Event::Tick), created(), runs(), (0, Event::ended(job(), outcome, "because"))];
    Some(match state {
        "admitted" => vec![(0, Event::Tick)],
        "starting" => vec![(0, Event::Tick), created()],
        "running" => vec![(0, Event::Tick), created(), runs()],
        "held" => vec![(0, Event::Tick), created(), runs(), held],
        "suspending" => vec![(0, Event::Tick), created(), runs(), (1, Event::Tick)],
        "waiting" => vec![(0, Event::Tick), created(), runs(), (1, Event::Tick), (2, Event::Suspended { job: job(), attempt })],
        "succeeded" => ended(Outcome::Succeeded),
        "failed" => ended(Outcome::Failed),
        "deleted" => ended(Outcome::Deleted),
        _ => return None,
    })
}

/// Starts an API server in which each job's object exists and isn't suspended, and its only pod waits for its image; returns its address.
fn api_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || listener.incoming().flatten().for_each(|connection| drop(thread::spawn(move || serve(&connection)))));
    address
}

fn serve(connection: &TcpStream) {
    let mut lines = BufReader::new(connection).lines();
    while let Some(Ok(request)) = lines.next() {
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        let path = request.split(' ').nth(1).unwrap_or_default();
        let answer = answer(path).to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", answer.len());
        let mut to = connection;
        if to.write_all(format!("{head}{answer}").as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(path: &str) -> Json {
    let id = path.split("trainjob-").nth(1).or_else(|| path.split("job%3D").nth(1)).unwrap_or_default();
    let labels = value!({ "fltk.node/job": id.split(['&', '?']).next(), "training.kubeflow.org/replica-type": "master" });
    if path.contains("/pods") {
        let container = value!({ "name": "pytorch", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": "ImagePullBackOff" } } });
        let status = value!({ "phase": "Pending", "containerStatuses": [container] });
        let pod = value!({ "metadata": { "name": "a", "labels": labels }, "status": status });
        return value!({ "apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [pod] });
    }
    value!({
        "apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob",
        "metadata": { "name": "a", "labels": labels, "annotations": { "fltk.node/attempt": "1" } },
        "spec": { "runPolicy": { "suspend": false } },
        "status": { "conditions": [{ "type": "Created", "status": "True" }] },
    })
}

/// Returns the state and the text that `explain` prints for `job` of the stream `name`, with the API server at `address`.
fn explain(home: &Path, name: &str, job: &JobId, address: &str) -> (String, String) {
    let config = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{ name: a, cluster: {{ server: 'http://{address}' }} }}]\n\
         contexts: [{{ name: a, context: {{ cluster: a, user: a }} }}]\nusers: [{{ name: a, user: {{}} }}]\n"
    );
    fs::write(home.join("kubeconfig"), config).unwrap();
    let said = json(home, &["explain", &job.0, "--stream", name, "--kubeconfig", "kubeconfig", "--output", "json"]);
    (said["state"].as_str().unwrap().to_owned(), said["text"].as_str().unwrap().to_owned())
}

#[test]
fn jobs_in_all_states_are_explained() {
    let home = tempfile::tempdir().unwrap();
    let (home, answers) = (home.path(), api_server());
    // The listener is closed at once, so nothing listens at this address.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut seen = BTreeSet::new();
    for is_cluster in [false, true] {
        for state in STATE_NAMES {
            let name = format!("{}-{is_cluster}", state.replace(' ', "-"));
            let ids = stream(home, &name, is_cluster, |ids| until(state, &ids[0]).unwrap_or_else(|| vec![(0, Event::Tick)]));
            let job = if state == "to come" { &ids[2] } else { &ids[0] };
            for address in [&answers, &silent] {
                let (is, text) = explain(home, &name, job, address);
                assert_eq!(is, state, "{text}");
                let asks = is_cluster && *address == answers;
                let expected = match state {
                    "to come" => "It arrives 1:00:00.0 after",
                    "waiting" => "It waits: ",
                    "admitted" | "starting" | "running" if asks => "1 of 1 pods wait: ImagePullBackOff",
                    "admitted" | "starting" => "It has its place. It is being started.",
                    "running" => "It runs, on node-0.",
                    "held" => "It is held: somebody else suspended its object",
                    "suspending" if asks => "its object isn't suspended: somebody revoked that",
                    "suspending" => "of higher priority. It resumes later.",
                    _ => ": because",
                };
                assert!(text.contains(expected), "{name}: {text}");
            }
            seen.insert(state);
        }
    }
    assert_eq!(seen, BTreeSet::from(STATE_NAMES));
    let missing =
        |args: &[&str]| String::from_utf8(common::fltk(home).args(["explain", "zzz"]).args(args).output().unwrap().stderr).unwrap();
    assert!(missing(&[]).contains("no stream in `runs` has a job `zzz`"), "{}", missing(&[]));
    let named = missing(&["--stream", "running-false"]);
    assert!(named.contains("the stream `running-false` doesn't have a job `zzz`"), "{named}");
}
