//! Many runs and a long stream: the page draws them soon, and never makes a person wait.

use std::time::Duration;

use anyhow::ensure;

use super::{
    fixtures::{LONG, MANY_JOBS},
    visit::{Visit, WINDOW},
};
use crate::browser::{Browser, Server};

/// The longest time until a long stream is drawn, and during which the page doesn't react to a person, on an idle machine. Tests run beside others, and
/// may take this many times as long; the benchmark measures.
const DRAWN_MAX: Duration = Duration::from_secs(2);
const BLOCKED_MS_MAX: f64 = 100.0;
const BUSY_FACTOR: u32 = 8;

/// The number of times that the wheel is turned, and by how much.
const TURNS: u32 = 30;
const PIXELS: i32 = 600;

/// True once rows are there.
const RUNS_ARE_DRAWN: &str =
    "document.body.dataset.state === 'ready' && document.querySelectorAll('table#runs tbody tr[data-run]').length > 5";

/// True once something is drawn in the time line.
const TIMELINE_IS_DRAWN: &str = "(element => element && [...element.querySelectorAll('canvas, svg')].some(drawing => drawing.tagName === 'svg' ? drawing.querySelectorAll('path, rect').length > 50 : new Set(new Uint32Array(drawing.getContext('2d').getImageData(0, 0, drawing.width, drawing.height).data.buffer)).size > 3))(document.querySelector('figure[data-chart=timeline] .chart'))";

/// The measured actions of a person who looks at many records.
#[derive(Debug)]
pub struct Felt {
    /// From the address to the view.
    pub drawn: Duration,
    /// The longest time during which the page didn't react while its list was scrolled, in milliseconds; 0 if it is below 50.
    pub blocked_ms: f64,
}

/// Checks both.
pub fn check(browser: &Browser, many: &Server) -> anyhow::Result<()> {
    let visit = Visit { page: browser.page(WINDOW)?, server: many };
    for (what, felt) in [("runs", runs(&visit)?), ("jobs", jobs(&visit)?)] {
        eprintln!("many {what}: {felt:?}");
        ensure!(felt.drawn <= DRAWN_MAX * BUSY_FACTOR, "many {what} are drawn after {:.1} s", felt.drawn.as_secs_f64());
        ensure!(
            felt.blocked_ms <= BLOCKED_MS_MAX * f64::from(BUSY_FACTOR),
            "many {what}: the page doesn't react for {} ms",
            felt.blocked_ms
        );
    }
    Ok(())
}

/// Opens the list of many runs, and scrolls through it.
pub fn runs(visit: &Visit<'_>) -> anyhow::Result<Felt> {
    let drawn = list(visit)?;
    let first = visit.rows()?;
    let blocked_ms = scroll(visit, "div:has(> table#runs)", false)?;
    let last = visit.rows()?;
    ensure!(first[0] != last[0] && last.len() > 5, "scrolling shows no other runs");
    visit.is_calm()?;
    Ok(Felt { drawn, blocked_ms })
}

/// Opens the list of many runs, and returns the time from the address to its rows.
pub fn list(visit: &Visit<'_>) -> anyhow::Result<Duration> {
    visit.page.open(&visit.server.url("/#/runs"))?;
    visit.page.time_until(RUNS_ARE_DRAWN)
}

/// Opens a long stream, looks closer at its time line, and scrolls through its view.
pub fn jobs(visit: &Visit<'_>) -> anyhow::Result<Felt> {
    visit.page.open(&visit.server.url(&format!("/#/streams/{LONG}")))?;
    let drawn = visit.page.time_until(&format!("document.body.dataset.state === 'ready' && {TIMELINE_IS_DRAWN}"))?;
    for chart in visit.charts()? {
        visit.chart(&chart)?;
    }
    let timeline = visit.chart("timeline")?;
    let points: usize = timeline.series.iter().map(|series| series.data.len()).sum();
    ensure!(points > 0 && points < 4 * MANY_JOBS * 4, "the time line has {points} shapes");
    let looking = scroll(visit, "figure[data-chart=timeline] .chart", true)?;
    let blocked_ms = scroll(visit, "div:has(> table#jobs)", false)?.max(looking);
    visit.is_calm()?;
    Ok(Felt { drawn, blocked_ms })
}

/// Turns the wheel many times above an element, with the key that makes it look closer or without, and returns the longest time during which the page
/// didn't react, in milliseconds.
fn scroll(visit: &Visit<'_>, selector: &str, closer: bool) -> anyhow::Result<f64> {
    let place = visit.page.middle(selector)?;
    visit.page.blocked_ms()?;
    for turn in 0..TURNS {
        visit.page.turn_wheel(place, if turn < TURNS * 2 / 3 { PIXELS } else { -PIXELS }, closer)?;
        // Two frames: what the wheel has brought about is drawn.
        visit
            .page
            .value::<serde_json::Value>("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(null))))")?;
    }
    Ok(visit.page.blocked_ms()?.into_iter().fold(0.0, f64::max))
}
