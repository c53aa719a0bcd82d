use fltk_core::arrivals::read_trace;
use fltk_experiment::{SourceFile, parse};
use fltk_records::{StreamFolder, StreamTexts};

use super::*;
use crate::plan::{LastWords, State};

#[path = "../../../fltk-records/src/samples.rs"]
mod samples;

fn stream() -> Stream {
    let text = "
name: s
seeds: [1, 2]
tasks:
  - { name: a, kind: distributed, network: FashionMNISTCNN, dataset: fashion-mnist, distributed: { epochs: 1 } }
  - { name: b, kind: distributed, network: FashionMNISTCNN, dataset: fashion-mnist, distributed: { epochs: 1 } }
stream: { admission: { type: max_concurrent, jobs: 1 } }
";
    let file = SourceFile { name: "s.yaml".to_owned(), text: text.to_owned() };
    Stream {
        experiment: parse(&[file], &[], fltk_catalogue::catalogues()).unwrap().experiment,
        trace: Vec::new(),
        run: "s-1".parse().unwrap(),
    }
}

/// Ends every job that is started, one event per millisecond, until `stop` events were journaled or all is done. Returns the jobs that were started.
fn work(orchestrator: &mut Orchestrator<'_>, started: &mut Vec<(JobId, u32)>, mut stop: u32) {
    let mut asked = orchestrator.outstanding();
    // The world reports again the jobs that exist.
    let there = orchestrator.planner().jobs().iter().filter(|job| job.state == State::Starting);
    asked.extend(there.map(|job| Action::Start { job: job.spec.id.clone(), attempt: 1 }));
    if asked.is_empty() {
        asked = orchestrator.take(orchestrator.now(), vec![Event::Tick], Timestamp::UNIX_EPOCH).unwrap();
    }
    while let Some(action) = asked.pop() {
        let Action::Start { job, attempt } = action else { panic!("nothing is suspended") };
        if !started.contains(&(job.clone(), attempt)) {
            started.push((job.clone(), attempt));
        }
        let created = Event::Created { job: job.clone(), attempt };
        let ended = Event::ended(job, Outcome::Succeeded, "");
        for event in [created, ended] {
            if stop == 0 {
                return;
            }
            stop -= 1;
            let now = Duration::from_millis(orchestrator.now().as_millis() + 1);
            asked.extend(orchestrator.take(now, vec![event], Timestamp::UNIX_EPOCH).unwrap());
        }
    }
}

#[test]
fn termination_reports_are_read_back() {
    let words = vec![LastWords { pod: 12, words: "killed".to_owned() }];
    let event = Event::Ended {
        job: JobId("a".to_owned()),
        outcome: Outcome::Failed,
        reason: "b".to_owned(),
        blame: Blame::Job,
        left: BTreeMap::new(),
        words,
    };
    let events = [Event::Tick, event].map(|event| StreamEvent { now: Duration::from_millis(1), event });
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("journal.jsonl");
    Journal::create(&path).unwrap().append_all(&events, Timestamp::UNIX_EPOCH).unwrap();
    assert!(fltk_records::journal::replay::<StreamEvent>(&path).unwrap().entries.into_iter().map(|entry| entry.event).eq(events));
    // Journals of earlier versions have lines of this form.
    let lines = std::fs::read_to_string(&path).unwrap();
    let bodies: Vec<&str> = lines.lines().map(|line| &line[line.find("\"now\"").unwrap()..]).collect();
    let ended = "\"now\":\"1ms\",\"event\":\"ended\",\"job\":\"a\",\"outcome\":\"failed\",\"reason\":\"b\",\"words\":[{\"pod\":12,\"words\":\"killed\"}]}";
    assert_eq!(bodies, ["\"now\":\"1ms\",\"event\":\"tick\"}", ended]);
}

#[test]
fn kill_at_any_record_loses_no_job_and_starts_none_twice() {
    let mut whole = Vec::new();
    let mut orchestrator = Orchestrator::new(stream(), |spec| spec, None, &[]).unwrap();
    work(&mut orchestrator, &mut whole, u32::MAX);
    assert!(orchestrator.is_finished());
    assert_eq!((whole.len(), orchestrator.replication()), (4, (1, 2)));
    // The times aren't compared: the world takes time to report again the jobs that exist.
    let all_of =
        |orchestrator: &Orchestrator<'_>| orchestrator.records().map(|record| (record.job.clone(), record.outcome)).collect::<Vec<_>>();
    let expected = all_of(&orchestrator);
    for killed_after in 0..8 {
        let root = tempfile::tempdir().unwrap();
        let description = samples::stream_description("s-1", "s");
        let folder = StreamFolder::create::<StreamEvent>(root.path(), &description, &StreamTexts::default()).unwrap();
        let mut started = Vec::new();
        for stop in [killed_after, u32::MAX] {
            let (journal, replay) = folder.journal::<StreamEvent>().unwrap();
            let mut orchestrator = Orchestrator::new(stream(), |spec| spec, Some(journal), &replay.entries).unwrap();
            work(&mut orchestrator, &mut started, stop);
            if stop == u32::MAX {
                assert!(orchestrator.is_finished());
                assert_eq!(all_of(&orchestrator), expected, "killed after {killed_after}");
            }
        }
        assert_eq!(started, whole, "killed after {killed_after}");
    }
}

