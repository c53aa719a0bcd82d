//! Every chart of every view: what is drawn is what the server says, and so is the table behind it.

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::visit::{Chart, Table, Visit};
use crate::browser::{Browser, Server};

/// Checks the views of runs, of a comparison, and of a stream.
pub fn check(browser: &Browser, few: &Server) -> anyhow::Result<()> {
    let visit = Visit::begin(browser, few, "#/runs")?;
    visit.is_at("runs")?;
    let runs: Vec<Value> = visit.api("/runs")?;
    let names = |part: &str| runs.iter().filter_map(|run| run["run"].as_str()).filter(|name| name.starts_with(part)).collect::<Vec<_>>();
    run(&visit, names("grid-")[0], &["accuracy", "loss", "clients", "partition", "confusion"])?;
    run(&visit, names("central-")[0], &["accuracy", "loss", "confusion"])?;
    run(&visit, names("nodes-")[0], &["accuracy", "loss", "clients", "partition", "confusion", "nodes"])?;
    comparison(&visit, &names("grid-"))?;
    stream(&visit)?;
    visit.is_calm()
}

/// Checks the view of one run, which has at least `charts`.
fn run(visit: &Visit<'_>, name: &str, charts: &[&str]) -> anyhow::Result<()> {
    visit.go(&format!("#/runs/{name}"))?;
    visit.is_at("run")?;
    // What clients did comes after the rest.
    if charts.contains(&"clients") {
        visit.page.wait("document.querySelector('main').dataset.clients === 'drawn'")?;
    }
    let there = visit.charts()?;
    ensure!(charts.iter().all(|chart| there.iter().any(|there| there == chart)), "`{name}` has the charts {there:?}, not {charts:?}");
    let report: Value = visit.api(&format!("/runs/{name}"))?;
    let rows = report["rows"].as_array().context("a run without rows")?;
    for chart in &there {
        let expected = match chart.as_str() {
            "accuracy" | "loss" => Some(rows.iter().filter(|row| measured(row, chart).is_some()).count()),
            "confusion" => Some(100),
            _ => None,
        };
        let drawn = visit.chart(chart)?;
        ensure!(drawn.drawn > 0, "`{name}`: the chart `{chart}` is empty");
        let first = drawn.series.first().with_context(|| format!("`{name}`: the chart `{chart}` has no series"))?;
        let num_points = first.data.iter().filter(|point| !point.is_null()).count();
        ensure!(num_points > 0, "`{name}`: the chart `{chart}` has no points");
        ensure!(
            expected.is_none_or(|expected| expected == num_points),
            "`{name}`: the chart `{chart}` has {num_points} points, not {expected:?}"
        );
        let table = visit.table_of(chart)?;
        match chart.as_str() {
            "confusion" => confusion(&drawn, &table, rows),
            "nodes" => equal("nodes", table.rows.len(), report["nodes"].as_array().map_or(0, Vec::len)),
            "partition" => equal("clients", table.rows.len(), report["partition"]["clients"].as_array().map_or(0, Vec::len)),
            _ => Ok(()),
        }
        .and_then(|()| if chart == "confusion" { Ok(()) } else { same(&drawn, &table) })
        .with_context(|| format!("`{name}`: the chart `{chart}`"))?;
    }
    let num_classes = visit.table("table#classes")?.rows.len();
    equal("classes", num_classes, report["classes"].as_array().map_or(0, Vec::len))?;
    let last = rows.iter().rev().find_map(|row| measured(row, "accuracy"));
    let accuracy = visit.chart("accuracy")?;
    let drawn = accuracy.series[0].data.iter().rev().find_map(|point| value(point, "line"));
    ensure!(close(drawn, last), "`{name}`: the last accuracy is drawn as {drawn:?}, not {last:?}");
    Ok(())
}

