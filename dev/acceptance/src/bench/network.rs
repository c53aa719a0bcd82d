//! `cargo xtask bench network`: federated averaging over two node processes of this machine, compared with one process and with Flower's deployment engine; how fast
//! updates are brought, beside a bare stream of bytes; and what a thousand nodes cost.
//!
//! All programs train the clients of one file in the order of its cohorts, in turn, repeatedly, so that other load on the machine affects all of them.
//!
//! **Caveats.** The kernel may share cores by session (`sched_autogroup_enabled`). Nodes, SuperNodes and their SuperLink have sessions of their own, so beside other work they get more
//! of the machine than one process does. The ratios hold on a machine without other work.

mod contestants;
mod federator;

use anyhow::ensure;
use serde::Serialize;

use self::contestants::{Contestants, Job, Measurement, Who};
use super::{Output, goal::Goal, median, peers};
use crate::{
    checkout::Checkout,
    setup::{debian, libtorch, python},
};

/// The jobs of this comparison, each with its rounds. Flower takes ten seconds for a round.
const JOBS: [Job; 4] = [
    Job { who: Who::InProcess, rounds: 10 },
    Job { who: Who::Nodes, rounds: 10 },
    Job { who: Who::Nodes, rounds: 3 },
    Job { who: Who::Flower, rounds: 3 },
];

/// The largest allowed parts of what others take.
const ROUND_OF_IN_PROCESS: f64 = 1.10;
const COMMAND_OF_FLOWER: f64 = 0.1;
const ROUND_OF_FLOWER: f64 = 0.3;

/// The medians of one job.
#[derive(Serialize)]
struct Line {
    who: &'static str,
    rounds: u32,
    /// The time of a round: the median over the second and later ones.
    round_seconds: f64,
    /// The time from the command to the end of the last round.
    to_last_round_seconds: f64,
    wall_seconds: f64,
    cpu_seconds: f64,
    memory_mb: f64,
    accuracy: f64,
}

/// Measures, and prints what each contestant took and which goals are met.
pub fn run(checkout: &Checkout, repeats: u32, output: Output) -> anyhow::Result<()> {
    debian::fashion_mnist().map_err(|reason| anyhow::anyhow!(reason))?;
    let tests = python::ensure(checkout)?;
    let python = peers::ensure(checkout, &tests)?;
    eprintln!("peers: {}", peers::versions(&python)?);
    let libtorch = libtorch::ensure(checkout)?;
    let fltk = checkout.build(&libtorch, &["--release"])?;
    let example = |name| checkout.build_without_libtorch(&["--release", "--package", "fltk-network", "--example", name]);
    let (throughput, thousand) = (example("throughput")?, example("thousand")?);
    let contestants = Contestants::new(python, fltk, checkout.root.clone())?;
    let mut measured = JOBS.map(|_| Vec::new());
    for repeat in 1..=repeats {
        for (job, all) in JOBS.iter().zip(&mut measured) {
            eprintln!("{repeat} of {repeats}: {} rounds of {}", job.rounds, job.who.name());
            all.push(contestants.measure(job)?);
        }
    }
    let lines: Vec<Line> = JOBS.iter().zip(&measured).map(|(job, all)| line(job, all)).collect();
    let mut goals = goals_of(&lines);
    let (federator, federator_goals) = federator::measure(&throughput, &thousand, repeats)?;
    goals.extend(federator_goals);
    match output {
        Output::Json => {
            println!("{}", serde_json::to_string_pretty(&serde_json::json!({ "lines": lines, "federator": federator, "goals": goals }))?);
        }
        Output::Text => print!("{}", table(&lines, &federator, &goals)),
    }
    ensure!(goals.iter().all(|goal| goal.met), "not every goal is met; if the machine has other work, try again without it");
    Ok(())
}

fn line(job: &Job, all: &[Measurement]) -> Line {
    let of_all = |value: fn(&Measurement) -> f64| median(&mut all.iter().map(value).collect::<Vec<_>>());
    Line {
        who: job.who.name(),
        rounds: job.rounds,
        round_seconds: of_all(|one| one.round_seconds),
        to_last_round_seconds: of_all(|one| one.to_last_round_seconds),
        wall_seconds: of_all(|one| one.wall_seconds),
        cpu_seconds: of_all(|one| one.cpu_seconds),
        memory_mb: of_all(|one| one.memory_mb),
        accuracy: of_all(|one| one.accuracy),
    }
}

fn goals_of(lines: &[Line]) -> Vec<Goal> {
    let [in_process, nodes, short, flower] = lines else { return Vec::new() };
    vec![
        Goal::at_most("two nodes: a round, of one process", nodes.round_seconds / in_process.round_seconds, ROUND_OF_IN_PROCESS),
        Goal::at_most(
            "two nodes: command to last round, of Flower",
            short.to_last_round_seconds / flower.to_last_round_seconds,
            COMMAND_OF_FLOWER,
        ),
        Goal::at_most("two nodes: a round, of Flower", short.round_seconds / flower.round_seconds, ROUND_OF_FLOWER),
    ]
}

fn table(lines: &[Line], federator: &federator::Figures, goals: &[Goal]) -> String {
    let mut text =
        "FashionMNISTCNN, 100 clients, 10 a round; medians. `to last s` is the time from the command to the end of the last round\n\n"
            .to_owned();
    text.push_str("who         rounds  round s  to last s   wall s    cpu s  memory MB  accuracy\n");
    for Line { who, rounds, round_seconds, to_last_round_seconds, wall_seconds, cpu_seconds, memory_mb, accuracy } in lines {
        text.push_str(&format!(
            "{who:<10} {rounds:>7} {round_seconds:>8.2} {to_last_round_seconds:>10.2} {wall_seconds:>8.2} {cpu_seconds:>8.2} {memory_mb:>10.0} {accuracy:>9.4}\n"
        ));
    }
    text.push_str(&format!("\n{federator}\n"));
    for goal in goals {
        text.push_str(&format!("{goal}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_parts_of_what_others_take() {
        let lines = |in_process: f64, nodes: f64, flower: f64| {
            let taken = |seconds: f64| Measurement {
                round_seconds: seconds,
                to_last_round_seconds: 3.0 * seconds,
                wall_seconds: 4.0 * seconds,
                cpu_seconds: 1.0,
                memory_mb: 1.0,
                accuracy: 0.8,
            };
            let of = |job: &Job| match job.who {
                Who::InProcess => in_process,
                Who::Nodes => nodes,
                Who::Flower => flower,
            };
            JOBS.each_ref().map(|job| line(job, &[taken(of(job))]))
        };
        for (measured, met) in [
            (lines(1.0, 1.05, 12.0), [true, true, true]),
            (lines(1.0, 1.2, 10.0), [false, false, true]),
            (lines(1.0, 1.0, 3.0), [true, false, false]),
        ] {
            assert_eq!(goals_of(&measured).iter().map(|goal| goal.met).collect::<Vec<_>>(), met);
        }
    }
}
