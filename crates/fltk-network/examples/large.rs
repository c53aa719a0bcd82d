//! Measures the memory of a federator and a node with a large model: `cargo run --release -p fltk-network --example large -- PARAMETERS ROUNDS` prints one line of JSON.
//!
//! One process is the federator, another the node, which calls it over TCP with TLS. Its only client of a round copies the model. A third process, this one, adds up
//! the memory of both, fifty times a second.

mod support;

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::{Duration, Instant},
};

use fltk_fed::round::Record;
use fltk_network::{
    federator::{Federator, Listener},
    node::Access,
    pki::{Credentials, Folder, Role},
    tls,
};

use support::{Outcome, Untested, clock_seconds, federation, job, limits, median, memory_bytes, node_with, start};

/// The interval between two looks at the memory.
const LOOK: Duration = Duration::from_millis(20);

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["federator", folder, parameters, rounds] => federate(Path::new(folder), parameters.parse()?, rounds.parse()?),
        ["node", folder, address, parameters] => {
            let own = Credentials::read(&Path::new(folder).join("node.pem"))?;
            node_with(0, address.parse()?, &Access::Credentials(own), parameters.parse()?, &|_| ())?;
            println!("{}", memory_bytes("VmHWM")?);
            Ok(())
        }
        [parameters, rounds] => measure(parameters, rounds),
        _ => Err("usage: large PARAMETERS ROUNDS".into()),
    }
}

fn measure(parameters: &str, rounds: &str) -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().to_string_lossy().into_owned();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let (federator, output) = start(&words(&["federator", &path, parameters, rounds]))?;
    let mut lines = BufReader::new(output).lines();
    let address = lines.next().ok_or("it says where it listens")??;
    let (node, trained) = start(&words(&["node", &path, &address, parameters]))?;
    let looking = thread::spawn(move || {
        let (mut together, mut next) = (0, Instant::now());
        loop {
            let own = [federator.memory_bytes(), node.memory_bytes()];
            together = together.max(own.iter().sum());
            // A process that has ended has no memory any more.
            if own.contains(&0) {
                return (federator, node, together);
            }
            next += LOOK;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    });
    let numbers =
        |lines: &mut dyn Iterator<Item = std::io::Result<String>>| -> Outcome<Vec<f64>> { lines.map(|line| Ok(line?.parse()?)).collect() };
    let mut figures = numbers(&mut lines)?;
    let node_bytes = numbers(&mut BufReader::new(trained).lines())?.pop().ok_or("the node says nothing")?;
    let federator_bytes = figures.pop().ok_or("the federator says nothing")?;
    let (federator, node, together) = looking.join().map_err(|_| "the look at the memory panicked")?;
    federator.end()?;
    node.end()?;
    let model_bytes = parameters.parse::<f64>()? * 4.0;
    let round_seconds = median(figures.windows(2).map(|pair| pair[1] - pair[0]).collect());
    #[expect(clippy::cast_precision_loss, reason = "sizes of memories")]
    let together = together as f64;
    println!(
        "{{\"parameters\":{parameters},\"rounds\":{rounds},\"model_bytes\":{model_bytes:.0},\"round_seconds\":{round_seconds:.2},\"together_bytes\":{together:.0},\
         \"together_models\":{:.2},\"federator_models\":{:.2},\"node_models\":{:.2}}}",
        together / model_bytes,
        federator_bytes / model_bytes,
        node_bytes / model_bytes,
    );
    Ok(())
}

/// Is a federator: prints its address, the time of the record of every round, and its memory at its peak.
fn federate(folder: &Path, parameters: usize, rounds: u32) -> Outcome {
    let authority = Folder::create(&folder.join("pki"))?;
    std::fs::write(folder.join("node.pem"), authority.issue(Role::Node, "node")?)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("https://{}", listener.local_addr()?);
    let config = tls::federator(&authority.federator()?, Some(authority.clone()))?;
    let federator = Federator {
        job: job(),
        listener: Listener::Tls(listener, config),
        limits: limits(1),
        folder: Some(authority),
        states: None,
        report: &|_| (),
        is_of_settings: &|_, _| (),
        metrics: Arc::default(),
    };
    federator.run(federation(parameters, 1, 1, rounds)?, Box::new(Untested), &AtomicBool::new(false), &mut |record| {
        if let Record::RoundEnded(_) = record {
            println!("{}", clock_seconds());
        }
        Ok(())
    })?;
    println!("{}", memory_bytes("VmHWM")?);
    Ok(())
}