/// Checks the view that compares runs.
fn comparison(visit: &Visit<'_>, runs: &[&str]) -> anyhow::Result<()> {
    let query = runs.iter().map(|run| format!("run={run}")).collect::<Vec<_>>().join("&");
    visit.go(&format!("#/compare?{query}"))?;
    visit.is_at("compare")?;
    let compared: Value = visit.api(&format!("/compare?{query}"))?;
    let num_groups = compared["groups"].as_array().map_or(0, Vec::len);
    equal("groups", num_groups, 4)?;
    let there = visit.charts()?;
    for chart in ["compared", "factors", "final"] {
        ensure!(there.iter().any(|there| there == chart), "the comparison has the charts {there:?}");
    }
    for chart in &there {
        let drawn = visit.chart(chart)?;
        same(&drawn, &visit.table_of(chart)?).with_context(|| format!("the chart `{chart}` of the comparison"))?;
    }
    let drawn = visit.chart("compared")?;
    let num_lines = drawn.series.iter().filter(|series| series.kind == "line" && !series.name.is_empty()).count();
    equal("lines", num_lines, num_groups)?;
    // Every run by itself.
    let query = format!("{query}&lines=runs&figure=loss");
    visit.go(&format!("#/compare?{query}"))?;
    visit.is_at("compare")?;
    let drawn = visit.chart("compared")?;
    equal("lines", drawn.series.iter().filter(|series| series.kind == "line").count(), runs.len())?;
    let final_means = visit.table_of("final")?;
    for group in compared["groups"].as_array().into_iter().flatten() {
        let mean = group["accuracy"]["mean"].as_f64().context("a group without an accuracy")?;
        ensure!(
            final_means.rows.iter().flatten().flat_map(|cell| numbers(cell)).any(|number| is_shown(mean, number)),
            "the final accuracy {mean} isn't in the table"
        );
    }
    let tests = compared["tests"].as_array().map_or(0, Vec::len);
    equal("tests", visit.table("table#tests")?.rows.len(), tests)?;
    equal("groups in the table", visit.table("table#groups")?.rows.len(), num_groups)
}

/// Checks the view of the only stream.
fn stream(visit: &Visit<'_>) -> anyhow::Result<()> {
    visit.go("#/streams")?;
    visit.is_at("streams")?;
    let streams: Vec<Value> = visit.api("/streams")?;
    let name = streams.first().and_then(|stream| stream["stream"].as_str()).context("there is no stream")?;
    ensure!(visit.text("main")?.contains(name), "the list of streams doesn't show `{name}`");
    visit.page.click(&format!("main a[href$=\"{name}\"]"))?;
    visit.is_at("stream")?;
    let timeline: Value = visit.api(&format!("/streams/{name}/timeline"))?;
    let jobs = timeline["jobs"].as_array().context("a stream without jobs")?;
    ensure!(jobs.len() == 3, "the server lists {} jobs", jobs.len());
    let there = visit.charts()?;
    for chart in ["timeline", "queue", "utilization"] {
        ensure!(there.iter().any(|there| there == chart), "the stream has the charts {there:?}");
        visit.chart(chart)?;
        let table = visit.table_of(chart)?;
        ensure!(!table.rows.is_empty(), "the table behind `{chart}` is empty");
        if chart == "timeline" {
            let shown = |job: &Value| job["job"].as_str().is_some_and(|job| table.rows.iter().flatten().any(|cell| cell.contains(job)));
            ensure!(jobs.iter().all(shown), "the table behind the time line lacks a job: {table:?}");
        }
    }
    Ok(())
}

/// Returns a figure of a row, wherever it is.
fn measured(row: &Value, figure: &str) -> Option<f64> {
    row[figure].as_f64().or(row["test"][figure].as_f64())
}

/// Returns the figure of a point: the third number of a heat map's, otherwise the last.
fn value(point: &Value, kind: &str) -> Option<f64> {
    match point {
        Value::Object(fields) => value(fields.get("value")?, kind),
        Value::Array(parts) if kind == "heatmap" => parts.get(2)?.as_f64(),
        Value::Array(parts) => parts.last()?.as_f64(),
        other => other.as_f64(),
    }
}

