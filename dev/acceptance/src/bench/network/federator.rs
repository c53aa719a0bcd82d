//! The cost of a federator beyond training: how fast updates are brought, its memory meanwhile, and a thousand nodes. The examples of `fltk-network` measure it.

use std::{
    fmt,
    path::Path,
    process::{Command, Stdio},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    bench::{goal::Goal, measured::LIMIT, median},
    sh,
};

/// The number of parameters of a ResNet-18.
const PARAMETERS: f64 = 11_689_512.0;
const ROUNDS: u32 = 5;
const NODES: [u32; 2] = [8, 64];
const KINDS: [&str; 3] = ["unix", "tcp", ENCRYPTED];
/// The kind of socket over which nodes of other machines call. Over the others, what each side computes, digests above all, costs more than what it sends.
const ENCRYPTED: &str = "tls";

/// The nodes, the clients of a round and the rounds of the example `thousand`.
const THOUSAND: [&str; 3] = ["1000", "100", "50"];

/// The smallest allowed part of a bare stream's speed.
const OF_STREAM: f64 = 0.6;
/// The largest allowed memory above an idle federator, in models and in MB.
const MODELS: f64 = 4.0;
const BEYOND_MODELS_MB: f64 = 64.0;
/// The largest allowed share of a core for heartbeats, and time of a round beyond its training.
const IDLE_CORES: f64 = 0.1;
const ROUND_MS: f64 = 50.0;

/// The output of the example `throughput`.
#[derive(Clone, Deserialize, Serialize)]
struct Throughput {
    kind: String,
    nodes: u32,
    bytes_per_second: f64,
    stream_bytes_per_second: f64,
    ratio: f64,
    round_seconds: f64,
    above_idle_bytes: f64,
}

/// The output of the example `thousand`.
#[derive(Clone, Deserialize, Serialize)]
struct Thousand {
    joining_seconds: f64,
    idle_cores: f64,
    round_ms: f64,
    round_processor_ms: f64,
}

/// All figures.
#[derive(Serialize)]
pub struct Figures {
    throughput: Vec<Throughput>,
    thousand: Thousand,
}

/// Measures all of it, and returns the figures and the goals.
pub fn measure(throughput: &Path, thousand: &Path, repeats: u32) -> anyhow::Result<(Figures, Vec<Goal>)> {
    let mut figures = Vec::new();
    for kind in KINDS {
        for nodes in NODES {
            eprintln!("updates of {nodes} nodes over {kind}");
            let arguments = [kind.to_owned(), nodes.to_string(), PARAMETERS.to_string(), ROUNDS.to_string()];
            let all: Vec<Throughput> = (0..repeats).map(|_| output(throughput, &arguments)).collect::<anyhow::Result<_>>()?;
            let of_all = |value: fn(&Throughput) -> f64| median(&mut all.iter().map(value).collect::<Vec<_>>());
            figures.push(Throughput {
                kind: kind.to_owned(),
                nodes,
                bytes_per_second: of_all(|one| one.bytes_per_second),
                stream_bytes_per_second: of_all(|one| one.stream_bytes_per_second),
                ratio: of_all(|one| one.ratio),
                round_seconds: of_all(|one| one.round_seconds),
                above_idle_bytes: of_all(|one| one.above_idle_bytes),
            });
        }
    }
    eprintln!("a thousand nodes");
    let all: Vec<Thousand> = (0..repeats).map(|_| output(thousand, &THOUSAND.map(str::to_owned))).collect::<anyhow::Result<_>>()?;
    let of_all = |value: fn(&Thousand) -> f64| median(&mut all.iter().map(value).collect::<Vec<_>>());
    let thousand = Thousand {
        joining_seconds: of_all(|one| one.joining_seconds),
        idle_cores: of_all(|one| one.idle_cores),
        round_ms: of_all(|one| one.round_ms),
        round_processor_ms: of_all(|one| one.round_processor_ms),
    };
    let figures = Figures { throughput: figures, thousand };
    let goals = goals_of(&figures);
    Ok((figures, goals))
}

fn output<T: DeserializeOwned>(program: &Path, arguments: &[String]) -> anyhow::Result<T> {
    let text = sh::output(Command::new(program).args(arguments).stdin(Stdio::null()), LIMIT)?;
    Ok(serde_json::from_str(&text)?)
}

fn goals_of(Figures { throughput, thousand }: &Figures) -> Vec<Goal> {
    let memory_mb_max = MODELS * PARAMETERS * 4.0 / 1e6 + BEYOND_MODELS_MB;
    let of_one = |one: &Throughput| {
        let Throughput { kind, nodes, ratio, above_idle_bytes, .. } = one;
        let memory = Goal::at_most(format!("{nodes} nodes, {kind}: memory above idle, MB"), above_idle_bytes / 1e6, memory_mb_max);
        let speed =
            (kind == ENCRYPTED).then(|| Goal::at_least(format!("{nodes} nodes, {kind}: updates, of a bare stream"), *ratio, OF_STREAM));
        speed.into_iter().chain([memory])
    };
    let mut goals: Vec<Goal> = throughput.iter().flat_map(of_one).collect();
    goals.push(Goal::at_most("1000 nodes: heartbeats, cores", thousand.idle_cores, IDLE_CORES));
    goals.push(Goal::at_most("1000 nodes: a round of 100 clients, ms", thousand.round_ms, ROUND_MS));
    goals
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "updates of {:.1} MB  nodes  round s  brought MB/s  stream MB/s  ratio  above idle MB", PARAMETERS * 4.0 / 1e6)?;
        for Throughput { kind, nodes, bytes_per_second, stream_bytes_per_second, ratio, round_seconds, above_idle_bytes } in
            &self.throughput
        {
            let (brought, stream, above) = (bytes_per_second / 1e6, stream_bytes_per_second / 1e6, above_idle_bytes / 1e6);
            writeln!(f, "{kind:<18} {nodes:>6} {round_seconds:>8.2} {brought:>13.0} {stream:>12.0} {ratio:>6.2} {above:>14.0}")?;
        }
        let Thousand { joining_seconds, idle_cores, round_ms, round_processor_ms } = self.thousand;
        writeln!(
            f,
            "\n1000 nodes: join in {joining_seconds:.1} s, idle {idle_cores:.3} cores, a round of 100 clients {round_ms:.0} ms ({round_processor_ms:.0} ms of the federator's processor time)"
        )
    }
}
