//! `cargo xtask bench orchestrator`: the rate at which the jobs of a large stream are created on a real API server, compared with the most
//! that the server can take.
//!
//! ```text
//! inputs ──┬── fltk cluster ──> jobs/s, peak memory ──┐
//!          └── creates      ──> jobs/s                ├── ratio      in turn, each in a namespace of its own that is removed again
//!                               of the same objects ──┘
//! ```
//!
//! No job runs: all are assigned to a manager that doesn't exist, so the training operator doesn't act on them. Its webhook still validates each,
//! as usual.

mod ceiling;
mod inputs;
mod namespace;
mod ours;

use anyhow::Context as _;
use serde::Serialize;

use self::{ceiling::Ceiling, inputs::Inputs, ours::Ours};
use super::{Output, median};
use crate::{
    checkout::Checkout,
    cluster,
    image::{self, Kind},
};

/// The lowest allowed ratio of our rate to the API server's limit.
const RATIO_GOAL: f64 = 0.7;
/// The highest allowed peak of our resident memory, in 10^6 bytes.
const PEAK_MB_GOAL: f64 = 200.0;

/// The name of the stream.
const RUN: &str = "bench";
/// The arguments with which cargo builds the program that measures the ceiling.
const CREATES: &[&str] = &["--release", "--package", "fltk-kubernetes", "--example", "creates"];
/// The numbers of concurrent requests that are tried to find the ceiling, each with a part of the jobs.
const CONCURRENCIES: [u32; 4] = [4, 8, 16, 32];
const PROBE_PARTS: u32 = 10;

/// The result: medians, except for memory, which is the maximum.
#[derive(Serialize)]
struct Line {
    jobs: u32,
    fltk_jobs_per_second: f64,
    ceiling_jobs_per_second: f64,
    ceiling_concurrency: u32,
    ratio: f64,
    ratio_goal: f64,
    peak_mb: f64,
    peak_mb_goal: f64,
    met: bool,
}

/// Finds the best concurrency of bare creates, then measures both in turn, repeatedly, so that other load on the machine affects both.
pub fn run(checkout: &Checkout, jobs: u32, repeats: u32, output: Output) -> anyhow::Result<()> {
    let program = image::program(checkout, Kind::Orchestrator, None)?.context("the orchestrator's image has no program")?;
    let creates = checkout.build_without_libtorch(CREATES)?;
    let line = cluster::with(checkout, |cluster| {
        let (ours, ceiling) = (Ours { program: &program, cluster }, Ceiling { program: &creates, cluster });
        let (all, part) = (Inputs::write(jobs)?, Inputs::write(jobs.div_ceil(PROBE_PARTS))?);
        let mut best = (0.0, CONCURRENCIES[0]);
        for concurrency in CONCURRENCIES {
            let rate = namespace::within(cluster, &program, || ceiling.jobs_per_second(&part, concurrency))?;
            eprintln!("bare creates, {concurrency} at once: {rate:.0} jobs/s");
            if rate > best.0 {
                best = (rate, concurrency);
            }
        }
        let (mut rates, mut ceilings, mut peak_mb) = (Vec::new(), Vec::new(), 0.0f64);
        for _ in 0..repeats {
            ceilings.push(namespace::within(cluster, &program, || ceiling.jobs_per_second(&all, best.1))?);
            let measured = namespace::within(cluster, &program, || ours.measure(&all))?;
            rates.push(measured.jobs_per_second);
            peak_mb = peak_mb.max(measured.peak_mb);
        }
        Ok(line(jobs, median(&mut rates), (median(&mut ceilings), best.1), peak_mb))
    })?;
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&line)?),
        Output::Text => print!("{}", table(&line)),
    }
    anyhow::ensure!(line.met, "not every goal is met; on a machine with other work, try again");
    Ok(())
}

fn line(jobs: u32, fltk_jobs_per_second: f64, ceiling: (f64, u32), peak_mb: f64) -> Line {
    let (ceiling_jobs_per_second, ceiling_concurrency) = ceiling;
    let ratio = fltk_jobs_per_second / ceiling_jobs_per_second;
    let met = ratio >= RATIO_GOAL && peak_mb <= PEAK_MB_GOAL;
    Line {
        jobs,
        fltk_jobs_per_second,
        ceiling_jobs_per_second,
        ceiling_concurrency,
        ratio,
        ratio_goal: RATIO_GOAL,
        peak_mb,
        peak_mb_goal: PEAK_MB_GOAL,
        met,
    }
}

fn table(line: &Line) -> String {
    let met = |met| if met { "met" } else { "NOT MET" };
    let Line { jobs, fltk_jobs_per_second, ceiling_jobs_per_second, ceiling_concurrency, ratio, ratio_goal, peak_mb, peak_mb_goal, .. } =
        line;
    // Our program makes the same requests and more, so it can't be faster by itself.
    let noise = if *ratio > 1.0 {
        "above 1: another number of requests at once would have been better for so many jobs; or the machine had other work, then measure again\n"
    } else {
        ""
    };
    format!(
        "{jobs} jobs that arrive at once; medians\n
                          fltk  bare creates  ratio (goal)
jobs made, 1/s        {fltk_jobs_per_second:>8.0}      {ceiling_jobs_per_second:>8.0}  {ratio:.2} (at least {ratio_goal:.2})  {}
peak memory, MB       {peak_mb:>8.0}             -  - (at most {peak_mb_goal:.0})  {}

bare creates: the same objects by the same client, {ceiling_concurrency} at once (the best of {CONCURRENCIES:?}), and nothing else
{noise}",
        met(ratio >= ratio_goal),
        met(peak_mb <= peak_mb_goal),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_have_a_minimum_ratio_and_a_maximum_memory() {
        for (rate, peak_mb, met) in [(70.0, 200.0, true), (69.0, 100.0, false), (90.0, 201.0, false)] {
            let line = line(1000, rate, (100.0, 8), peak_mb);
            assert_eq!(line.met, met, "{rate} {peak_mb}");
            assert_eq!(table(&line).contains("NOT MET"), !met, "{}", table(&line));
        }
        for (rate, is_noise) in [(100.0, false), (101.0, true)] {
            assert_eq!(table(&line(1000, rate, (100.0, 8), 100.0)).contains("measure again"), is_noise, "{rate}");
        }
    }
}
