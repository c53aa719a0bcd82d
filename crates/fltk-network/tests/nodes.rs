//! Tests of federators and nodes over a socket: whatever the nodes, and whatever happens to them, the model is the one of a single process.

#[path = "hostile/client.rs"]
#[allow(dead_code, reason = "each test program uses its part")]
mod client;
mod support;

use std::{
    os::unix::net::UnixListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use fltk_core::{catalogue::Choice, experiment::FederatedConfig};
use fltk_fed::{
    drive::RunError,
    round::{Federation, Record, TrainOrder},
};
use fltk_network::{
    federator::{Listener, NodeReport},
    hub::Lost,
    node::Introduction,
    wire::v1::to_node,
};

use client::{Hostile, prepared};
use support::{bits, config, dummy, federate, federate_on, federation, here, introduction, node};

/// Runs with so many nodes, and returns the bits of the final model.
fn with_nodes(config: &FederatedConfig, num_nodes: usize) -> Vec<u32> {
    let dummy = dummy(12);
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("socket");
    let never = AtomicBool::new(false);
    let reports = Mutex::new(Vec::new());
    let num_joined = AtomicU32::new(0);
    let mut records = Vec::new();
    // Nobody answers before all are there, so that each takes part.
    let wait = |_: &TrainOrder| {
        while (num_joined.load(Ordering::Relaxed) as usize) < num_nodes {
            thread::sleep(Duration::from_millis(1));
        }
    };
    thread::scope(|scope| {
        for index in 0..num_nodes {
            let (dummy, path, never, wait) = (&dummy, &path, &never, &wait);
            scope.spawn(move || {
                let ended = node(introduction(&format!("node-{index}")), dummy, path, wait, never);
                assert_eq!(ended.expect("it goes to the end"), "the run is complete");
            });
        }
        let report = |report| {
            num_joined.fetch_add(u32::from(matches!(report, NodeReport::Joined { .. })), Ordering::Relaxed);
            reports.lock().expect("no panic").push(report);
        };
        let state = federate(federation(config, &dummy), &dummy, &path, &report, &never, &mut records).expect("it runs");
        assert!(matches!(records.last(), Some(Record::Finished { .. })));
        let reports = reports.lock().expect("no panic");
        assert!(!reports.iter().any(|report| matches!(report, NodeReport::Refused { .. })), "{reports:?}");
        bits(&state)
    })
}

fn compressed(strategy: &str, form: &str) -> FederatedConfig {
    FederatedConfig { strategy: Choice::new(strategy), compression: Some(Choice::new(form)), ..config() }
}

#[test]
fn any_number_of_nodes_ends_with_the_bits_of_one_process() {
    for (what, config) in [
        ("FedAvg", config()),
        ("SCAFFOLD", FederatedConfig { strategy: Choice::new("SCAFFOLD"), ..config() }),
        ("fp16", compressed("FedAvg", "fp16")),
        ("int8 and SCAFFOLD", compressed("SCAFFOLD", "int8")),
        ("top-k", compressed("FedAvg", "top_k")),
        ("top-k and SCAFFOLD", compressed("SCAFFOLD", "top_k")),
        ("Krum", FederatedConfig { strategy: Choice::new("Krum"), ..config() }),
        ("power of choice", FederatedConfig { selection: Choice::new("power_of_choice").with("candidates", 8), ..config() }),
    ] {
        let dummy = dummy(12);
        let expected = bits(&here(federation(&config, &dummy), &dummy));
        for num_nodes in [1, 3] {
            assert_eq!(with_nodes(&config, num_nodes), expected, "{what} on {num_nodes} nodes");
        }
        let plain = FederatedConfig { compression: None, ..config.clone() };
        let uncompressed = bits(&here(federation(&plain, &dummy), &dummy));
        assert_eq!(uncompressed == expected, config.compression.is_none(), "{what}");
    }
}

#[test]
fn nodes_that_die_cost_nothing_but_time() {
    let dummy = dummy(12);
    let expected = bits(&here(federation(&config(), &dummy), &dummy));
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("socket");
    let never = AtomicBool::new(false);
    let num_dead = AtomicU32::new(0);
    thread::scope(|scope| {
        // One node stays; others begin with an order and never end it, as if they were killed.
        let (dummy, path, never, num_dead) = (&dummy, &path, &never, &num_dead);
        scope.spawn(move || {
            let slowly = |_: &_| thread::sleep(Duration::from_millis(5));
            node(introduction("stays"), dummy, path, &slowly, never).expect("it goes to the end")
        });
        scope.spawn(move || {
            loop {
                let dies = AtomicBool::new(false);
                let die = |_: &_| {
                    dies.store(true, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(100));
                };
                let introduction = Introduction { patience: Duration::from_millis(300), ..introduction("dies") };
                match node(introduction, dummy, path, &die, &dies) {
                    Err(fltk_network::node::NodeError::Stopped) => num_dead.fetch_add(1, Ordering::Relaxed),
                    // The run is over.
                    _ => return,
                };
            }
        });
        let state = federate(federation(&config(), dummy), dummy, path, &|_| (), never, &mut Vec::new()).expect("it runs");
        assert_eq!(bits(&state), expected);
        let _ = std::fs::remove_file(path);
    });
    assert!(num_dead.load(Ordering::Relaxed) > 0);
}

/// Of a federator that was interrupted, not everything is recorded: its next start may decide otherwise, and give another order to the same client in the same round.
#[test]
fn what_was_begun_for_an_earlier_start_of_the_federator_never_counts() {
    let dummy = dummy(12);
    let config = config();
    // The next start begins from another model, as if the rounds before had had other clients.
    let mut other = dummy.initial();
    other.floats.iter_mut().for_each(|value| *value = 0.75);
    let again = || {
        let setup = federation(&config, &dummy).setup().clone();
        Federation::new(setup, Arc::new(other.clone())).expect("the state is sound")
    };
    let expected = bits(&here(again(), &dummy));
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("socket");
    let (never, interrupted, is_gone) = (AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false));
    let num_joined = AtomicU32::new(0);
    let reports = Mutex::new(Vec::new());
    let report = |report| {
        num_joined.fetch_add(u32::from(matches!(report, NodeReport::Joined { .. })), Ordering::Relaxed);
        reports.lock().expect("no panic").push(report);
    };
    thread::scope(|scope| {
        let (dummy, path, never, interrupted, is_gone, num_joined) = (&dummy, &path, &never, &interrupted, &is_gone, &num_joined);
        let working = scope.spawn(move || {
            // The first order is begun under the first start, and ends when the node has come back to the second, and has its orders.
            let until_again = |_: &TrainOrder| {
                interrupted.store(true, Ordering::Relaxed);
                let began = Instant::now();
                while num_joined.load(Ordering::Relaxed) < 2 && began.elapsed() < Duration::from_secs(30) {
                    thread::sleep(Duration::from_millis(1));
                }
                thread::sleep(Duration::from_millis(100));
            };
            let ended = node(introduction("node"), dummy, path, &until_again, never);
            // Without a node, the second start would wait forever.
            is_gone.store(true, Ordering::Relaxed);
            ended
        });
        let stopped = federate(federation(&config, dummy), dummy, path, &report, interrupted, &mut Vec::new());
        assert!(matches!(stopped, Err(RunError::Stopped { .. })), "{stopped:?}");
        let state = federate(again(), dummy, path, &report, is_gone, &mut Vec::new()).expect("it runs");
        assert_eq!(bits(&state), expected);
        assert_eq!(working.join().expect("no panic").expect("the first start told it nothing"), "the run is complete");
    });
    let reports = reports.lock().expect("no panic");
    let interrupted = reports.iter().any(|report| matches!(report, NodeReport::Left { reason: Some(Lost::Interrupted), .. }));
    assert!(interrupted, "{reports:?}");
}

