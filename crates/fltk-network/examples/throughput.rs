//! Measures how fast updates are brought to a federator, and its memory meanwhile:
//! `cargo run --release -p fltk-network --example throughput -- unix|tcp NODES PARAMETERS ROUNDS` prints one line of JSON.
//!
//! One process is the federator, another all nodes, each with a connection of its own. Clients copy the model. The time runs from the moment at which all of a
//! round's copies are made to the round's record: it has the digests on both sides, the transfers and the mean of the models. For comparison, as many bytes are
//! sent between two processes by a bare stream over a socket of the same kind.

mod support;

use std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{Arc, Barrier, atomic::AtomicBool},
    thread,
};

use fltk_fed::round::{Record, TrainOrder};
use fltk_network::{
    federator::{Federator, Listener},
    node::Address,
};

use support::{Outcome, Running, Untested, clock_seconds, federation, job, limits, median, memory_bytes, node, start};

/// The bytes that a bare stream writes or reads at a time: those of a chunk.
const STREAM_CHUNK: usize = 1 << 20;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["federator", socket, nodes, parameters, rounds] => federate(socket, nodes.parse()?, parameters.parse()?, rounds.parse()?),
        ["nodes", address, nodes, parameters] => train(&address.parse()?, nodes.parse()?, parameters.parse()?),
        ["stream", address, num_bytes] => send(&address.parse()?, num_bytes.parse()?),
        [kind @ ("unix" | "tcp"), nodes, parameters, rounds] => measure(kind, nodes, parameters, rounds),
        _ => Err("usage: throughput unix|tcp NODES PARAMETERS ROUNDS".into()),
    }
}

/// Measures all of it, in processes of its own.
fn measure(kind: &str, nodes: &str, parameters: &str, rounds: &str) -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let socket = if kind == "unix" { path("socket") } else { "tcp".to_owned() };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let (federator, output) = start(&words(&["federator", &socket, nodes, parameters, rounds]))?;
    let mut lines = BufReader::new(output).lines();
    let address = lines.next().ok_or("it says where it listens")??;
    let (training, trained) = start(&words(&["nodes", &address, nodes, parameters]))?;
    let ended = numbers(lines)?;
    let trained = numbers(BufReader::new(trained).lines())?;
    federator.end()?;
    training.end()?;
    let (Some((&[idle_bytes, peak_bytes], ended)), true) =
        (ended.split_last_chunk::<2>().map(|(ended, memory)| (memory, ended)), !trained.is_empty())
    else {
        return Err("a figure is missing".into());
    };
    let model_bytes = parameters.parse::<f64>()? * 4.0;
    let num_bytes = model_bytes * nodes.parse::<f64>()?;
    let bringing = median(trained.iter().zip(ended.iter().skip(1)).map(|(trained, ended)| ended - trained).collect());
    let whole = median(ended.windows(2).map(|pair| pair[1] - pair[0]).collect());
    let stream = stream(&if kind == "unix" { path("stream") } else { "tcp".to_owned() }, num_bytes)?;
    let above_idle = peak_bytes - idle_bytes;
    println!(
        "{{\"kind\":\"{kind}\",\"nodes\":{nodes},\"parameters\":{parameters},\"rounds\":{rounds},\"bytes_per_second\":{:.0},\"stream_bytes_per_second\":{:.0},\
         \"ratio\":{:.4},\"bringing_seconds\":{bringing:.4},\"round_seconds\":{whole:.4},\"above_idle_bytes\":{above_idle:.0},\"above_idle_models\":{:.3}}}",
        num_bytes / bringing,
        num_bytes / stream,
        stream / bringing,
        above_idle / model_bytes,
    );
    Ok(())
}

/// Returns the numbers of some output, one a line.
fn numbers(lines: impl Iterator<Item = std::io::Result<String>>) -> Outcome<Vec<f64>> {
    lines.map(|line| Ok(line?.parse()?)).collect()
}

