use fltk_experiment::{SourceFile, parse};
use fltk_records::journal::Entry;
use jiff::Timestamp;

use super::{series::TIMES_MAX, *};
use crate::{Amounts, Event, Stream, StreamEvent, plan::capacity::Node};

const NANOS: i128 = 1_000_000_000;

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A stream of three jobs of one seed, of which one may run at a time; each requests two cores.
fn stream(seeds: &str, admission: &str) -> Stream {
    let resources = "resources: { master: { cores: 2, memory: 1Gi } }";
    let task = |name: &str, priority: i32| {
        let priority = format!("priorities: [{{ priority: {priority}, probability: 1 }}]");
        format!(
            "  - {{ name: {name}, kind: distributed, network: FashionMNISTCNN, dataset: fashion-mnist, distributed: {{ epochs: 1 }}, {priority}, {resources} }}\n"
        )
    };
    let text =
        format!("name: s\nseeds: {seeds}\ntasks:\n{}{}{}stream: {{ admission: {admission} }}\n", task("a", 1), task("b", 2), task("c", 3));
    let file = SourceFile { name: "s.yaml".to_owned(), text };
    let experiment = parse(&[file], &[], fltk_catalogue::catalogues()).unwrap_or_else(|report| panic!("{report}")).experiment;
    Stream { experiment, trace: Vec::new(), run: "s-1".parse().unwrap() }
}

fn description() -> StreamDescription {
    StreamDescription {
        fltk_version: "0".to_owned(),
        run: "s-1".parse().unwrap(),
        experiment: "s".parse().unwrap(),
        started_at: Timestamp::UNIX_EPOCH,
    }
}

fn entries(events: &[(u64, Event)]) -> Vec<Entry<StreamEvent>> {
    let entry = |(seq, (millis, event)): (u64, &(u64, Event))| Entry {
        seq,
        at: Timestamp::UNIX_EPOCH,
        event: StreamEvent { now: at(*millis), event: event.clone() },
    };
    (0..).zip(events).map(entry).collect()
}

fn looking_back(stream: &Stream, events: &[(u64, Event)]) -> Orchestrator<'static> {
    Orchestrator::looking_back(stream.clone(), |spec| spec, &entries(events)).unwrap()
}

/// The names of the jobs of the first replication, in order of arrival.
fn ids(stream: &Stream) -> Vec<JobId> {
    crate::jobs(&stream.experiment, &stream.run, 0, &[]).unwrap().into_iter().map(|spec| spec.id).collect()
}

fn created(job: &JobId, attempt: u32) -> Event {
    Event::Created { job: job.clone(), attempt }
}

fn runs(job: &JobId, attempt: u32) -> Event {
    Event::PodRunning { job: job.clone(), attempt, pod: 0, node: format!("node-{}", &job.0[..1]) }
}

fn ended(job: &JobId, outcome: Outcome) -> Event {
    Event::ended(job.clone(), outcome, "because")
}

