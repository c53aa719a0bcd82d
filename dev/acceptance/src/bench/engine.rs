//! `cargo xtask bench engine`: federated averaging, whole command and rounds alone, compared with loops by hand in PyTorch, with Flower and with pfl-research.
//!
//! All programs train the clients of one file in the order of its cohorts, in turn, repeatedly, so that other load on the machine affects all of them.

mod alone;
pub(super) mod contestants;

use std::path::PathBuf;

use anyhow::ensure;
use serde::Serialize;

use self::contestants::{Contestant, Contestants, Measurement};
use super::{Output, goal::Goal, median};
use crate::{checkout::Checkout, setup::libtorch};

/// The part of an earlier ratio by which one may differ before it is marked.
const DRIFT_MAX: f64 = 0.25;

/// A training job, and what is wanted of it.
pub(super) struct Work {
    pub(super) net: &'static str,
    dataset: &'static str,
    clients: u32,
    pub(super) rounds: u32,
    test_every: u32,
    train: &'static str,
    peers: &'static [Peer],
    /// The largest peak of memory, in MB.
    memory_mb_max: f64,
    /// The longest time of the rounds alone, in seconds.
    rounds_seconds_max: Option<f64>,
}

/// A contestant beside fltk, with the largest allowed parts of what it takes.
pub(super) struct Peer {
    who: Contestant,
    of_wall: Option<f64>,
    of_rounds: Option<f64>,
    of_cpu: Option<f64>,
    /// The ratio of its whole command's wall time to fltk's when this table was written.
    earlier: f64,
}

const PLAIN: &str = "{ batch_size: 10, optimizer: { type: SGD, learning_rate: 0.03 } }";
const SMALL: Work = Work {
    net: "LogisticRegression",
    dataset: "mnist",
    clients: 1000,
    rounds: 100,
    test_every: 20,
    train: PLAIN,
    peers: &[
        Peer { who: Contestant::Loop, of_wall: Some(1.0 / 5.0), of_rounds: None, of_cpu: None, earlier: LOOP_SMALL },
        Peer { who: Contestant::Pfl, of_wall: Some(1.0 / 13.0), of_rounds: None, of_cpu: None, earlier: PFL_SMALL },
        Peer { who: Contestant::Flower, of_wall: Some(1.0 / 60.0), of_rounds: None, of_cpu: None, earlier: FLOWER_SMALL },
    ],
    memory_mb_max: 200.0,
    rounds_seconds_max: Some(0.3),
};
/// The work that is measured.
pub(super) const WORK: [Work; 3] = [
    SMALL,
    Work {
        net: "McMahan2NN",
        peers: &[Peer { who: Contestant::Loop, of_wall: Some(1.0 / 2.0), of_rounds: None, of_cpu: None, earlier: LOOP_2NN }],
        memory_mb_max: 250.0,
        rounds_seconds_max: None,
        ..SMALL
    },
    Work {
        net: "FashionMNISTCNN",
        dataset: "fashion-mnist",
        clients: 100,
        rounds: 10,
        test_every: 10,
        train: "{ batch_size: 32, optimizer: { type: SGD, learning_rate: 0.01, momentum: 0.9 } }",
        peers: &[Peer { who: Contestant::Two, of_wall: None, of_rounds: Some(0.55), of_cpu: Some(0.55), earlier: TWO_CNN }],
        memory_mb_max: 300.0,
        rounds_seconds_max: None,
    },
];

/// Earlier ratios of a peer's wall time to fltk's, on two cores without other work (2026-11-29).
const LOOP_SMALL: f64 = 5.3;
const PFL_SMALL: f64 = 10.5;
const FLOWER_SMALL: f64 = 48.3;
const LOOP_2NN: f64 = 3.0;
const TWO_CNN: f64 = 1.9;

/// The medians of one contestant at one work.
#[derive(Serialize)]
struct Line {
    net: &'static str,
    who: &'static str,
    wall_seconds: f64,
    rounds_seconds: f64,
    cpu_seconds: f64,
    memory_mb: f64,
    accuracy: f64,
    /// Its wall time divided by fltk's; 1 for fltk.
    ratio: f64,
    /// The ratio when the table in this file was written.
    earlier: Option<f64>,
}