/// Is a federator: prints its address, the time of the record of every round, and its memory before it began and at its peak.
fn federate(socket: &str, nodes: u32, parameters: usize, rounds: u32) -> Outcome {
    let idle_bytes = memory_bytes("VmRSS")?;
    let listener =
        if socket == "tcp" { Listener::Plain(TcpListener::bind("127.0.0.1:0")?) } else { Listener::Unix(UnixListener::bind(socket)?) };
    match &listener {
        Listener::Plain(listener) => println!("http://{}", listener.local_addr()?),
        Listener::Unix(_) | Listener::Tls(..) => println!("unix:{socket}"),
    }
    let federation = federation(parameters, nodes, nodes, rounds)?;
    let federator = Federator {
        job: job(),
        listener,
        limits: limits(nodes),
        folder: None,
        states: None,
        report: &|_| (),
        is_of_settings: &|_, _| (),
        metrics: Arc::default(),
    };
    federator.run(federation, Box::new(Untested), &AtomicBool::new(false), &mut |record| {
        if let Record::RoundEnded(_) = record {
            println!("{}", clock_seconds());
        }
        Ok(())
    })?;
    println!("{idle_bytes}\n{}", memory_bytes("VmHWM")?);
    Ok(())
}

/// Is all nodes: prints the time at which the copies of every round were made.
fn train(address: &Address, nodes: usize, parameters: usize) -> Outcome {
    let all = Barrier::new(nodes);
    // Nobody is done before all are, so each node has one client of a round.
    let trained = |_: &TrainOrder| {
        if all.wait().is_leader() {
            println!("{}", clock_seconds());
        }
    };
    thread::scope(|scope| {
        let trained = &trained;
        let threads: Vec<_> = (0..nodes).map(|index| scope.spawn(move || node(index, address.clone(), parameters, trained))).collect();
        for thread in threads {
            thread.join().map_err(|_| "a node panicked")??;
        }
        Ok(())
    })
}

/// Returns the seconds in which another process sends so many bytes.
fn stream(socket: &str, num_bytes: f64) -> Outcome<f64> {
    let sender = |address: String| start(&["stream".to_owned(), address, format!("{num_bytes}")]);
    if socket == "tcp" {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (sender, _) = sender(format!("http://{}", listener.local_addr()?))?;
        receive(listener.accept()?.0, num_bytes, sender)
    } else {
        let listener = UnixListener::bind(Path::new(socket))?;
        let (sender, _) = sender(format!("unix:{socket}"))?;
        receive(listener.accept()?.0, num_bytes, sender)
    }
}

fn receive(mut from: impl Read, num_bytes: f64, sender: Running) -> Outcome<f64> {
    let mut buffer = vec![0; STREAM_CHUNK];
    // The sender is there once its first bytes are.
    from.read_exact(&mut buffer)?;
    let (began, mut received) = (clock_seconds(), 0_u64);
    loop {
        match from.read(&mut buffer)? {
            0 => break,
            len => received += len as u64,
        }
    }
    let seconds = clock_seconds() - began;
    sender.end()?;
    #[expect(clippy::cast_precision_loss, reason = "a few gigabytes")]
    if (received as f64) < num_bytes {
        return Err("the stream ended too soon".into());
    }
    Ok(seconds)
}

fn send(address: &Address, num_bytes: usize) -> Outcome {
    match address {
        Address::Unix(path) => write(UnixStream::connect(path)?, num_bytes),
        Address::Plain(uri) | Address::Tls(uri) => write(TcpStream::connect(uri.trim_start_matches("http://"))?, num_bytes),
    }
}

fn write(mut to: impl Write, num_bytes: usize) -> Outcome {
    let chunk = vec![7; STREAM_CHUNK];
    to.write_all(&chunk)?;
    let mut left = num_bytes;
    while left > 0 {
        let len = left.min(chunk.len());
        to.write_all(&chunk[..len])?;
        left -= len;
    }
    Ok(())
}
