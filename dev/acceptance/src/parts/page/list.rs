//! The list of runs: order, search and filters, which are part of the address.

use anyhow::ensure;
use serde_json::{Value, json};

use super::{fixtures::MANY_RUNS, visit::Visit};
use crate::browser::{Browser, Key, Server};

/// The beginning of what is said of the number of many runs.
const ALL: &str = "2000 runs";

/// Checks it on many runs.
pub fn check(browser: &Browser, many: &Server) -> anyhow::Result<()> {
    let visit = Visit::begin(browser, many, "")?;
    visit.is_at("runs")?;
    let runs: Vec<Value> = visit.api("/runs")?;
    ensure!(runs.len() == MANY_RUNS, "the server lists {} runs", runs.len());
    counts(&visit, ALL)?;
    only_rows_in_sight_exist(&visit)?;
    sorts(&visit, &runs)?;
    searches(&visit, &runs)?;
    filters(&visit, &runs)?;
    opens_a_run_and_comes_back(&visit)?;
    visit.is_calm()
}

fn counts(visit: &Visit<'_>, expected: &str) -> anyhow::Result<()> {
    visit.page.wait(&format!("document.querySelector('p#count').innerText.startsWith({})", json!(expected)))
}

fn only_rows_in_sight_exist(visit: &Visit<'_>) -> anyhow::Result<()> {
    let first = visit.rows()?;
    ensure!((10..400).contains(&first.len()), "{} rows exist at once", first.len());
    Ok(())
}

