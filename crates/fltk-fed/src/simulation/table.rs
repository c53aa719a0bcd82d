//! The files of devices, links and availability, as CSV.

use std::collections::BTreeMap;

use super::{ClientDraw, Micros};

/// The limit on rows of a file.
const ROWS_MAX: usize = 20_000_000;
/// The times in a file of availability: up to ten years.
const SECONDS: (f64, f64) = (0.0, 10.0 * 365.0 * 86_400.0);
/// The shortest period, in seconds.
const PERIOD_MIN: f64 = 1.0;

/// The content of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Table {
    /// No file.
    #[default]
    Nothing,
    /// Rows of numbers.
    Rows {
        /// The numbers of all rows, one row after another.
        values: Vec<f64>,
        /// The length of a row.
        width: usize,
    },
    /// The times in which devices are there.
    Spans {
        /// The times of each device, ascending by its number in the file.
        devices: Vec<DeviceTimes>,
        /// The end of the last of all.
        end: Micros,
    },
}

/// The times in which a device is there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceTimes {
    /// The beginning and the end of each, ascending and apart from each other.
    pub spans: Vec<(Micros, Micros)>,
    /// The time after which they begin anew; `None` if the file doesn't say so.
    pub period: Option<Micros>,
}

/// The function that reads the text of a file.
pub type ReadTable = fn(&str) -> Result<Table, TraceError>;

/// The reason why a file can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct TraceError {
    /// The line, from 1.
    pub line: u64,
    /// The problem with it.
    pub problem: String,
}

impl Table {
    /// Returns the row of a client; nothing if there is none.
    pub(super) fn row(&self, client: &ClientDraw<'_>) -> &[f64] {
        let Self::Rows { values, width } = self else { return &[] };
        let start = client.row(values.len() / width) * width;
        values.get(start..start + width).unwrap_or(&[])
    }

    /// Reads rows with these columns of numbers, each with the smallest and the largest: first those that must be there, then those that are 0 if they
    /// aren't.
    pub(super) fn rows(text: &str, required: &[(&str, f64, f64)], optional: &[(&str, f64, f64)]) -> Result<Self, TraceError> {
        let (mut reader, header) = open(text)?;
        let mut places = Vec::new();
        for (name, min, max) in required {
            places.push((Some(place(&header, name)?), *name, (*min, *max)));
        }
        places.extend(optional.iter().map(|(name, min, max)| (place(&header, name).ok(), *name, (*min, *max))));
        let mut values = Vec::new();
        let mut record = csv::StringRecord::new();
        let mut num_rows = 0;
        while read(&mut reader, &mut record, &mut num_rows)? {
            for (at, name, range) in &places {
                values.push(at.map_or(Ok(0.0), |at| number(&record, at, name, *range))?);
            }
        }
        if values.is_empty() {
            return Err(TraceError { line: 1, problem: "there is no row after the header".to_owned() });
        }
        Ok(Self::Rows { values, width: places.len() })
    }

    /// Reads the times in which devices are there.
    pub(super) fn spans(text: &str) -> Result<Self, TraceError> {
        let (mut reader, header) = open(text)?;
        let [device, from, to] = ["device", "from_s", "to_s"].map(|name| place(&header, name));
        let (device, from, to, period) = (device?, from?, to?, place(&header, "period_s").ok());
        let mut devices: BTreeMap<u64, DeviceTimes> = BTreeMap::new();
        let mut record = csv::StringRecord::new();
        let mut num_rows = 0;
        while read(&mut reader, &mut record, &mut num_rows)? {
            let line = line(&record);
            let shown = || record.get(device).unwrap_or_default().chars().take(40).collect::<String>();
            let number_of = record.get(device).and_then(|text| text.trim().parse().ok());
            let number_of: u64 = number_of
                .ok_or_else(|| TraceError { line, problem: format!("`device` is `{}`, and should be a whole number", shown()) })?;
            let (from, to) = (number(&record, from, "from_s", SECONDS)?, number(&record, to, "to_s", SECONDS)?);
            let span = (Micros::from_millis(from * 1000.0), Micros::from_millis(to * 1000.0));
            if span.0 >= span.1 {
                return Err(TraceError { line, problem: format!("the time from {from} s to {to} s has no length") });
            }
            let period = period.map(|at| number(&record, at, "period_s", (PERIOD_MIN, SECONDS.1))).transpose()?;
            if let Some(period) = period.filter(|period| from >= *period) {
                let problem = format!(
                    "the time from {from} s on never comes: `period_s` is {period}, after which the times of the device begin anew"
                );
                return Err(TraceError { line, problem });
            }
            let period = period.map(|seconds| Micros::from_millis(seconds * 1000.0));
            let of_device = devices.entry(number_of).or_default();
            if !of_device.spans.is_empty() && of_device.period != period {
                return Err(TraceError { line, problem: format!("`period_s` isn't that of an earlier row of device {number_of}") });
            }
            of_device.period = period;
            of_device.spans.push(span);
        }
        let joined = |times: DeviceTimes| DeviceTimes { spans: joined(times.spans), ..times };
        let devices: Vec<DeviceTimes> = devices.into_values().map(joined).collect();
        let end = devices.iter().flat_map(|times| &times.spans).map(|(_, to)| *to).max();
        let end = end.ok_or_else(|| TraceError { line: 1, problem: "there is no row after the header".to_owned() })?;
        Ok(Self::Spans { devices, end })
    }
}

/// Returns spans ascending, with those that touch or overlap as one.
fn joined(mut spans: Vec<(Micros, Micros)>) -> Vec<(Micros, Micros)> {
    spans.sort_unstable();
    let mut found: Vec<(Micros, Micros)> = Vec::with_capacity(spans.len());
    for (from, to) in spans {
        match found.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            _ => found.push((from, to)),
        }
    }
    found
}

fn open(text: &str) -> Result<(csv::Reader<&[u8]>, csv::StringRecord), TraceError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| wrong(&error))?.clone();
    Ok((reader, header))
}

/// Reads the next row; returns false at the end.
fn read(reader: &mut csv::Reader<&[u8]>, record: &mut csv::StringRecord, num_rows: &mut usize) -> Result<bool, TraceError> {
    *num_rows += 1;
    if *num_rows > ROWS_MAX {
        return Err(TraceError { line: line(record), problem: format!("there are more than {ROWS_MAX} rows") });
    }
    reader.read_record(record).map_err(|error| wrong(&error))
}

fn wrong(error: &csv::Error) -> TraceError {
    let line = error.position().map_or(1, csv::Position::line);
    let problem = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => format!("there are {len} columns, and the header has {expected_len}"),
        _ => error.to_string(),
    };
    TraceError { line, problem }
}

fn line(record: &csv::StringRecord) -> u64 {
    record.position().map_or(1, csv::Position::line)
}

/// Returns the place of a column.
fn place(header: &csv::StringRecord, name: &str) -> Result<usize, TraceError> {
    header.iter().position(|column| column == name).ok_or_else(|| {
        let columns: String = header.iter().collect::<Vec<_>>().join(", ").chars().take(100).collect();
        TraceError { line: 1, problem: format!("there is no column `{name}`: the header has {columns}") }
    })
}

fn number(record: &csv::StringRecord, at: usize, name: &str, (min, max): (f64, f64)) -> Result<f64, TraceError> {
    let text = record.get(at).unwrap_or_default();
    let value: Option<f64> = text.parse().ok();
    value.filter(|value| (min..=max).contains(value)).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        TraceError { line: line(record), problem: format!("`{name}` is `{shown}`, and should be a number from {min} to {max}") }
    })
}