/// Measures, and prints what each contestant took and which goals are met. `mnist` is a folder with the four files of MNIST; without it, the one where
/// `fltk data fetch mnist` puts them.
pub fn run(checkout: &Checkout, mnist: Option<PathBuf>, repeats: u32, output: Output) -> anyhow::Result<()> {
    let contestants = Contestants::ready(checkout, mnist)?;
    let rounds = checkout.build(&libtorch::ensure(checkout)?, &["--release", "--package", "fltk-torch", "--example", "rounds"])?;
    let (mut lines, mut goals) = (Vec::new(), Vec::new());
    for work in &WORK {
        let split = contestants.split(work)?;
        let mut measured: Vec<(Contestant, Vec<Measurement>)> =
            [Contestant::Fltk].into_iter().chain(work.peers.iter().map(|peer| peer.who)).map(|who| (who, Vec::new())).collect();
        for _ in 0..repeats {
            for (who, all) in &mut measured {
                all.push(contestants.measure(*who, work, &split)?);
            }
        }
        let own = line(work, Contestant::Fltk, &measured[0].1, None);
        for (peer, (_, all)) in work.peers.iter().zip(&measured[1..]) {
            let theirs = line(work, peer.who, all, Some((&own, peer.earlier)));
            goals.extend(goals_of(work, peer, &own, &theirs));
            lines.push(theirs);
        }
        goals.push(Goal::at_most(format!("{}: memory, MB", work.net), own.memory_mb, work.memory_mb_max));
        goals.extend(
            work.rounds_seconds_max
                .map(|goal_seconds| Goal::at_most(format!("{}: rounds alone, s", work.net), own.rounds_seconds, goal_seconds)),
        );
        let at = lines.len() - work.peers.len();
        lines.insert(at, own);
    }
    goals.extend(alone::measure(&contestants, &rounds, repeats)?);
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&serde_json::json!({ "lines": lines, "goals": goals }))?),
        Output::Text => print!("{}", table(&lines, &goals)),
    }
    ensure!(goals.iter().all(|goal| goal.met), "not every goal is met; if the machine has other work, try again without it");
    Ok(())
}

fn line(work: &Work, who: Contestant, all: &[Measurement], of: Option<(&Line, f64)>) -> Line {
    let of_all = |value: fn(&Measurement) -> f64| median(&mut all.iter().map(value).collect::<Vec<_>>());
    let wall_seconds = of_all(|one| one.wall_seconds);
    Line {
        net: work.net,
        who: who.name(),
        wall_seconds,
        rounds_seconds: of_all(|one| one.rounds_seconds),
        cpu_seconds: of_all(|one| one.cpu_seconds),
        memory_mb: of_all(|one| one.memory_mb),
        accuracy: of_all(|one| one.accuracy),
        ratio: of.map_or(1.0, |(own, _)| wall_seconds / own.wall_seconds),
        earlier: of.map(|(_, earlier)| earlier),
    }
}

fn goals_of(work: &Work, peer: &Peer, own: &Line, theirs: &Line) -> Vec<Goal> {
    let who = peer.who.name();
    let kinds = [
        ("whole command", peer.of_wall, own.wall_seconds / theirs.wall_seconds),
        ("rounds", peer.of_rounds, own.rounds_seconds / theirs.rounds_seconds),
        ("processor time", peer.of_cpu, own.cpu_seconds / theirs.cpu_seconds),
    ];
    let wanted = kinds.into_iter().filter_map(|(what, wanted, ratio)| Some((what, wanted?, ratio)));
    wanted.map(|(what, wanted, ratio)| Goal::at_most(format!("{}: {what}, of {who}", work.net), ratio, wanted)).collect()
}

/// True if a ratio is far from an earlier one.
fn has_drifted(ratio: f64, earlier: f64) -> bool {
    (ratio / earlier - 1.0).abs() > DRIFT_MAX
}

fn table(lines: &[Line], goals: &[Goal]) -> String {
    let mut text = "Medians; `ratio` is the wall time of the whole command, of fltk's\n\n".to_owned();
    text.push_str("net                 who      wall s  rounds s   cpu s  memory MB  accuracy  ratio (earlier)\n");
    for Line { net, who, wall_seconds, rounds_seconds, cpu_seconds, memory_mb, accuracy, ratio, earlier } in lines {
        let earlier = earlier
            .map_or_else(String::new, |earlier| format!(" ({earlier:.1}){}", if has_drifted(*ratio, earlier) { "  DRIFTED" } else { "" }));
        text.push_str(&format!(
            "{net:<19} {who:<7} {wall_seconds:>7.2} {rounds_seconds:>9.2} {cpu_seconds:>7.2} {memory_mb:>10.0} {accuracy:>9.4} {ratio:>6.1}{earlier}\n"
        ));
    }
    text.push('\n');
    for goal in goals {
        text.push_str(&format!("{goal}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(wall_seconds: f64) -> Measurement {
        Measurement { wall_seconds, cpu_seconds: 1.0, memory_mb: 150.0, rounds_seconds: 0.5, later_seconds: 0.4, accuracy: 0.9 }
    }

    #[test]
    fn goals_are_parts_of_what_peers_take() {
        let peer = &WORK[0].peers[0];
        let own = line(&WORK[0], Contestant::Fltk, &[taken(0.7), taken(0.5), taken(0.6)], None);
        for (theirs, met) in [(3.1, true), (2.9, false)] {
            let theirs = line(&WORK[0], peer.who, &[taken(theirs)], Some((&own, 5.0)));
            let goals = goals_of(&WORK[0], peer, &own, &theirs);
            assert_eq!(goals.iter().map(|goal| goal.met).collect::<Vec<_>>(), [met]);
        }
    }

    #[test]
    fn drift_is_marked() {
        assert!(!has_drifted(5.0, 4.1) && has_drifted(5.0, 3.9) && has_drifted(5.0, 7.0));
        let own = line(&WORK[0], Contestant::Fltk, &[taken(1.0)], None);
        let theirs = line(&WORK[0], Contestant::Loop, &[taken(3.0)], Some((&own, 5.0)));
        let text = table(&[own, theirs], &[]);
        assert_eq!(text.lines().filter(|line| line.ends_with("DRIFTED")).count(), 1, "{text}");
    }
}
