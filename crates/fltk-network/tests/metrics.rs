//! A test of the metrics of a federator, scraped while a run is on.

mod support;

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use fltk_fed::round::TrainOrder;
use fltk_network::{
    federator::{Federator, Listener, NodeReport},
    metrics::{Metrics, Server},
};

use support::{config, dummy, federation, introduction, job, limits, node};

/// Returns what a server of metrics says at a path.
fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it takes requests");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    text
}

/// Returns the values at present, by name with labels.
fn scrape(address: SocketAddr) -> BTreeMap<String, f64> {
    let text = get(address, "/metrics");
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("content-type: application/openmetrics-text"), "{text}");
    let (_, body) = text.split_once("\r\n\r\n").expect("it has a body");
    assert!(body.ends_with("# EOF\n"), "{body}");
    let values: BTreeMap<String, f64> = body
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').expect("a name and a value"))
        .map(|(name, value)| (name.to_owned(), value.parse().expect("a number")))
        .collect();
    for name in values.keys() {
        let family = name.split('{').next().unwrap_or_default().trim_end_matches("_total");
        assert!(body.contains(&format!("# HELP {family} ")) && body.contains(&format!("# TYPE {family} ")), "{family}");
    }
    values
}

#[test]
fn a_run_is_seen_while_it_is_on_and_after_it() {
    let (dummy, never) = (dummy(12), AtomicBool::new(false));
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("socket");
    let metrics = Arc::new(Metrics::new());
    let server = Server::start(TcpListener::bind("127.0.0.1:0").expect("a port is free"), Arc::clone(&metrics)).expect("it starts");
    let address = server.address();
    assert!(get(address, "/healthz").ends_with("ok") && get(address, "/readyz").ends_with("ok"));
    let zero = scrape(address);
    assert!(zero.values().all(|value| *value == 0.0), "{zero:?}");

    let (seen, num_orders) = (Mutex::new(None), AtomicUsize::new(0));
    // The first orders of the third round wait until the run was seen with them.
    let before = |order: &TrainOrder| {
        if order.round.0 != 3 || num_orders.fetch_add(1, Ordering::Relaxed) > 0 {
            return;
        }
        let began = Instant::now();
        loop {
            let values = scrape(address);
            let is_full = values["fltk_federation_clients_in_flight"] == 2.0 && values["fltk_federation_nodes"] == 2.0;
            assert!(began.elapsed() < Duration::from_secs(30), "{values:?}");
            if is_full {
                *seen.lock().expect("no panic") = Some(values);
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    };
    let left = Mutex::new((0, 0, 0));
    let num_joined = AtomicUsize::new(0);
    let report = |report: NodeReport| match report {
        NodeReport::Joined { .. } => drop(num_joined.fetch_add(1, Ordering::Relaxed)),
        NodeReport::Left { figures, .. } => {
            let mut left = left.lock().expect("no panic");
            *left = (left.0 + figures.num_updates, left.1 + figures.bytes_sent, left.2 + figures.bytes_received);
        }
        _ => {}
    };
    let slowly = |order: &TrainOrder| {
        while num_joined.load(Ordering::Relaxed) < 2 {
            thread::sleep(Duration::from_millis(1));
        }
        before(order);
        thread::sleep(Duration::from_millis(20));
    };
    thread::scope(|scope| {
        for name in ["one", "two"] {
            let (dummy, path, never, slowly) = (&dummy, &path, &never, &slowly);
            scope.spawn(move || node(introduction(name), dummy, path, slowly, never).expect("it goes to the end"));
        }
        let federator = Federator {
            job: job(None),
            listener: Listener::Unix(UnixListener::bind(&path).expect("the folder is there")),
            limits: limits(),
            folder: None,
            states: None,
            report: &report,
            is_of_settings: &|_, _| (),
            metrics: Arc::clone(&metrics),
        };
        let began = Instant::now();
        federator.run(federation(&config(), &dummy), Box::new(&dummy), &never, &mut |_| Ok(())).expect("it runs");
        let elapsed = began.elapsed().as_secs_f64();

        let seen = seen.lock().expect("no panic").take().expect("the third round was seen");
        assert_eq!((seen["fltk_federation_workers"], seen["fltk_federation_rounds_total"]), (2.0, 2.0));
        assert_eq!((seen["fltk_federation_updates_total"], seen["fltk_federation_nodes_joined_total"]), (10.0, 2.0));
        let after = scrape(address);
        for name in ["nodes", "workers", "clients_in_flight", "nodes_turned_away_total"] {
            assert_eq!(after[&format!("fltk_federation_{name}")], 0.0, "{name}");
        }
        assert_eq!((after["fltk_federation_rounds_total"], after["fltk_federation_updates_total"]), (6.0, 30.0));
        let (num_updates, sent, received) = *left.lock().expect("no panic");
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let figures = [("updates_total", num_updates), ("sent_bytes_total", sent), ("received_bytes_total", received)]
            .map(|(name, number)| (name, number as f64));
        for (name, number) in figures {
            assert_eq!(after[&format!("fltk_federation_{name}")], number, "{name}");
        }
        let phase = |name: &str| after[&format!("fltk_federation_phase_seconds_total{{phase=\"{name}\"}}")];
        assert!(phase("training") >= 30.0 * 0.02 && phase("training") + phase("idle") <= 2.0 * elapsed + 0.5, "{after:?}");
        let driving = phase("waiting") + phase("combining") + phase("recording");
        assert!(driving > 0.5 * elapsed && driving <= elapsed, "{driving} of {elapsed}");
        assert!(phase("collecting") > 0.0 && phase("evaluating") > 0.0, "{after:?}");
        for reason in ["unwanted", "duplicate", "not_given", "damaged", "malformed"] {
            assert_eq!(after[&format!("fltk_federation_refusals_total{{reason=\"{reason}\"}}")], 0.0);
        }
        assert_eq!(after["fltk_federation_nodes_lost_total{reason=\"silent\"}"], 0.0);
    });
    drop(server);
    assert!(TcpStream::connect(address).is_err(), "nobody serves any more");
}