fn named(timeline: &Timeline, job: &JobId) -> (Vec<(&'static str, f64, Option<f64>)>, TimelineJob) {
    let job = timeline.jobs.iter().find(|of| of.job == job.0).unwrap();
    (job.spans.iter().map(|(state, from, to)| (timeline.states[*state], *from, *to)).collect(), job.clone())
}

#[test]
fn spans_follow_each_job_without_gaps() {
    let stream = stream("[1]", "{ type: max_concurrent, jobs: 1 }");
    let jobs = ids(&stream);
    let (first, second) = (&jobs[0], &jobs[1]);
    let events = [
        (0, Event::Tick),
        (500, created(first, 1)),
        (1000, runs(first, 1)),
        (3000, ended(first, Outcome::Succeeded)),
        (3000, created(second, 1)),
        (4000, runs(second, 1)),
        (5000, Event::Held { job: second.clone(), attempt: 1, at: Some(at(4500)) }),
        (6000, Event::Released { job: second.clone(), attempt: 1 }),
    ];
    let orchestrator = looking_back(&stream, &events);
    let run_of = |job: &JobId| (job == first).then(|| "run-1".to_owned());
    let timeline = timeline(&orchestrator, &description(), Some(at(9000)), &run_of);
    let (spans, job) = named(&timeline, first);
    assert_eq!(spans, [("starting", 0.0, Some(1.0)), ("running", 1.0, Some(3.0))], "it didn't wait");
    assert_eq!(
        (job.arrived, job.ended, job.state, job.reason, job.run.as_deref()),
        (Some(0.0), Some(3.0), "succeeded", None, Some("run-1"))
    );
    let (spans, job) = named(&timeline, second);
    let expected = [
        ("waiting", 0.0, Some(3.0)),
        ("starting", 3.0, Some(4.0)),
        ("running", 4.0, Some(4.5)),
        ("held", 4.5, Some(6.0)),
        ("starting", 6.0, None),
    ];
    assert_eq!(spans, expected);
    assert_eq!((job.suspensions, job.why, job.ended), (1, None, None));
    let (spans, job) = named(&timeline, &jobs[2]);
    assert_eq!(spans, [("waiting", 0.0, None)]);
    assert!(job.why.unwrap().starts_with("another job runs, and only one may; frees"));
    assert_eq!((timeline.now, timeline.is_orchestrated, timeline.classes.len()), (Some(9.0), true, 3));
    assert!(timeline.jobs.iter().all(|job| job.nodes.iter().all(|node| *node < timeline.nodes.len())));

    let series = &timeline.series;
    assert_eq!(series.at, [0.0, 1.0, 3.0, 4.0, 4.5, 6.0, 9.0]);
    assert_eq!(series.waiting, [2, 2, 1, 1, 1, 1, 1]);
    assert_eq!(series.running, [0, 1, 0, 1, 0, 0, 0]);
    assert_eq!(series.suspended, [0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(series.used["cpu"], [2.0; 7]);
    assert_eq!(series.used["memory"], [f64::from(1 << 30); 7]);
    assert_eq!(series.used["jobs"], [1.0; 7]);
    assert_eq!((series.capacity["jobs"], series.capacity["cpu"]), (Some(1.0), None));
}

#[test]
fn retried_and_suspended_jobs_have_spans_for_each_try() {
    let stream = stream("[1]", "{ type: unlimited }");
    let jobs = ids(&stream);
    let events = [
        (0, Event::Tick),
        (0, created(&jobs[0], 1)),
        (1000, runs(&jobs[0], 1)),
        (2000, ended(&jobs[0], Outcome::Failed)),
        (7000, Event::Retried { job: jobs[0].clone() }),
        (7000, created(&jobs[0], 2)),
        (8000, runs(&jobs[0], 2)),
        (8000, ended(&jobs[1], Outcome::Deleted)),
    ];
    let orchestrator = looking_back(&stream, &events);
    let timeline = timeline(&orchestrator, &description(), None, &|_| None);
    let (spans, job) = named(&timeline, &jobs[0]);
    let expected = [("starting", 0.0, Some(1.0)), ("running", 1.0, Some(2.0)), ("starting", 7.0, Some(8.0)), ("running", 8.0, None)];
    assert_eq!((spans.as_slice(), job.reason), (&expected[..], None));
    let (_, job) = named(&timeline, &jobs[1]);
    assert_eq!((job.reason.as_deref(), job.state), (Some("because"), "deleted"));
    assert_eq!((timeline.now, timeline.is_orchestrated), (None, false));
    assert_eq!(timeline.series.at, [0.0, 1.0, 2.0, 7.0, 8.0]);
    assert_eq!(timeline.series.running, [0, 1, 0, 0, 1]);
    assert_eq!(timeline.series.used["jobs"], [3.0, 3.0, 2.0, 3.0, 2.0]);
    assert_eq!(timeline.series.capacity["jobs"], None);
}

#[test]
fn capacity_is_what_open_nodes_have() {
    let stream = stream("[1]", "{ type: capacity }");
    let node = |name: &str, cores: i128| Node {
        name: name.to_owned(),
        allocatable: Amounts::none().with("cpu", cores * NANOS).with("memory", 64 * (NANOS << 30)).with("pods", 10 * NANOS),
        used: Amounts::none(),
        closed: None,
    };
    let orchestrator = looking_back(&stream, &[(0, Event::Tick), (10, Event::Nodes { nodes: vec![node("a", 3), node("b", 3)] })]);
    let timeline = timeline(&orchestrator, &description(), None, &|_| None);
    assert_eq!((timeline.series.capacity["cpu"], timeline.series.capacity["jobs"]), (Some(6.0), None));
    assert_eq!(timeline.series.used["cpu"], [0.0, 4.0]);
    let why = timeline.jobs.iter().find_map(|job| job.why.clone()).unwrap();
    assert!(why.contains("insufficient cpu (2 nodes)"), "{why}");
}

#[test]
fn later_replications_count_from_the_start_of_the_stream() {
    let stream = stream("[1, 2]", "{ type: unlimited }");
    let mut events = vec![(0, Event::Tick)];
    events.extend(ids(&stream).iter().map(|job| (5000, ended(job, Outcome::Succeeded))));
    let timeline = timeline(&looking_back(&stream, &events), &description(), None, &|_| None);
    let second: Vec<_> = timeline.jobs.iter().filter(|job| job.replication == 1).collect();
    assert_eq!(second.len(), 3);
    assert!(second.iter().all(|job| job.arrived == Some(5.0) && job.spans[0].1 == 5.0), "{second:?}");
}

#[test]
fn long_series_are_thinned() {
    let changes = |count: u64| {
        let spans: Vec<Span> =
            (0..count).map(|index| Span { phase: Phase::Running, from: at(10 * index), to: Some(at(10 * index + 5)) }).collect();
        spans
    };
    let stream = stream("[1]", "{ type: unlimited }");
    let orchestrator = looking_back(&stream, &[]);
    let job = &orchestrator.planner().jobs()[0];
    let of = |count| series(Change::of_all(job, &changes(count)), at(10 * count), None, None);
    assert_eq!(of(900).at.len(), 1801);
    let long = of(100_000);
    assert_eq!((long.at.len(), long.running.len(), long.used["cpu"].len()), (TIMES_MAX, TIMES_MAX, TIMES_MAX));
    assert_eq!((long.at[0], *long.at.last().unwrap()), (0.0, 1000.0));
    assert!(long.at.is_sorted() && long.running.iter().all(|running| *running <= 1));
}
