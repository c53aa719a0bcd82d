//! Measures what many nodes cost a federator: `cargo run --release -p fltk-network --example thousand -- NODES CLIENTS ROUNDS` prints one line of JSON.
//!
//! One process is the federator, another all nodes. In the first round, clients hold their answers back for a while: the processor time of the federator is then
//! that of heartbeats. The rounds after it are of a small model that is copied: their time is what a round costs beyond its training.

mod support;

use std::{
    io::{BufRead as _, BufReader},
    os::unix::net::UnixListener,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use fltk_fed::round::{Record, TrainOrder};
use fltk_network::{
    federator::{Federator, Listener, NodeReport},
    node::Address,
};

use support::{Outcome, Untested, clock_seconds, federation, job, limits, median, memory_bytes, node, processor_seconds, start};

const PARAMETERS: usize = 1000;
/// The time that nodes have to become quiet once all of them are there, and the time of the measurement: several heartbeats of each.
const SETTLE: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(10);
/// The interval at which one process looks for a sign of the other.
const LOOK: Duration = Duration::from_millis(50);
/// The time in which all nodes join.
const JOIN_SECONDS_MAX: f64 = 120.0;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["federator", socket, nodes, clients, rounds] => federate(Path::new(socket), nodes.parse()?, clients.parse()?, rounds.parse()?),
        ["nodes", socket, nodes] => train(Path::new(socket), nodes.parse()?),
        [nodes, clients, rounds] => {
            let folder = tempfile::tempdir()?;
            let socket = folder.path().join("socket").to_string_lossy().into_owned();
            let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
            let (federator, output) = start(&words(&["federator", &socket, nodes, clients, rounds]))?;
            let (training, _) = start(&words(&["nodes", &socket, nodes]))?;
            for line in BufReader::new(output).lines() {
                println!("{}", line?);
            }
            federator.end()?;
            training.end()
        }
        _ => Err("usage: thousand NODES CLIENTS ROUNDS".into()),
    }
}

/// The file that says that clients may answer.
fn go(socket: &Path) -> std::path::PathBuf {
    socket.with_extension("go")
}

/// Is a federator, and prints what it measured.
fn federate(socket: &Path, nodes: u32, clients: u32, rounds: u32) -> Outcome {
    let idle_bytes = memory_bytes("VmRSS")?;
    let listener = Listener::Unix(UnixListener::bind(socket)?);
    let (num_joined, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let report = |report: NodeReport| {
        if let NodeReport::Joined { .. } = report {
            num_joined.fetch_add(1, Ordering::Relaxed);
        }
    };
    let federation = federation(PARAMETERS, clients, clients, rounds)?;
    let federator = Federator {
        job: job(),
        listener,
        limits: limits(clients),
        folder: None,
        states: None,
        report: &report,
        is_of_settings: &|_, _| (),
        metrics: Arc::default(),
    };
    let (mut ended, mut ended_processor) = (Vec::new(), Vec::new());
    let (joining, idle) = thread::scope(|scope| {
        let (num_joined, over) = (&num_joined, &over);
        let began = clock_seconds();
        let watching = scope.spawn(move || -> Result<(f64, f64), String> {
            while num_joined.load(Ordering::Relaxed) < nodes as usize {
                if over.load(Ordering::Relaxed) || clock_seconds() - began > JOIN_SECONDS_MAX {
                    over.store(true, Ordering::Relaxed);
                    return Err(format!("only {} nodes joined", num_joined.load(Ordering::Relaxed)));
                }
                thread::sleep(LOOK);
            }
            let joining = clock_seconds() - began;
            thread::sleep(SETTLE);
            let (from, from_processor) = (clock_seconds(), processor_seconds());
            thread::sleep(IDLE);
            let idle = (processor_seconds() - from_processor) / (clock_seconds() - from);
            std::fs::write(go(socket), "").map_err(|error| error.to_string())?;
            Ok((joining, idle))
        });
        let outcome = federator.run(federation, Box::new(Untested), over, &mut |record| {
            if let Record::RoundEnded(round) = record
                && round.round.0 >= 1
            {
                ended.push(clock_seconds());
                ended_processor.push(processor_seconds());
            }
            Ok(())
        });
        over.store(true, Ordering::Relaxed);
        let watched = watching.join().map_err(|_| "the watching thread panicked")??;
        outcome?;
        Ok::<_, Box<dyn std::error::Error>>(watched)
    })?;
    let ms = |times: &[f64]| median(times.windows(2).map(|pair| (pair[1] - pair[0]) * 1e3).collect());
    println!(
        "{{\"nodes\":{nodes},\"clients\":{clients},\"rounds\":{rounds},\"joining_seconds\":{joining:.2},\"idle_cores\":{idle:.4},\"round_ms\":{:.2},\
         \"round_processor_ms\":{:.2},\"above_idle_bytes\":{}}}",
        ms(&ended),
        ms(&ended_processor),
        memory_bytes("VmHWM")? - idle_bytes
    );
    Ok(())
}

/// Is all nodes. The first answers wait for a sign of the federator.
fn train(socket: &Path, nodes: usize) -> Outcome {
    let may_answer = AtomicBool::new(false);
    // One thread looks for the sign, and the others wait for it.
    let looking = Mutex::new(());
    let trained = |_: &TrainOrder| {
        if may_answer.load(Ordering::Relaxed) {
            return;
        }
        let _one = looking.lock().unwrap_or_else(PoisonError::into_inner);
        while !may_answer.load(Ordering::Relaxed) {
            may_answer.store(go(socket).exists(), Ordering::Relaxed);
            thread::sleep(LOOK);
        }
    };
    thread::scope(|scope| {
        let trained = &trained;
        let spawn = |index| {
            let work = move || node(index, Address::Unix(socket.to_owned()), PARAMETERS, trained);
            thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, work)
        };
        let threads = (0..nodes).map(spawn).collect::<Result<Vec<_>, _>>()?;
        for thread in threads {
            thread.join().map_err(|_| "a node panicked")??;
        }
        Ok(())
    })
}
