//! Tests of server-sent events.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use fltk_core::event::RunEvent;
use fltk_records::{StreamFolder, journal::Journal};
use serde_json::Value as Json;
use tokio::time::timeout;

use crate::{
    server::json,
    site::{LIMIT, Served, at, begin, damage, go_on, large_round, name, run, stream},
};

/// The rows of a run that no socket holds.
const LARGE_ROWS: u32 = 150;

/// A client that follows something.
struct Follower(BufReader<TcpStream>);

/// An event: its id, its name, and its data.
type Event = (Option<String>, String, Json);

impl Follower {
    /// Follows `path`, whose response has to be a stream of events.
    fn new(served: &Served, path: &str, lines: &str) -> Self {
        let mut follower = Self::ask(served, path, lines);
        let head = follower.head();
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-type: text/event-stream"), "{head}");
        assert!(head.contains("cache-control: no-store"), "{head}");
        follower
    }

    fn ask(served: &Served, path: &str, lines: &str) -> Self {
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n").unwrap();
        Self(BufReader::new(stream))
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.0.read_line(&mut line).unwrap() > 0).then(|| line.trim_end().to_owned())
    }

    fn head(&mut self) -> String {
        let mut head = String::new();
        while let Some(line) = self.line().filter(|line| !line.is_empty()) {
            head += &line;
            head += "\n";
        }
        head
    }

    /// Waits until the server has looked once.
    fn welcome(&mut self) {
        while self.line().expect("the stream has an end") != ": fltk" {}
    }

    /// Returns the next event; `None` once the stream has ended as it should.
    fn next(&mut self) -> Option<Event> {
        let (mut id, mut name, mut data) = (None, None, None);
        loop {
            // Each chunk is one event or comment: its size comes before it.
            let line = self.line().expect("the stream has an end");
            if line == "0" {
                return None;
            }
            if let Some(value) = line.strip_prefix("id: ") {
                id = Some(value.to_owned());
            } else if let Some(value) = line.strip_prefix("event: ") {
                name = Some(value.to_owned());
            } else if let Some(value) = line.strip_prefix("data: ") {
                data = Some(json(value));
            } else if line.is_empty()
                && let (Some(name), Some(data)) = (name.take(), data.take())
            {
                return Some((id, name, data));
            }
        }
    }

    /// Returns the steps of the next event, whether others are void, and the id.
    fn rows(&mut self) -> (Vec<u64>, bool, Option<String>) {
        let (id, name, data) = self.next().unwrap();
        assert_eq!(name, "rows");
        assert!(data["summary"]["run"].is_string(), "{data}");
        let steps = data["rows"].as_array().unwrap().iter().map(|row| row["step"].as_u64().unwrap()).collect();
        (steps, data["reset"].as_bool().unwrap(), id)
    }
}

#[test]
fn rows_of_a_run_arrive_as_they_are_recorded() {
    let served = Served::new(None);
    let mut recorder = begin(&served.root, 1, 2);
    let path = format!("/api/v1/runs/{}/live", name(1));
    let mut follower = Follower::new(&served, &path, "");
    assert_eq!(follower.rows(), (vec![0, 1], false, Some("1".into())));
    let mut late = Follower::new(&served, &format!("{path}?after=0"), "");
    // The row that it has comes once more: a program may have reported further figures of it.
    assert_eq!(late.rows(), (vec![0, 1], false, Some("1".into())));
    // A browser that lost the connection says what it had, whatever its address says.
    let mut back = Follower::new(&served, &format!("{path}?after=0"), "Last-Event-ID: 1\r\n");
    assert_eq!(back.rows(), (vec![1], false, Some("1".into())));
    let mut ahead = Follower::new(&served, &format!("{path}?after=7"), "");
    assert_eq!(ahead.rows(), (vec![0, 1], true, Some("1".into())));
    go_on(&mut recorder, 2);
    for follower in [&mut follower, &mut late, &mut back, &mut ahead] {
        assert_eq!(follower.rows(), (vec![2], false, Some("2".into())));
    }
    // Another start voids the last two rows.
    recorder.record(&RunEvent::Started { from: 1.into(), version: "0.1.0".into() }, at(3)).unwrap();
    assert_eq!(follower.rows(), (vec![0, 1], true, Some("1".into())));
    recorder.record(&RunEvent::Finished { parameters_sha256: "f".repeat(64), seconds: 3.5 }, at(4)).unwrap();
    let (_, name, data) = follower.next().unwrap();
    assert_eq!((name.as_str(), &data["summary"]["status"], data["rows"].as_array().unwrap().len()), ("rows", &"finished".into(), 0));
    assert_eq!(follower.next().unwrap().1, "end");
    assert_eq!(follower.next(), None, "the stream is closed");
}

#[test]
fn finished_run_is_sent_and_ended_at_once() {
    let served = Served::new(None);
    let run = run(&served.root, 1);
    let mut follower = Follower::new(&served, &format!("/api/v1/runs/{run}/live"), "");
    assert_eq!(follower.rows().0, [0, 1, 2]);
    assert_eq!(follower.next().unwrap().1, "end");
    assert_eq!(follower.next(), None);
}

#[test]
fn killed_writer_is_noticed() {
    let served = Served::new(None);
    let recorder = begin(&served.root, 1, 1);
    let mut follower = Follower::new(&served, &format!("/api/v1/runs/{}/live", name(1)), "");
    assert_eq!(follower.next().unwrap().2["summary"]["status"], "running");
    drop(recorder);
    assert_eq!(follower.next().unwrap().2["summary"]["status"], "interrupted");
    // Whoever follows a run that is removed is told no more.
    fs::remove_dir_all(served.root.join(name(1))).unwrap();
    assert_eq!(follower.next(), None);
}