#[test]
fn streams_are_identified_by_their_arrivals() {
    let with = |file: &str, trace: &str| Stream { trace: read_trace(file, trace).unwrap(), ..stream() };
    let csv = with("arrivals.csv", "time,class,priority\n0,a,\n1.5,b,2\n");
    assert!(csv.is_same_as(&with("trace.txt", "# Once.\ntime,class,priority\n0s,a,\n1500ms,b,2\n")));
    assert!(csv.is_same_as(&with("trace.json", r#"[{ "time": 0, "class": "a" }, { "time": "1.5s", "class": "b", "priority": 2 }]"#)));
    for other in ["0,a,\n1.6,b,2\n", "0,b,\n1.5,b,2\n", "0,a,1\n1.5,b,2\n", "0,a,\n"] {
        assert!(!csv.is_same_as(&with("arrivals.csv", &format!("time,class,priority\n{other}"))), "{other}");
    }
    assert!(!csv.is_same_as(&Stream { run: "s-2".parse().unwrap(), ..csv.clone() }));
    let (mut here, mut elsewhere) = (csv.clone(), csv.clone());
    for (stream, path) in [(&mut here, "./arrivals.csv"), (&mut elsewhere, "old/arrivals.csv")] {
        stream.experiment.stream.as_mut().unwrap().trace = Some(path.to_owned());
    }
    assert!(here.is_same_as(&elsewhere), "the path of a trace says nothing about its arrivals");
    let mut other = csv.clone();
    other.experiment.tasks[1].training_mut().unwrap().threads = 2;
    assert!(!csv.is_same_as(&other));
}

#[test]
fn failed_jobs_are_retried_replication_by_replication() {
    let mut orchestrator = Orchestrator::new(stream(), |spec| spec, None, &[]).unwrap();
    let mut asked = orchestrator.take(Duration::from_millis(0), vec![Event::Tick], Timestamp::UNIX_EPOCH).unwrap();
    let mut entries = vec![Event::Tick];
    let step = |orchestrator: &mut Orchestrator<'_>, entries: &mut Vec<Event>, event: Event| {
        entries.push(event.clone());
        orchestrator.take(Duration::from_millis(0), vec![event], Timestamp::UNIX_EPOCH).unwrap()
    };
    let ended = |job: &JobId, outcome, blame| Event::Ended {
        job: job.clone(),
        outcome,
        reason: String::new(),
        blame,
        left: BTreeMap::new(),
        words: Vec::new(),
    };
    // Both jobs of the first replication fail, one of them by the machine's fault; the second replication is current.
    let mut failed = Vec::new();
    for blame in [Blame::Job, Blame::Machine] {
        let job = asked.pop().unwrap().job().clone();
        asked = step(&mut orchestrator, &mut entries, ended(&job, Outcome::Failed, blame));
        failed.push(job);
    }
    assert_eq!(
        (orchestrator.replication(), orchestrator.to_retry(false), orchestrator.to_retry(true)),
        ((1, 2), failed[1..].to_vec(), failed.clone())
    );
    for job in &failed {
        assert!(step(&mut orchestrator, &mut entries, Event::Retried { job: job.clone() }).is_empty(), "not while another is at hand");
    }
    for _ in 0..2 {
        let job = asked.pop().unwrap().job().clone();
        asked = step(&mut orchestrator, &mut entries, ended(&job, Outcome::Succeeded, Blame::Job));
    }
    // Then the first replication's jobs run again, one by one as before, and nothing more.
    assert_eq!((orchestrator.is_finished(), orchestrator.replication()), (false, (0, 2)));
    for _ in 0..2 {
        let Some(Action::Start { job, attempt: 2 }) = asked.pop() else { panic!("a second start: {asked:?}") };
        assert!(orchestrator.job(&job).unwrap().is_anew() && failed.contains(&job));
        asked = step(&mut orchestrator, &mut entries, ended(&job, Outcome::Succeeded, Blame::Job));
    }
    assert!(orchestrator.is_finished() && orchestrator.records().all(|record| record.outcome == Some(Outcome::Succeeded)));
    assert_eq!(orchestrator.to_retry(true), [] as [JobId; 0]);
    // The journal, read again, gives the same state.
    let root = tempfile::tempdir().unwrap();
    let description = samples::stream_description("s-1", "s");
    let folder = StreamFolder::create::<StreamEvent>(root.path(), &description, &StreamTexts::default()).unwrap();
    let events: Vec<StreamEvent> = entries.into_iter().map(|event| StreamEvent { now: Duration::from_millis(0), event }).collect();
    folder.journal::<StreamEvent>().unwrap().0.append_all(&events, Timestamp::UNIX_EPOCH).unwrap();
    let again = Orchestrator::new(stream(), |spec| spec, None, &folder.replay::<StreamEvent>().unwrap().entries).unwrap();
    assert!(again.is_finished() && again.records().eq(orchestrator.records()));
}