/// Checks that a confusion matrix is drawn as shares of each row of the last one, and its table has its counts.
fn confusion(chart: &Chart, table: &Table, rows: &[Value]) -> anyhow::Result<()> {
    let last = rows.iter().rev().find(|row| row["test"]["confusion"].is_array()).context("no row with a confusion matrix")?;
    let counts: Vec<Vec<f64>> = serde_json::from_value(last["test"]["confusion"].clone())?;
    for point in &chart.series[0].data {
        let cell: Vec<usize> = point.as_array().into_iter().flatten().take(2).filter_map(|at| at.as_u64()).map(|at| at as usize).collect();
        let [column, line] = cell[..] else { anyhow::bail!("a cell without a place: {point}") };
        let share = counts[line][column] / counts[line].iter().sum::<f64>().max(1.0);
        ensure!(value(point, "heatmap").is_some_and(|drawn| (drawn - share).abs() < 1e-9), "the cell {point} isn't {share}");
    }
    for (line, cells) in counts.iter().zip(&table.rows) {
        let shown: Vec<f64> = cells[1..].iter().flat_map(|cell| numbers(cell)).map(|(number, _)| number).collect();
        ensure!(*line == shown, "the table has {shown:?}, not {line:?}");
    }
    Ok(())
}

/// Checks that every figure that is drawn as a line, a bar or a cell is in the table, as exactly as the table shows it.
fn same(chart: &Chart, table: &Table) -> anyhow::Result<()> {
    let cells: Vec<(f64, f64)> = table.rows.iter().flatten().flat_map(|cell| numbers(cell)).collect();
    for series in chart.series.iter().filter(|series| ["line", "bar", "heatmap"].contains(&series.kind.as_str())) {
        for figure in series.data.iter().filter_map(|point| value(point, &series.kind)) {
            let is_there = cells.iter().any(|cell| is_shown(figure, *cell));
            ensure!(is_there, "{figure} of the series `{}` isn't in the table {:?} {:?}", series.name, table.head, table.rows.first());
        }
    }
    Ok(())
}

/// True if a number, with the value of its last digit, is what `figure` is when it is rounded.
fn is_shown(figure: f64, (number, unit): (f64, f64)) -> bool {
    (number - figure).abs() <= unit * 0.5001
}

fn equal(what: &str, shown: usize, expected: usize) -> anyhow::Result<()> {
    ensure!(shown == expected, "{what}: {shown}, not {expected}");
    Ok(())
}

/// Returns the numbers in a cell, each with the value of its last digit.
fn numbers(cell: &str) -> Vec<(f64, f64)> {
    let plain = cell.replace('\u{2212}', "-").replace([',', '\u{a0}', '\u{202f}', '\u{2009}'], "");
    let words =
        plain.split(|c: char| !(c.is_ascii_digit() || ".-eE+".contains(c))).filter(|word| word.contains(|c: char| c.is_ascii_digit()));
    let number = |word: &str| {
        let (digits, exponent) = word.split_once(['e', 'E']).unwrap_or((word, "0"));
        let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let unit = 10f64.powi(i32::try_from(decimals).ok()?.checked_neg()?.checked_add(exponent.parse().ok()?)?);
        Some((word.parse().ok()?, unit))
    };
    words.filter_map(number).collect()
}

fn close(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() < 1e-9,
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_with_the_value_of_their_last_digit() {
        for (cell, expected) in [
            ("0.75", vec![(0.75, 0.01)]),
            ("81.2 %", vec![(81.2, 0.1)]),
            ("1,234", vec![(1234.0, 1.0)]),
            ("\u{2212}1.5e-3 to 2", vec![(-0.0015, 0.0001), (2.0, 1.0)]),
            ("client a-b", vec![]),
        ] {
            let found = numbers(cell);
            let is_close = found.len() == expected.len()
                && found.iter().zip(&expected).all(|(found, expected)| (found.0 - expected.0).abs() + (found.1 - expected.1).abs() < 1e-9);
            assert!(is_close, "{cell}: {found:?}");
        }
    }

    #[test]
    fn figures_that_the_table_lacks_are_found() {
        let chart: Chart = serde_json::from_str(
            r#"{"series":[{"type":"line","name":"a","data":[[1,0.123456],{"value":[2,0.5]},null]}],"drawn":1,"width":1,"height":1,"caption":"a"}"#,
        )
        .unwrap();
        let table =
            |cell: &str| Table { head: vec!["a".to_owned()], rows: vec![vec!["1".to_owned(), cell.to_owned()], vec!["0.50".to_owned()]] };
        assert!(same(&chart, &table("0.1235")).is_ok());
        assert!(same(&chart, &table("0.13")).is_err());
    }
}
