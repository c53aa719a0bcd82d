//! Traces: recorded arrivals to replay, as CSV or JSON.
//!
//! ```text
//! time,class,priority        [{ "time": "0s", "class": "small" },
//! 0,small,                    { "time": 12.5, "class": "large", "priority": 0 }]
//! 12.5,large,0
//! ```
//!
//! A time is a number of seconds since the stream began, or a duration with its unit; a class is a task's name; a priority may be left out. A whole number
//! may be written as a float (`1.0`), as tools do for a column of integers with missing values. Other columns of a CSV file are ignored.

mod lines;

use serde::Deserialize;

use self::lines::Lines;

use crate::experiment::Duration;

/// The first byte of a comment line in a CSV file.
const COMMENT: u8 = b'#';

/// One arrival of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceEntry {
    /// The time since the stream began.
    pub at: Duration,
    /// The task's name.
    pub class: String,
    /// The priority; `None` to draw it from the task's priorities.
    pub priority: Option<i32>,
    /// The place in the file, for errors: `trace.csv:3`.
    pub place: String,
}

/// A trace that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}\nhint: a trace is CSV with the columns time, class and priority, or a JSON list of objects with these keys")]
pub struct TraceError {
    /// The file and, if the error is about one, the line or entry.
    pub place: String,
    /// The problem.
    pub problem: String,
}

/// A time in seconds, or as a duration with its unit.
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
    /// The priority as a float, which holds every `i32` exactly.
    #[serde(default)]
    priority: Option<f64>,
}

/// Returns the entries of the trace in `text`, in their order. The text is JSON if it begins with `[` or `{`, otherwise CSV; a byte order mark before that
/// is ignored. `file` is the name of the file in errors.
///
/// # Errors
/// [`TraceError`], with the line or entry.
pub fn read_trace(file: &str, text: &str) -> Result<Vec<TraceEntry>, TraceError> {
    // A trace that an older version copied into a stream's folder may still have a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with(['[', '{']) { read_json(file, text) } else { read_csv(file, text) }
}

fn read_json(file: &str, text: &str) -> Result<Vec<TraceEntry>, TraceError> {
    let entries: Vec<JsonEntry> = serde_json::from_str(text).map_err(|error| {
        let place = format!("{file}:{}", error.line());
        TraceError { place, problem: error.to_string() }
    })?;
    let read = |(number, entry): (usize, JsonEntry)| {
        let place = format!("{file}: entry {number}");
        let refuse = |problem| TraceError { place: place.clone(), problem };
        let at = time(&entry.time).map_err(refuse)?;
        let priority = entry.priority.map(|number| priority(number, &number.to_string()).map_err(refuse)).transpose()?;
        Ok(TraceEntry { at, class: entry.class, priority, place })
    };
    (1..).zip(entries).map(read).collect()
}

fn read_csv(file: &str, text: &str) -> Result<Vec<TraceEntry>, TraceError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(COMMENT)).flexible(true).from_reader(text.as_bytes());
    let mut lines = Lines::of(text, COMMENT);
    let refuse = |line: u64, problem: String| TraceError { place: format!("{file}:{line}"), problem };
    let header = reader.headers().map_err(|error| refuse(1, error.to_string()))?.clone();
    let header_line = lines.of_record_at(0);
    let columns = Columns::of(&header).map_err(|problem| refuse(header_line, problem))?;
    let mut entries = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| refuse(error.position().map_or(1, csv::Position::line), error.to_string()))?;
        // A line of only white space.
        if record.len() == 1 && record[0].is_empty() && header.len() > 1 {
            continue;
        }
        let line = lines.of_record_at(record.position().map_or(0, csv::Position::byte));
        let (at, class, priority) = columns.read(&record).map_err(|problem| refuse(line, problem))?;
        entries.push(TraceEntry { at, class, priority, place: format!("{file}:{line}") });
    }
    Ok(entries)
}

/// The positions of the columns that are read in a record of a CSV file.
struct Columns {
    num: usize,
    time: usize,
    class: usize,
    priority: Option<usize>,
}

impl Columns {
    fn of(header: &csv::StringRecord) -> Result<Self, String> {
        let column = |name: &str| {
            let mut places = header.iter().enumerate().filter(|(_, column)| column.eq_ignore_ascii_case(name)).map(|(place, _)| place);
            match (places.next(), places.next()) {
                (_, Some(second)) => Err(format!("it has the column `{name}` twice, the second time as its column {}", second + 1)),
                (first, None) => Ok(first),
            }
        };
        match (column("time")?, column("class")?, column("priority")?) {
            (Some(time), Some(class), priority) => Ok(Self { num: header.len(), time, class, priority }),
            _ => Err(format!("its first line has no columns `time` and `class`, but {}", quoted(header))),
        }
    }

    fn read(&self, record: &csv::StringRecord) -> Result<(Duration, String, Option<i32>), String> {
        if record.len() > self.num {
            return Err(format!("it has {} fields, and there are {} columns", record.len(), self.num));
        }
        let field = |column: usize| record.get(column).unwrap_or_default();
        let text = field(self.time);
        let at = time(&text.parse().map_or_else(|_| Time::Text(text.to_owned()), Time::Seconds))?;
        let class = field(self.class).to_owned();
        if class.is_empty() {
            return Err("it names no class".to_owned());
        }
        let priority = match self.priority.map_or("", field) {
            "" => None,
            text => Some(priority(text.parse().unwrap_or(f64::NAN), text)?),
        };
        Ok((at, class, priority))
    }
}

/// Returns the priority `number`, which is written as `text` in the file.
#[expect(clippy::cast_possible_truncation, reason = "bounds are checked before")]
fn priority(number: f64, text: &str) -> Result<i32, String> {
    let text = text.escape_debug();
    if number.fract() != 0.0 {
        return Err(format!("the priority `{text}` isn't a whole number"));
    }
    if !(f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number) {
        return Err(format!("the priority `{text}` isn't between {} and {}", i32::MIN, i32::MAX));
    }
    Ok(number as i32)
}

fn quoted(header: &csv::StringRecord) -> String {
    header.iter().take(10).map(|column| format!("`{}`", column.escape_debug())).collect::<Vec<_>>().join(", ")
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounds are checked before")]
fn time(time: &Time) -> Result<Duration, String> {
    /// The longest duration: ten years of 365 days.
    const SECONDS_MAX: f64 = 10.0 * 365.0 * 86_400.0;
    match time {
        Time::Seconds(seconds) if (0.0..=SECONDS_MAX).contains(seconds) => Ok(Duration::from_millis((seconds * 1000.0).round() as u64)),
        Time::Seconds(seconds) => Err(format!("the time {seconds} isn't between 0 s and ten years")),
        Time::Text(text) => text.parse().map_err(|error| format!("the time `{}` can't be read: {error}", text.escape_debug())),
    }
}
