//! `cargo xtask bench page`: how long a person waits for the page of `fltk serve`, and for TensorBoard with the same runs.
//!
//! ```text
//! 2,000 runs   ── fltk runs list, the page: without an index, and with one
//! 15,000 jobs  ── the page
//! 200 runs     ── from the command to the first curve: fltk serve, tensorboard     in turn
//! ```
//!
//! All of it is seen by Chromium on this machine.

use std::{path::Path, time::Duration};

use anyhow::ensure;
use serde::Serialize;

use self::first_curve::{ours, theirs};
use super::{Output, goal::Goal, median};
use crate::{
    browser::Browser,
    checkout::Checkout,
    parts::page::{
        fixtures::{Fixtures, MANY_JOBS, MANY_RUNS},
        large::{self, Felt},
        visit::{Visit, WINDOW},
    },
    setup::{debian, libtorch, python},
    sh,
};

mod first_curve;

/// The goals.
const LIST_WARM_SECONDS: f64 = 0.3;
const LIST_COLD_SECONDS: f64 = 3.0;
const JOBS_DRAWN_SECONDS: f64 = 2.0;
const BLOCKED_MS: f64 = 100.0;
const SERVER_MB: f64 = 200.0;
const FIRST_CURVE_OF_TENSORBOARD: f64 = 0.5;

/// The number of runs whose first curve is waited for.
const RUNS: usize = 200;

/// The time at which the page asked for its list, in milliseconds.
const ASKED: &str = "performance.getEntriesByType('resource').find(entry => entry.name.endsWith('/api/v1/table')).startTime";

/// The time limit of `fltk runs list`.
const LIST_LIMIT: Duration = Duration::from_secs(120);

/// Medians of times in seconds, and maxima.
#[derive(Serialize)]
struct Figures {
    list_cold_seconds: f64,
    list_warm_seconds: f64,
    page_cold_seconds: f64,
    page_warm_seconds: f64,
    /// The time until the browser asks for the list, which is a part of `page_warm_seconds`: it begins a document.
    page_asked_seconds: f64,
    jobs_drawn_seconds: f64,
    runs_blocked_ms_max: f64,
    jobs_blocked_ms_max: f64,
    server_mb_max: f64,
    first_curve_seconds: f64,
    first_curve_of_tensorboard_seconds: f64,
}

/// Measures, and prints the figures and the goals.
pub fn run(checkout: &Checkout, repeats: u32, output: Output) -> anyhow::Result<()> {
    debian::chromium().map_err(|reason| anyhow::anyhow!(reason))?;
    let tests = python::ensure(checkout)?;
    checkout.build(&libtorch::ensure(checkout)?, &["--release"])?;
    checkout.build_without_libtorch(&["--release", "--package", "fltk-plan", "--example", "long_stream"])?;
    let fixtures = Fixtures::new(checkout)?;
    let (many, some) = (fixtures.many()?, fixtures.runs("some", RUNS)?);
    let figures = measure(&fixtures, &many, &some, &tests, repeats)?;
    let goals = goals(&figures);
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&serde_json::json!({ "page": figures, "goals": goals }))?),
        Output::Text => {
            println!("{MANY_RUNS} runs, a stream of {MANY_JOBS} jobs, and the first curve of {RUNS} runs; medians, but for maxima\n");
            goals.iter().for_each(|goal| println!("{goal}"));
            println!("\nThe browser asks for the list {:.3} s after it was told to open the page.", figures.page_asked_seconds);
        }
    }
    ensure!(goals.iter().all(|goal| goal.met), "not every goal is met; if the machine has other work, try again without it");
    Ok(())
}

