//! Traces: recorded arrivals to replay, as CSV or JSON.
//!
//! ```text
//! time,class,priority        [{ "time": "0s", "class": "small" },
//! 0,small,                    { "time": 12.5, "class": "large", "priority": 0 }]
//! 12.5,large,0
//! ```
//!
//! A time is a number of seconds since the stream began, or a duration with its unit; a class is a task's name; a priority may be left out.

use serde::Deserialize;

use crate::experiment::Duration;

/// One arrival of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceEntry {
    /// When, since the stream began.
    pub at: Duration,
    /// The task's name.
    pub class: String,
    /// `None`: drawn from the task's priorities.
    pub priority: Option<i32>,
    /// Where it was written, for errors: `trace.csv:3`.
    pub place: String,
}

/// A trace that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}\nhint: a trace is CSV with the columns time, class and priority, or a JSON list of objects with these keys")]
pub struct TraceError {
    /// File and, where it's about one, the line or entry.
    pub place: String,
    /// What is wrong.
    pub problem: String,
}

/// Seconds, or a duration.
#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Seconds(f64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonEntry {
    time: Time,
    class: String,
    #[serde(default)]
    priority: Option<i32>,
}

/// The entries of the trace in `text`, in its order. It is JSON if it begins with `[`, else CSV. `file` is what errors call it.
///
/// # Errors
/// [`TraceError`], with the line or entry.
pub fn read_trace(file: &str, text: &str) -> Result<Vec<TraceEntry>, TraceError> {
    if text.trim_start().starts_with('[') { read_json(file, text) } else { read_csv(file, text) }
}

fn read_json(file: &str, text: &str) -> Result<Vec<TraceEntry>, TraceError> {
    let entries: Vec<JsonEntry> = serde_json::from_str(text).map_err(|error| {
        let place = format!("{file}:{}", error.line());
        TraceError { place, problem: error.to_string() }
    })?;
    let read = |(number, entry): (usize, JsonEntry)| {
        let place = format!("{file}: entry {number}");
        let at = time(&entry.time).map_err(|problem| TraceError { place: place.clone(), problem })?;
        Ok(TraceEntry { at, class: entry.class, priority: entry.priority, place })
    };
    (1..).zip(entries).map(read).collect()
}

fn read_csv(file: &str, text: &str) -> Result<Vec<TraceEntry>, TraceError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).flexible(true).from_reader(text.as_bytes());
    let refuse = |line: u64, problem: String| TraceError { place: format!("{file}:{line}"), problem };
    let header = reader.headers().map_err(|error| refuse(1, error.to_string()))?.clone();
    let column = |name: &str| header.iter().position(|column| column.eq_ignore_ascii_case(name));
    let (Some(time_column), Some(class_column)) = (column("time"), column("class")) else {
        return Err(refuse(1, format!("its first line has no columns `time` and `class`, but {}", quoted(&header))));
    };
    let priority_column = column("priority");
    let mut entries = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| refuse(error.position().map_or(1, csv::Position::line), error.to_string()))?;
        let line = record.position().map_or(1, csv::Position::line);
        let field = |column: usize| record.get(column).unwrap_or_default();
        let text = field(time_column);
        let parsed = text.parse().map_or_else(|_| Time::Text(text.to_owned()), Time::Seconds);
        let at = time(&parsed).map_err(|problem| refuse(line, problem))?;
        let class = field(class_column).to_owned();
        if class.is_empty() {
            return Err(refuse(line, "it names no class".to_owned()));
        }
        let priority = match priority_column.map_or("", field) {
            "" => None,
            text => Some(text.parse().map_err(|_| refuse(line, format!("the priority `{text}` is no whole number")))?),
        };
        entries.push(TraceEntry { at, class, priority, place: format!("{file}:{line}") });
    }
    Ok(entries)
}

fn quoted(header: &csv::StringRecord) -> String {
    header.iter().take(10).map(|column| format!("`{}`", column.escape_debug())).collect::<Vec<_>>().join(", ")
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounds are checked before")]
fn time(time: &Time) -> Result<Duration, String> {
    /// As durations have it: ten years of 365 days.
    const SECONDS_MAX: f64 = 10.0 * 365.0 * 86_400.0;
    match time {
        Time::Seconds(seconds) if (0.0..=SECONDS_MAX).contains(seconds) => Ok(Duration::from_millis((seconds * 1000.0).round() as u64)),
        Time::Seconds(seconds) => Err(format!("the time {seconds} isn't between 0 s and ten years")),
        Time::Text(text) => text.parse().map_err(|error| format!("the time `{}` can't be read: {error}", text.escape_debug())),
    }
}