/// A node that calls while a federator ends may have a connection already: it hears that the run is over only if it is.
#[test]
fn node_that_is_about_to_take_part_hears_of_an_end_and_of_no_interruption() {
    for is_interrupted in [false, true] {
        let dummy = dummy(12);
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("socket");
        let listener = Listener::Unix(UnixListener::bind(&path).expect("the folder is there"));
        let (never, interrupted, goes_on) = (AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            let (dummy, path, never, interrupted, goes_on) = (&dummy, &path, &never, &interrupted, &goes_on);
            let (greeted, has_greeted) = std::sync::mpsc::channel();
            let (over, is_over) = std::sync::mpsc::channel();
            let working = scope.spawn(move || {
                let wait = |_: &TrainOrder| {
                    while !goes_on.load(Ordering::Relaxed) {
                        thread::sleep(Duration::from_millis(1));
                    }
                };
                let stop = if is_interrupted { interrupted } else { never };
                let ended = node(introduction("node"), dummy, path, &wait, stop);
                over.send(()).expect("somebody waits");
                ended
            });
            let late = scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there are files left");
                runtime.block_on(async {
                    let mut session = Hostile::connect(path).await.greet("late").await;
                    greeted.send(()).expect("somebody waits");
                    is_over.recv().expect("it ends");
                    if is_interrupted {
                        // The federator is told at the same time as the node.
                        tokio::time::sleep(Duration::from_millis(500)).await;
                    }
                    session.say(prepared()).await;
                    let mut said = Vec::new();
                    while let Some(message) = session.next().await {
                        said.push(message);
                    }
                    said
                })
            });
            scope.spawn(move || {
                has_greeted.recv().expect("it greets");
                if is_interrupted {
                    interrupted.store(true, Ordering::Relaxed);
                }
                goes_on.store(true, Ordering::Relaxed);
            });
            let outcome = federate_on(listener, None, federation(&config(), dummy), dummy, &|_| (), interrupted, &mut Vec::new());
            assert_eq!(outcome.is_err(), is_interrupted, "{outcome:?}");
            let ended = working.join().expect("no panic");
            let said = late.join().expect("no panic");
            let finished = said.iter().find_map(|message| match message {
                to_node::Message::Finished(finished) => Some(finished.text.as_str()),
                _ => None,
            });
            if is_interrupted {
                assert!(ended.is_err() && finished.is_none(), "{ended:?} {said:?}");
            } else {
                assert_eq!((ended.as_deref(), finished), (Ok("the run is complete"), Some("the run is complete")));
            }
        });
    }
}
