//! `cargo xtask bench python`: federated averaging with nodes in Python, compared with a loop by hand in PyTorch and with pfl-research, and the time to the first test.
//!
//! The programs are those of `bench engine`, on the same clients. They take turns, so that other load on the machine affects all of them.

use std::{path::PathBuf, process::Command, time::Instant};

use anyhow::ensure;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Output,
    engine::{
        WORK,
        contestants::{Contestant, Contestants, Measurement},
    },
    goal::Goal,
    journal,
    measured::LIMIT,
    median,
};
use crate::{checkout::Checkout, sh};

/// The goals, as parts of what the peer takes, and in seconds.
const OF_LOOP_MAX: f64 = 1.05;
const FIRST_TEST_SECONDS_MAX: f64 = 1.0;
const OF_PFL_MAX: f64 = 0.5;

/// The work that is measured against a loop on one thread, that with which the first test is, and that against pfl-research, by their places in [`WORK`].
const CNN: usize = 2;
const SOFTMAX: usize = 0;

/// The medians of one program at one work.
#[derive(Serialize)]
struct Line {
    net: &'static str,
    who: &'static str,
    wall_seconds: f64,
    rounds_seconds: f64,
    /// From the end of the first round to that of the last.
    later_seconds: Option<f64>,
    cpu_seconds: f64,
    accuracy: f64,
}

/// The medians of the time to the first test.
#[derive(Serialize)]
struct FirstTest {
    import_seconds: f64,
    first_test_seconds: f64,
}

/// Measures, and prints what each program took and which goals are met. `mnist` is a folder with the four files of MNIST; without it, the one where
/// `fltk data fetch mnist` puts them.
pub fn run(checkout: &Checkout, mnist: Option<PathBuf>, repeats: u32, output: Output) -> anyhow::Result<()> {
    let contestants = Contestants::ready(checkout, mnist)?;
    let (node, one) = pair(&contestants, CNN, 1, Contestant::One, repeats)?;
    let later = |line: &Line| line.later_seconds.unwrap_or(f64::NAN);
    let of_loop = later(&node) / later(&one);
    let (first, seconds_more) = first_test(&contestants, repeats)?;
    let cores = u32::try_from(std::thread::available_parallelism()?.get())?;
    let (small, pfl) = pair(&contestants, SOFTMAX, cores, Contestant::Pfl, repeats)?;
    let goals = [
        Goal::at_most(format!("{}: rounds after the first, of a loop on one thread", node.net), of_loop, OF_LOOP_MAX),
        Goal::at_most("first test, s beyond `import torch`", seconds_more, FIRST_TEST_SECONDS_MAX),
        Goal::at_most(format!("{}: whole command, of pfl", small.net), small.wall_seconds / pfl.wall_seconds, OF_PFL_MAX),
    ];
    let lines = [node, one, small, pfl];
    match output {
        Output::Json => {
            let all = serde_json::json!({ "lines": lines, "first_test": first, "goals": goals });
            println!("{}", serde_json::to_string_pretty(&all)?);
        }
        Output::Text => print!("{}", table(&lines, &first, &goals)),
    }
    ensure!(goals.iter().all(|goal| goal.met), "not every goal is met; if the machine has other work, try again without it");
    Ok(())
}

/// Measures a node in Python of so many workers, and a peer, in turn.
fn pair(contestants: &Contestants, work: usize, workers: u32, peer: Contestant, repeats: u32) -> anyhow::Result<(Line, Line)> {
    let work = &WORK[work];
    let split = contestants.split(work)?;
    let node = Contestant::Node { workers };
    let (mut own, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..repeats {
        own.push(contestants.measure(node, work, &split)?);
        theirs.push(contestants.measure(peer, work, &split)?);
    }
    Ok((line(work.net, node, &own), line(work.net, peer, &theirs)))
}

/// Returns the medians of the time of `import torch` and of that from the command to the first test, on 10,000 samples, and the median of their differences.
fn first_test(contestants: &Contestants, repeats: u32) -> anyhow::Result<(FirstTest, f64)> {
    let work = &WORK[CNN];
    let split = contestants.split(work)?;
    let (mut imports, mut tests, mut more) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..repeats {
        let began = Instant::now();
        sh::output(Command::new(&contestants.python).args(["-c", "import torch"]), LIMIT)?;
        let import = began.elapsed().as_secs_f64();
        let runs = tempfile::tempdir()?;
        let began = Timestamp::now();
        sh::output(&mut contestants.node_run(work, &split, 2, 1, runs.path())?, LIMIT)?;
        let test = journal::first_test(runs.path())?.duration_since(began).as_secs_f64();
        imports.push(import);
        tests.push(test);
        more.push(test - import);
    }
    let first = FirstTest { import_seconds: median(&mut imports), first_test_seconds: median(&mut tests) };
    Ok((first, median(&mut more)))
}

fn line(net: &'static str, who: Contestant, all: &[Measurement]) -> Line {
    let of_all = |value: fn(&Measurement) -> f64| median(&mut all.iter().map(value).collect::<Vec<_>>());
    Line {
        net,
        who: who.name(),
        wall_seconds: of_all(|one| one.wall_seconds),
        rounds_seconds: of_all(|one| one.rounds_seconds),
        later_seconds: Some(of_all(|one| one.later_seconds)).filter(|seconds| seconds.is_finite()),
        cpu_seconds: of_all(|one| one.cpu_seconds),
        accuracy: of_all(|one| one.accuracy),
    }
}

fn table(lines: &[Line], first: &FirstTest, goals: &[Goal]) -> String {
    let mut text = "Medians; `later s` is the time from the end of the first round to that of the last\n\n".to_owned();
    text.push_str("net                 who      wall s  rounds s  later s   cpu s  accuracy\n");
    for Line { net, who, wall_seconds, rounds_seconds, later_seconds, cpu_seconds, accuracy } in lines {
        let later = later_seconds.map_or_else(String::new, |seconds| format!("{seconds:.2}"));
        text.push_str(&format!(
            "{net:<19} {who:<7} {wall_seconds:>7.2} {rounds_seconds:>9.2} {later:>8} {cpu_seconds:>7.2} {accuracy:>9.4}\n"
        ));
    }
    let FirstTest { import_seconds, first_test_seconds } = first;
    text.push_str(&format!("\n`import torch` {import_seconds:.2} s, command to first test {first_test_seconds:.2} s\n\n"));
    for goal in goals {
        text.push_str(&format!("{goal}\n"));
    }
    text
}