/// Returns the names of all runs with a value, in ascending order of it.
fn ascending(runs: &[Value], column: &str) -> Vec<f64> {
    let mut values: Vec<f64> = runs.iter().filter_map(|run| run[column].as_f64()).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn sorts(visit: &Visit<'_>, runs: &[Value]) -> anyhow::Result<()> {
    let accuracies = ascending(runs, "accuracy");
    let of = |name: &str| runs.iter().find(|run| run["run"] == name).and_then(|run| run["accuracy"].as_f64());
    for order in ["desc", "asc"] {
        visit.page.click("th button[data-sort=accuracy]")?;
        visit.page.wait("new URLSearchParams(location.hash.split('?')[1]).get('sort') === 'accuracy'")?;
        let is_descending: bool = visit.page.value("new URLSearchParams(location.hash.split('?')[1]).get('order') !== 'asc'")?;
        let shown: Vec<f64> = visit.rows()?.iter().filter_map(|name| of(name)).collect();
        let ends = if is_descending { accuracies.iter().rev().copied().collect::<Vec<_>>() } else { accuracies.clone() };
        ensure!(shown.len() > 5 && shown[..] == ends[..shown.len()], "sorted by accuracy, {order}: {:?}", &shown[..5.min(shown.len())]);
        let said: String = visit.page.value("document.querySelector('th:has(button[data-sort=accuracy])').ariaSort")?;
        ensure!(said == if is_descending { "descending" } else { "ascending" }, "the column says that it is `{said}`");
    }
    let before = (visit.rows()?, visit.fragment()?);
    visit.page.reload()?;
    visit.is_at("runs")?;
    ensure!((visit.rows()?, visit.fragment()?) == before, "a reload changes the order");
    Ok(())
}

fn searches(visit: &Visit<'_>, runs: &[Value]) -> anyhow::Result<()> {
    visit.page.write("input#search", "fedprox-3")?;
    let expected = runs.iter().filter(|run| run["task"] == "fedprox-3").count();
    counts(visit, &format!("{expected} of"))?;
    ensure!(visit.fragment()?.contains("search=fedprox-3"), "the search isn't in the address: {}", visit.fragment()?);
    visit.page.reload()?;
    visit.is_at("runs")?;
    counts(visit, &format!("{expected} of"))?;
    let kept: String = visit.page.value("document.querySelector('input#search').value")?;
    ensure!(kept == "fedprox-3", "after a reload the field has `{kept}`");
    visit.page.write("input#search", "no such run at all")?;
    counts(visit, "0 of")?;
    ensure!(visit.rows()?.is_empty(), "there are rows for a search without results");
    visit.page.write("input#search", "")?;
    counts(visit, ALL)?;
    // A sign that means something else in a pattern.
    visit.page.write("input#search", "(*[")?;
    counts(visit, "0 of")
}

fn filters(visit: &Visit<'_>, runs: &[Value]) -> anyhow::Result<()> {
    for status in ["finished", "failed", "interrupted"] {
        let expected = runs.iter().filter(|run| run["status"] == status).count();
        ensure!(expected > 0, "no run is {status}");
        visit.go(&format!("#/runs?status={status}"))?;
        counts(visit, &format!("{expected} of"))?;
    }
    visit.go("#/runs?set.train.optimizer.learning_rate=0.1&set.federated.strategy.type=SCAFFOLD")?;
    counts(visit, &format!("{} of", MANY_RUNS / 20))?;
    // An address that somebody has broken shows the list nevertheless.
    visit.go("#/runs?sort=nothing&order=sideways&status=never&set.=&%")?;
    visit.is_at("runs")
}

fn opens_a_run_and_comes_back(visit: &Visit<'_>) -> anyhow::Result<()> {
    visit.go("#/runs?search=scaffold&sort=accuracy&order=desc")?;
    let first = visit.rows()?[0].clone();
    visit.page.click(&format!("table#runs tbody tr[data-run={}] a", json!(first)))?;
    visit.is_at("run")?;
    ensure!(visit.text("main h1")?.contains(&first), "the run's view has another title: {}", visit.text("main h1")?);
    visit.page.run("history.back()")?;
    visit.is_at("runs")?;
    ensure!(visit.rows()?[0] == first && visit.fragment()?.contains("search=scaffold"), "the list has forgotten what it showed");
    Ok(())
}

/// Checks that everything can be reached and done by the keyboard alone.
pub fn check_keyboard(browser: &Browser, few: &Server) -> anyhow::Result<()> {
    let visit = Visit::begin(browser, few, "#/runs")?;
    visit.is_at("runs")?;
    let page = &visit.page;
    page.tab_to("input#search", 20)?;
    has_visible_focus(&visit)?;
    for letter in "grid".chars() {
        page.press(Key::Letter(letter))?;
    }
    counts(&visit, "8 of")?;
    page.tab_to("th button[data-sort=accuracy]", 40)?;
    has_visible_focus(&visit)?;
    page.press(Key::Enter)?;
    page.wait("location.hash.includes('sort=accuracy')")?;
    page.wait("document.activeElement?.matches('th button[data-sort=accuracy]')")?;
    page.tab_to("table#runs tbody tr a", 40)?;
    has_visible_focus(&visit)?;
    page.press(Key::Enter)?;
    visit.is_at("run")?;
    for button in ["svg", "png", "csv"] {
        page.tab_to(&format!("figure[data-chart=accuracy] [data-save={button}]"), 60)?;
        has_visible_focus(&visit)?;
    }
    page.press(Key::Enter)?;
    ensure!(page.saved()?.0.ends_with(".csv"), "the key saves something else");
    page.tab_to("figure[data-chart=accuracy] summary", 10)?;
    page.press(Key::Enter)?;
    page.wait("document.querySelector('figure[data-chart=accuracy] details').open")?;
    visit.is_calm()
}

/// Checks that the focus can be seen.
fn has_visible_focus(visit: &Visit<'_>) -> anyhow::Result<()> {
    let ring: bool = visit.page.value(
        "(style => (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1) || style.boxShadow !== 'none')(getComputedStyle(document.activeElement))",
    )?;
    let what: String = visit.page.value("document.activeElement.outerHTML.slice(0, 120)")?;
    ensure!(ring, "the focus can't be seen on {what}");
    Ok(())
}