#[test]
fn changes_of_lists_and_journals_are_told() {
    let served = Served::new(None);
    stream(&served.root, "s-1", "job-1");
    let mut all = Follower::new(&served, "/api/v1/live", "");
    let mut one = Follower::new(&served, "/api/v1/streams/s-1/live", "");
    [&mut all, &mut one].into_iter().for_each(Follower::welcome);
    let mut changed = |what: &str| {
        let event = all.next().unwrap();
        assert_eq!((event.1.as_str(), &event.2), ("changed", &serde_json::json!({})), "{what}");
    };
    let mut recorder = begin(&served.root, 1, 1);
    changed("a new run");
    go_on(&mut recorder, 1);
    drop(recorder);
    changed("a row");
    let folder = StreamFolder::open(served.root.join("s-1")).unwrap();
    let (mut journal, _): (Journal<RunEvent>, _) = folder.journal().unwrap();
    journal.append(&RunEvent::Started { from: 0.into(), version: "0".into() }, at(0)).unwrap();
    assert_eq!(one.next().unwrap().1, "changed");
}

#[test]
fn errors_are_no_streams() {
    let served = Served::new(None);
    let bad = run(&served.root, 1);
    damage(&served.root, &bad);
    let good = run(&served.root, 2);
    for (path, code, words) in [
        ("/api/v1/runs/none/live", 404, "not a run's folder"),
        ("/api/v1/streams/none/live", 404, "not a stream's folder"),
        (&*format!("/api/v1/runs/{bad}/live"), 500, "journal.jsonl"),
        (&*format!("/api/v1/runs/{good}/live?after=x"), 400, "whole number"),
        (&*format!("/api/v1/runs/{good}/live?after=-1"), 400, "whole number"),
        (&*format!("/api/v1/runs/{good}/live?after=1&after=2"), 400, "twice"),
        (&*format!("/api/v1/runs/{good}/live?before=1"), 400, "only after"),
    ] {
        let (found, _, body) = served.get(path);
        assert_eq!(found, code, "{path}: {body}");
        assert!(json(&body)["error"].as_str().unwrap().contains(words), "{path}: {body}");
    }
}

#[test]
fn events_need_a_token_and_a_known_host() {
    let (open, closed) = (Served::new(None), Served::new(Some("0123456789abcdef")));
    let run = run(&closed.root, 1);
    for path in ["/api/v1/live", "/api/v1/streams/none/live", &format!("/api/v1/runs/{run}/live"), "/api/v1/table", "/api/v1/compare"] {
        assert_eq!(closed.get(path).0, 401, "{path}");
        assert_eq!(open.ask("GET", path, "Host: evil.example\r\n").0, 421, "{path}");
    }
    let mut follower = Follower::new(&closed, &format!("/api/v1/runs/{run}/live"), "Authorization: Bearer 0123456789abcdef\r\n");
    assert_eq!(follower.rows().0, [0, 1, 2]);
}

#[test]
fn followers_are_limited_and_delay_nobody() {
    let served = Served::new(None);
    // More than sockets hold: a hundred kilobytes in each row.
    let mut recorder = begin(&served.root, 1, 1);
    let large: Vec<RunEvent> = (1..=LARGE_ROWS).map(|step| large_round(step, 200)).collect();
    recorder.record_all(&large, at(1)).unwrap();
    let path = format!("/api/v1/runs/{}/live", name(1));
    // Clients that read nothing at all.
    let deaf: Vec<TcpStream> = (0..31)
        .map(|_| {
            let mut stream = TcpStream::connect(served.address).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream.read_exact(&mut [0; 64]).unwrap();
            stream
        })
        .collect();
    let mut follower = Follower::new(&served, &path, "");
    let mut steps = Vec::new();
    while steps.last() != Some(&u64::from(LARGE_ROWS)) {
        let (piece, is_reset, id) = follower.rows();
        assert!(piece.len() < 10 && !is_reset, "{piece:?}: rows come in pieces");
        steps.extend(piece);
        assert_eq!(id, steps.last().map(u64::to_string));
    }
    assert!(steps.into_iter().eq(0..=u64::from(LARGE_ROWS)));
    let (code, _, body) = served.get(&path);
    assert!(code == 503 && json(&body)["error"].as_str().unwrap().contains("32 clients"), "{code} {body}");
    assert_eq!(served.get("/api/v1/live").0, 503);
    let began = Instant::now();
    assert_eq!((served.get("/api/v1/runs").0, served.get("/readyz").0), (200, 200));
    go_on(&mut recorder, LARGE_ROWS + 1);
    assert_eq!(follower.rows().0, [u64::from(LARGE_ROWS) + 1]);
    // A look may wait for ten times as long as the one before took, and clients that read nothing have a minute: they are all still there.
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
    assert_eq!(served.get("/api/v1/live").0, 503, "the news came while all seats were taken");
    // Seats are free again once clients leave.
    drop(deaf);
    let is_free = || {
        let mut follower = Follower::ask(&served, "/api/v1/live", "");
        follower.head().starts_with("HTTP/1.1 200")
    };
    let began = Instant::now();
    while !is_free() {
        assert!(began.elapsed() < LIMIT, "seats stay taken");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn stopped_server_ends_all_streams() {
    let served = Served::new(None);
    let _recorder = begin(&served.root, 1, 1);
    let mut followers = [Follower::new(&served, &format!("/api/v1/runs/{}/live", name(1)), ""), Follower::new(&served, "/api/v1/live", "")];
    followers[0].rows();
    served.stop.send(()).unwrap();
    let began = Instant::now();
    served.runtime.block_on(async { timeout(LIMIT, served.server).await }).expect("it ends").unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}: it didn't wait for its clients", began.elapsed());
    followers.iter_mut().for_each(|follower| assert_eq!(follower.next(), None));
}
