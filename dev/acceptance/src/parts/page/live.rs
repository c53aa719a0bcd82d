//! The page while a run trains, and while the server is gone.

use std::{process::Command, time::Duration};

use anyhow::ensure;
use serde_json::Value;

use super::{fixtures::Fixtures, visit::Visit};
use crate::{browser::Browser, sh};

/// The time limit for a run that takes some seconds on an idle machine.
const RUN_LIMIT: Duration = Duration::from_secs(120);

/// The number of points of the chart of accuracies.
const POINTS: &str = "(globalThis.echarts?.getInstanceByDom(document.querySelector('figure[data-chart=accuracy] .chart'))?.getOption().series[0]?.data ?? []).filter(point => (point.value ?? point)[1] != null).length";

/// Runs an experiment while a browser looks on.
pub fn check(fixtures: &Fixtures, browser: &Browser) -> anyhow::Result<()> {
    let (mut command, runs) = fixtures.lasting()?;
    let server = fixtures.serve(&runs, &[])?;
    let list_server = fixtures.serve(&runs, &[])?;
    let list = Visit::begin(browser, &list_server, "#/runs")?;
    list.is_at("runs")?;
    let mut training = Training { child: sh::start(&mut command)?, command };
    // The list learns of the run by itself.
    list.page.wait("document.querySelectorAll('table#runs tbody tr[data-run]').length === 1")?;
    let name = list.rows()?[0].clone();
    clicks_are_kept(&list, &name)?;
    let visit = Visit::begin(browser, &server, &format!("#/runs/{name}"))?;
    visit.page.wait("document.body.dataset.live === 'on'")?;
    visit.page.run("window.isTheSame = true")?;
    visit.page.wait_within(&format!("{POINTS} >= 2"), RUN_LIMIT)?;
    let before: usize = visit.page.value(POINTS)?;
    visit.page.wait_within(&format!("{POINTS} > {before}"), RUN_LIMIT)?;
    ensure!(training.is_going_on()?, "the run has ended before the page could be seen to follow it");
    visit.is_calm()?;
    // The server is killed: the page says so, and goes on when it is back.
    server.kill()?;
    visit_lost(&visit.page)?;
    server.start_again()?;
    visit.page.wait_within("document.body.dataset.live === 'on'", Duration::from_secs(60))?;
    let before: usize = visit.page.value(POINTS)?;
    visit.page.wait_within(&format!("{POINTS} > {before}"), RUN_LIMIT)?;
    visit.stays_here()?;
    // Nothing of what the browser said while the server was gone counts.
    visit.page.seen().problems.clear();
    training.ends()?;
    visit.page.wait_within("document.body.dataset.live === 'off'", Duration::from_secs(60))?;
    let rows: Vec<Value> = visit.api::<Value>(&format!("/runs/{name}"))?["rows"].as_array().cloned().unwrap_or_default();
    let measured = rows.iter().filter(|row| !row["accuracy"].is_null() || !row["test"]["accuracy"].is_null()).count();
    visit.page.wait(&format!("{POINTS} === {measured}"))?;
    ensure!(visit.page.value::<bool>("window.isTheSame === true")?, "the page was loaded again");
    visit.is_calm()?;
    list.page.wait("/finished/.test(document.querySelector('table#runs tbody tr[data-run]').innerText)")?;
    list.is_calm()
}

/// Checks that a link is followed even if news of the run come between press and release, and goes back to the list.
fn clicks_are_kept(list: &Visit<'_>, name: &str) -> anyhow::Result<()> {
    // The page draws after two seconds whether the button is down or not: scroll bars never tell that it is up.
    const LIMIT_MS: f64 = 1800.0;
    const TRIES: usize = 20;
    let num_answers = "performance.getEntriesByType('resource').filter(entry => entry.name.endsWith('/table')).length";
    for _ in 0..TRIES {
        list.page.wait(&format!("(window.numAnswers ??= {num_answers}) < {num_answers}"))?;
        let place = list.page.press_mouse("table#runs tbody tr[data-run] a")?;
        list.page.run(&format!("window.pressedAt = performance.now(); window.numAnswers = {num_answers}"))?;
        list.page.wait(&format!("{num_answers} > window.numAnswers"))?;
        // The answer is there; the page would draw it now.
        std::thread::sleep(Duration::from_millis(100));
        list.page.release_mouse(place)?;
        let held_ms: f64 = list.page.value("performance.now() - window.pressedAt")?;
        if held_ms < LIMIT_MS {
            list.page.wait(&format!("location.hash === '#/runs/' + encodeURIComponent({})", serde_json::json!(name)))?;
            list.page.run("history.back()")?;
            return list.is_at("runs");
        }
        list.page.run("location.hash = '#/runs'")?;
        list.is_at("runs")?;
    }
    anyhow::bail!("no news came within {LIMIT_MS} ms of a press")
}

/// Waits until a person is told that the server is gone.
fn visit_lost(page: &crate::browser::Page<'_>) -> anyhow::Result<()> {
    page.wait("document.body.dataset.live === 'lost'")?;
    // A person sees it too, and a program that reads aloud says it.
    page.wait("[...document.querySelectorAll('[role=status], [role=alert], [aria-live]')].some(element => element.checkVisibility() && element.innerText.trim() !== '')")
}

/// A run, which is killed if the test fails.
struct Training {
    child: std::process::Child,
    command: Command,
}

impl Training {
    fn is_going_on(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    fn ends(&mut self) -> anyhow::Result<()> {
        let status = sh::wait(&mut self.child, &self.command, RUN_LIMIT)?;
        ensure!(status.success(), "the run failed: {status}");
        Ok(())
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
