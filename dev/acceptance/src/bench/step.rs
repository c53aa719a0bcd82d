//! `cargo xtask bench step`: the time of one training step, compared with PyTorch.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{Output, median};
use crate::{
    checkout::Checkout,
    setup::{libtorch, python},
    sh,
};

/// The number of threads of every engine: the goals are for a machine with two cores.
const THREADS: u32 = 2;

/// The time limit of one measurement of one net by one engine.
const LIMIT: Duration = Duration::from_secs(10 * 60);

struct Work {
    net: &'static str,
    batch: u32,
    /// The number of steps in one measurement, which take some seconds.
    steps: u32,
    /// The highest allowed ratio to unmodified PyTorch.
    of_eager: f64,
    /// The highest allowed ratio to PyTorch in channels-last with a flat SGD, if there is a goal.
    of_tuned: Option<f64>,
}

const WORK: [Work; 3] = [
    Work { net: "FashionMNISTCNN", batch: 64, steps: 200, of_eager: 0.55, of_tuned: Some(0.95) },
    Work { net: "Cifar10CNN", batch: 64, steps: 40, of_eager: 0.85, of_tuned: None },
    Work { net: "Cifar10ResNet", batch: 32, steps: 15, of_eager: 0.95, of_tuned: None },
];

/// The output of both programs.
#[derive(Deserialize)]
struct Measurement {
    median_ms: f64,
}

/// One line of the result; times are medians in milliseconds.
#[derive(Serialize)]
struct Line {
    net: &'static str,
    batch: u32,
    threads: u32,
    fltk_ms: f64,
    eager_ms: f64,
    tuned_ms: f64,
    of_eager: f64,
    of_eager_goal: f64,
    of_tuned: f64,
    of_tuned_goal: Option<f64>,
    met: bool,
}

/// Measures the engines in turn, repeatedly, so that other load on the machine affects all of them.
pub fn run(checkout: &Checkout, repeats: u32, output: Output) -> anyhow::Result<()> {
    let engines = Engines {
        python: python::ensure(checkout)?,
        ours: checkout.build(&libtorch::ensure(checkout)?, &["--release", "--package", "fltk-train", "--example", "step"])?,
        root: &checkout.root,
    };
    let mut lines = Vec::new();
    for work in &WORK {
        let (mut ours, mut eager, mut tuned) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..repeats {
            ours.push(engines.ours(work)?);
            eager.push(engines.pytorch(work, &[])?);
            tuned.push(engines.pytorch(work, &["--tuned"])?);
        }
        lines.push(line(work, median(&mut ours), median(&mut eager), median(&mut tuned)));
    }
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&lines)?),
        Output::Text => print!("{}", table(&lines)),
    }
    anyhow::ensure!(lines.iter().all(|line| line.met), "not every goal is met; on a machine with other work, try again");
    Ok(())
}

struct Engines<'a> {
    python: PathBuf,
    ours: PathBuf,
    root: &'a Path,
}

impl Engines<'_> {
    fn ours(&self, work: &Work) -> anyhow::Result<f64> {
        measure(Command::new(&self.ours).args(arguments(work)).current_dir(self.root))
    }

    fn pytorch(&self, work: &Work, options: &[&str]) -> anyhow::Result<f64> {
        let mut command = Command::new(&self.python);
        measure(command.arg("python/bench_step.py").args(arguments(work)).args(options).current_dir(self.root))
    }
}

/// Returns the arguments, which are the same for both programs: net, batch, threads, steps.
fn arguments(work: &Work) -> [String; 4] {
    [work.net.to_owned(), work.batch.to_string(), THREADS.to_string(), work.steps.to_string()]
}

fn measure(command: &mut Command) -> anyhow::Result<f64> {
    let text = sh::output(command.stdin(Stdio::null()), LIMIT)?;
    let measurement: Measurement =
        serde_json::from_str(&text).with_context(|| format!("`{}` printed something else", sh::show(command)))?;
    anyhow::ensure!(measurement.median_ms > 0.0, "`{}` measured {} ms", sh::show(command), measurement.median_ms);
    Ok(measurement.median_ms)
}

fn line(work: &Work, fltk_ms: f64, eager_ms: f64, tuned_ms: f64) -> Line {
    let (of_eager, of_tuned) = (fltk_ms / eager_ms, fltk_ms / tuned_ms);
    let met = of_eager <= work.of_eager && work.of_tuned.is_none_or(|goal| of_tuned <= goal);
    let Work { net, batch, of_eager: of_eager_goal, of_tuned: of_tuned_goal, .. } = *work;
    Line { net, batch, threads: THREADS, fltk_ms, eager_ms, tuned_ms, of_eager, of_eager_goal, of_tuned, of_tuned_goal, met }
}

fn table(lines: &[Line]) -> String {
    let mut text = format!("One training step in ms (medians, {THREADS} threads)\n\n");
    text.push_str("net              batch     fltk    eager    tuned  fltk/eager (goal)  fltk/tuned (goal)\n");
    for line in lines {
        let goal = line.of_tuned_goal.map_or_else(|| "   (-)".to_owned(), |goal| format!("({goal:.2})"));
        text.push_str(&format!(
            "{:<16} {:>5} {:>8.2} {:>8.2} {:>8.2}        {:.2} ({:.2})        {:.2} {goal}  {}\n",
            line.net,
            line.batch,
            line.fltk_ms,
            line.eager_ms,
            line.tuned_ms,
            line.of_eager,
            line.of_eager_goal,
            line.of_tuned,
            if line.met { "met" } else { "NOT MET" }
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goal_is_met_only_if_all_ratios_are_met() {
        for (fltk_ms, met) in [(5.0, true), (5.6, false)] {
            assert_eq!(line(&WORK[0], fltk_ms, 10.0, 7.0).met, met);
        }
        assert!(!line(&WORK[0], 5.0, 10.0, 5.0).met, "0.5 of eager, but no faster than tuned");
        assert!(line(&WORK[1], 5.0, 10.0, 5.0).met, "no goal against tuned");
        let text = table(&[line(&WORK[0], 5.0, 10.0, 7.0)]);
        assert!(text.lines().last().is_some_and(|line| line.starts_with("FashionMNISTCNN") && line.ends_with("met")), "{text}");
    }
}
