//! Measures how fast updates are brought to a federator, and its memory meanwhile:
//! `cargo run --release -p fltk-network --example throughput -- unix|tcp|tls NODES PARAMETERS ROUNDS` prints one line of JSON.
//!
//! One process is the federator, another all nodes, each with a connection of its own. Clients copy the model. The time runs from the moment at which all of a
//! round's copies are made to the round's record: it has the digests on both sides, the transfers and the mean of the models. For comparison, as many bytes are
//! sent between two processes by a bare stream over a socket of the same kind, encrypted in the same way. The allocator is set up as in the program.

mod support;

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{Arc, Barrier, atomic::AtomicBool},
    thread,
};

use fltk_fed::round::{Record, TrainOrder};
use fltk_network::{
    federator::{Federator, Listener},
    node::{Access, Address},
    pki::{Credentials, Folder, Role},
    tls,
};
use rustls::{ClientConnection, ServerConnection, StreamOwned};

use support::{Outcome, Running, Untested, clock_seconds, federation, job, limits, median, memory_bytes, node_with, start};

/// The bytes that a bare stream writes or reads at a time: those of a chunk.
const STREAM_CHUNK: usize = 1 << 20;

/// The file of a node's credentials.
const NODE: &str = "node.pem";

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["federator", kind, folder, nodes, parameters, rounds] => {
            federate(kind, Path::new(folder), nodes.parse()?, parameters.parse()?, rounds.parse()?)
        }
        ["nodes", folder, address, nodes, parameters] => train(Path::new(folder), &address.parse()?, nodes.parse()?, parameters.parse()?),
        ["stream", folder, address, num_bytes] => send(Path::new(folder), &address.parse()?, num_bytes.parse()?),
        [kind @ ("unix" | "tcp" | "tls"), nodes, parameters, rounds] => measure(kind, nodes, parameters, rounds),
        _ => Err("usage: throughput unix|tcp|tls NODES PARAMETERS ROUNDS".into()),
    }
}

/// Measures all of it, in processes of its own.
fn measure(kind: &str, nodes: &str, parameters: &str, rounds: &str) -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().to_string_lossy().into_owned();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let (federator, output) = start(&words(&["federator", kind, &path, nodes, parameters, rounds]))?;
    let mut lines = BufReader::new(output).lines();
    let address = lines.next().ok_or("it says where it listens")??;
    let (training, trained) = start(&words(&["nodes", &path, &address, nodes, parameters]))?;
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
    let stream = stream(kind, folder.path(), num_bytes)?;
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
fn federate(kind: &str, folder: &Path, nodes: u32, parameters: usize, rounds: u32) -> Outcome {
    let idle_bytes = memory_bytes("VmRSS")?;
    let tcp = TcpListener::bind("127.0.0.1:0")?;
    let address = tcp.local_addr()?;
    let (listener, address) = match kind {
        "unix" => {
            let socket = folder.join("socket");
            (Listener::Unix(UnixListener::bind(&socket)?), format!("unix:{}", socket.display()))
        }
        "tcp" => (Listener::Plain(tcp), format!("http://{address}")),
        _ => {
            let authority = Folder::create(&folder.join("pki"))?;
            std::fs::write(folder.join(NODE), authority.issue(Role::Node, "node")?)?;
            let config = tls::federator(&authority.federator()?, Some(authority.clone()))?;
            (Listener::Tls(tcp, config), format!("https://{address}"))
        }
    };
    println!("{address}");
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
fn train(folder: &Path, address: &Address, nodes: usize, parameters: usize) -> Outcome {
    let access = match address {
        Address::Tls(_) => Access::Credentials(Credentials::read(&folder.join(NODE))?),
        Address::Unix(_) | Address::Plain(_) => Access::Open,
    };
    let all = Barrier::new(nodes);
    // Nobody is done before all are, so each node has one client of a round.
    let trained = |_: &TrainOrder| {
        if all.wait().is_leader() {
            println!("{}", clock_seconds());
        }
    };
    thread::scope(|scope| {
        let (trained, access) = (&trained, &access);
        let threads: Vec<_> =
            (0..nodes).map(|index| scope.spawn(move || node_with(index, address.clone(), access, parameters, trained))).collect();
        for thread in threads {
            thread.join().map_err(|_| "a node panicked")??;
        }
        Ok(())
    })
}

/// Returns the seconds in which another process sends so many bytes.
fn stream(kind: &str, folder: &Path, num_bytes: f64) -> Outcome<f64> {
    let path = folder.to_string_lossy().into_owned();
    let sender = |address: String| start(&["stream".to_owned(), path.clone(), address, format!("{num_bytes}")]);
    if kind == "unix" {
        let socket = folder.join("stream");
        let listener = UnixListener::bind(&socket)?;
        let (sender, _) = sender(format!("unix:{}", socket.display()))?;
        return receive(listener.accept()?.0, num_bytes, sender);
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let scheme = if kind == "tls" { "https" } else { "http" };
    let (sender, _) = sender(format!("{scheme}://{}", listener.local_addr()?))?;
    let (socket, _) = listener.accept()?;
    if kind == "tcp" {
        return receive(socket, num_bytes, sender);
    }
    // The authority is the one that the federator made.
    let config = tls::federator(&Folder::open(&folder.join("pki"))?.federator()?, None)?;
    receive(StreamOwned::new(ServerConnection::new(config)?, socket), num_bytes, sender)
}

fn receive(mut from: impl Read, num_bytes: f64, sender: Running) -> Outcome<f64> {
    let mut buffer = vec![0; STREAM_CHUNK];
    // The sender is there once its first bytes are.
    from.read_exact(&mut buffer)?;
    let (began, mut received) = (clock_seconds(), 0_u64);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            // The other side just hangs up.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            read => received += read? as u64,
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

fn send(folder: &Path, address: &Address, num_bytes: usize) -> Outcome {
    match address {
        Address::Unix(path) => write(UnixStream::connect(path)?, num_bytes),
        Address::Plain(uri) => write(TcpStream::connect(uri.trim_start_matches("http://"))?, num_bytes),
        Address::Tls(uri) => {
            let config = tls::node(&Credentials::read(&folder.join(NODE))?)?;
            let socket = TcpStream::connect(uri.trim_start_matches("https://"))?;
            let mut stream = StreamOwned::new(ClientConnection::new(config, tls::server_name())?, socket);
            // Records are encrypted in memory before they are sent.
            stream.conn.set_buffer_limit(Some(STREAM_CHUNK));
            write(stream, num_bytes)
        }
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