fn measure(fixtures: &Fixtures, many: &Path, some: &Path, python: &Path, repeats: u32) -> anyhow::Result<Figures> {
    let browser = Browser::start()?;
    let (mut list_cold, mut list_warm, mut page_cold, mut page_warm) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut jobs_drawn, mut runs_blocked_ms, mut jobs_blocked_ms, mut server_mb) = (Vec::new(), 0.0f64, 0.0f64, 0.0f64);
    let (mut page_asked, mut own, mut tensorboard) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..repeats {
        fixtures.forget()?;
        list_cold.push(list_seconds(fixtures, many)?);
        list_warm.push(list_seconds(fixtures, many)?);
        fixtures.forget()?;
        let server = fixtures.serve(many, &[])?;
        // One person in one tab: with the list, the browser has the page's script too.
        let visit = Visit { page: browser.page(WINDOW)?, server: &server };
        page_cold.push(large::list(&visit)?.as_secs_f64());
        // A person looks at a list before leaving it; the browser has until then to end what it began.
        visit.rests()?;
        let Felt { drawn, blocked_ms: of_runs } = large::runs(&visit)?;
        page_warm.push(drawn.as_secs_f64());
        page_asked.push(visit.page.value::<f64>(ASKED)? / 1000.0);
        let Felt { drawn, blocked_ms: of_jobs } = large::jobs(&visit)?;
        jobs_drawn.push(drawn.as_secs_f64());
        runs_blocked_ms = runs_blocked_ms.max(of_runs);
        jobs_blocked_ms = jobs_blocked_ms.max(of_jobs);
        server_mb = server_mb.max(server.peak_mb()?);
        drop(visit);
        drop(server);
        // A machine that was just used for one of them is not better for the other.
        own.push(ours(fixtures, &browser, some)?.as_secs_f64());
        tensorboard.push(theirs(python, &browser, some)?.as_secs_f64());
    }
    Ok(Figures {
        list_cold_seconds: median(&mut list_cold),
        list_warm_seconds: median(&mut list_warm),
        page_cold_seconds: median(&mut page_cold),
        page_warm_seconds: median(&mut page_warm),
        page_asked_seconds: median(&mut page_asked),
        jobs_drawn_seconds: median(&mut jobs_drawn),
        runs_blocked_ms_max: runs_blocked_ms,
        jobs_blocked_ms_max: jobs_blocked_ms,
        server_mb_max: server_mb,
        first_curve_seconds: median(&mut own),
        first_curve_of_tensorboard_seconds: median(&mut tensorboard),
    })
}

fn list_seconds(fixtures: &Fixtures, many: &Path) -> anyhow::Result<f64> {
    let began = std::time::Instant::now();
    sh::quiet_output(&mut fixtures.list(many), LIST_LIMIT)?;
    Ok(began.elapsed().as_secs_f64())
}

fn goals(figures: &Figures) -> Vec<Goal> {
    let ratio = figures.first_curve_seconds / figures.first_curve_of_tensorboard_seconds;
    vec![
        Goal::at_most("runs list, without an index, s", figures.list_cold_seconds, LIST_COLD_SECONDS),
        Goal::at_most("runs list, with one, s", figures.list_warm_seconds, LIST_WARM_SECONDS),
        Goal::at_most("the page's list, without an index, s", figures.page_cold_seconds, LIST_COLD_SECONDS),
        Goal::at_most("the page's list, with one, s", figures.page_warm_seconds, LIST_WARM_SECONDS),
        Goal::at_most("a long stream is drawn, s", figures.jobs_drawn_seconds, JOBS_DRAWN_SECONDS),
        Goal::at_most("runs scrolled: no reaction, at most, ms", figures.runs_blocked_ms_max, BLOCKED_MS),
        Goal::at_most("jobs scrolled and zoomed: no reaction, at most, ms", figures.jobs_blocked_ms_max, BLOCKED_MS),
        Goal::at_most("the server's memory, at most, MB", figures.server_mb_max, SERVER_MB),
        Goal::at_most("command to first curve, of TensorBoard", ratio, FIRST_CURVE_OF_TENSORBOARD),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_curve_is_compared_with_tensorboards() {
        let figures = |own: f64| Figures {
            list_cold_seconds: 3.0,
            list_warm_seconds: 0.3,
            page_cold_seconds: 3.0,
            page_warm_seconds: 0.3,
            page_asked_seconds: 0.1,
            jobs_drawn_seconds: 2.0,
            runs_blocked_ms_max: 100.0,
            jobs_blocked_ms_max: 100.0,
            server_mb_max: 200.0,
            first_curve_seconds: own,
            first_curve_of_tensorboard_seconds: 4.0,
        };
        assert!(goals(&figures(2.0)).iter().all(|goal| goal.met));
        assert_eq!(goals(&figures(2.1)).iter().filter(|goal| !goal.met).count(), 1);
    }
}
