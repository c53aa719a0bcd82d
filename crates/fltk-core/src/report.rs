//! Figures that a program of the user's prints: lines of the form `fltk: {"epoch": 3, "accuracy": 0.91}`.
//!
//! A line begins with [`PREFIX`]; one JSON object of names and finite numbers follows. `round`, `epoch` and `step` are whole numbers that say when. A program
//! needs no library to print one, and `fltk.report(epoch=3, accuracy=0.91)` in Python prints exactly this line.
//!
//! ```text
//! line ── parse ──> Report ── Reports::take ──> Reported, once all lines of a step are there
//! ```
//!
//! Not for: reading a program's output, which is the caller's.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// The beginning of a line with figures.
pub const PREFIX: &str = "fltk: ";
/// The limit on bytes of a line: a hundred figures with long names.
pub const LINE_BYTES_MAX: usize = 16 << 10;
/// The limit on figures of a step: each is a curve, and nobody looks at more.
const FIGURES_MAX: usize = 100;
/// The limit on characters of a figure's name, so that tables stay readable.
const NAME_CHARS_MAX: usize = 64;
/// The limit on steps of a run. The journal of so many has some ten megabytes, and each start of the run reads it.
pub const STEPS_MAX: usize = 100_000;

/// The unit in which a program says when its figures were measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepUnit {
    /// Rounds.
    Round,
    /// Epochs.
    Epoch,
    /// Steps, of whatever kind.
    Step,
}

impl StepUnit {
    /// All units, the coarsest first: a line that has several of them counts by the first, unless its run counts by another.
    const ALL: [Self; 3] = [Self::Round, Self::Epoch, Self::Step];

    /// Returns the name, which is also that in lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Round => "round",
            Self::Epoch => "epoch",
            Self::Step => "step",
        }
    }
}

/// The figures of one line.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The places at which it says that they were measured; empty if it says nothing.
    at: BTreeMap<StepUnit, u32>,
    /// The figures by name.
    figures: BTreeMap<String, f64>,
}

/// The figures of a step, complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Reported {
    /// The unit of the step.
    pub unit: StepUnit,
    /// The step.
    pub step: u32,
    /// The figures by name, all finite.
    pub figures: BTreeMap<String, f64>,
}

/// The reason why a line isn't recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The line is too long.
    #[error("it is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// The text after the prefix isn't a JSON object of numbers.
    #[error("it isn't one JSON object of names and finite numbers")]
    NotFigures,
    /// A whole number isn't one.
    #[error("`{0}` isn't a whole number from 0 to {max}", max = u32::MAX)]
    NotWhole(&'static str),
    /// A name is unusable.
    #[error("a name of a figure has 1 to {NAME_CHARS_MAX} letters, digits, `_`, `-`, `.` and `/`")]
    Name,
    /// There are too many figures.
    #[error("a step has more than {FIGURES_MAX} figures")]
    TooMany,
    /// The run counts by another unit.
    #[error("it says no `{unit}`, by which the lines before it count", unit = .0.name())]
    OtherUnit(StepUnit),
    /// The run has too many steps.
    #[error("the run has figures of {STEPS_MAX} steps already")]
    TooManySteps,
}

/// Reads `line`, which is without its newline; `None` if it isn't one with figures.
///
/// # Errors
/// If it begins as one, and isn't.
pub fn parse(line: &str) -> Option<Result<Report, ReportError>> {
    line.strip_prefix(PREFIX).map(read)
}

fn read(text: &str) -> Result<Report, ReportError> {
    if text.len() > LINE_BYTES_MAX {
        return Err(ReportError::TooLong);
    }
    let object: BTreeMap<String, serde_json::Number> = serde_json::from_str(text).map_err(|_| ReportError::NotFigures)?;
    let mut report = Report { at: BTreeMap::new(), figures: BTreeMap::new() };
    for (name, number) in object {
        let value = number.as_f64().filter(|value| value.is_finite()).ok_or(ReportError::NotFigures)?;
        if let Some(unit) = StepUnit::ALL.into_iter().find(|unit| unit.name() == name) {
            report.at.insert(unit, whole(value).ok_or(ReportError::NotWhole(unit.name()))?);
            continue;
        }
        let is_name = !name.is_empty()
            && name.len() <= NAME_CHARS_MAX
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/'));
        if !is_name {
            return Err(ReportError::Name);
        }
        report.figures.insert(name, value);
    }
    if report.figures.len() > FIGURES_MAX { Err(ReportError::TooMany) } else { Ok(report) }
}

/// Returns the whole number that `value` is, if it is one that a step can have.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounds are checked before")]
fn whole(value: f64) -> Option<u32> {
    (value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value)).then_some(value as u32)
}

/// The reports of a run, in order: several lines of one step are put together, and a step is given out once a line of another one comes.
#[derive(Clone, Debug, Default)]
pub struct Reports {
    /// The unit by which the run counts, once a line has said one.
    unit: Option<StepUnit>,
    /// The step that is being collected; 0 before any line says one.
    step: u32,
    figures: BTreeMap<String, f64>,
    num_steps: usize,
}

impl Reports {
    /// Creates the reports of a run that goes on, which counts by `unit` and has figures of `num_steps` steps, the last of them `step`.
    #[must_use]
    pub fn going_on(unit: Option<StepUnit>, step: u32, num_steps: usize) -> Self {
        Self { unit, step, figures: BTreeMap::new(), num_steps }
    }

    /// Takes the report of the next line; returns the step before it, if this is of another. A line that doesn't say when belongs to the step of the line
    /// before it; those before any that says so belong to step 0.
    ///
    /// # Errors
    /// If it can't be part of the run; nothing has changed then.
    pub fn take(&mut self, report: Report) -> Result<Option<Reported>, ReportError> {
        let Report { at, mut figures } = report;
        let unit = self.unit.or_else(|| at.keys().next().copied());
        let step = match unit {
            Some(unit) if !at.is_empty() => *at.get(&unit).ok_or(ReportError::OtherUnit(unit))?,
            Some(_) | None => self.step,
        };
        // Finer places within the step are figures like others.
        figures.extend(at.iter().filter(|(other, _)| unit != Some(**other)).map(|(other, at)| (other.name().to_owned(), f64::from(*at))));
        // What came before any line said a unit is of that unit's step 0.
        let is_same = step == self.step;
        let is_first = !self.has_open();
        let num_new = figures.keys().filter(|name| !self.figures.contains_key(*name)).count();
        if is_same && self.figures.len() + num_new > FIGURES_MAX {
            return Err(ReportError::TooMany);
        }
        if (is_first || !is_same) && self.num_steps >= STEPS_MAX && !figures.is_empty() {
            return Err(ReportError::TooManySteps);
        }
        self.unit = unit;
        let before = if is_same { None } else { self.flush() };
        self.step = step;
        if self.figures.is_empty() && !figures.is_empty() {
            self.num_steps += 1;
        }
        self.figures.extend(figures);
        Ok(before)
    }

    /// Returns true if figures wait for further lines of their step.
    #[must_use]
    pub fn has_open(&self) -> bool {
        !self.figures.is_empty()
    }

    /// Returns true once a line has said a unit: figures before it are of step 0 of a unit that isn't known yet.
    #[must_use]
    pub const fn has_unit(&self) -> bool {
        self.unit.is_some()
    }

    /// Returns the figures that wait for further lines, if there are some: they have waited long enough, or there are no further lines.
    pub fn flush(&mut self) -> Option<Reported> {
        let figures = std::mem::take(&mut self.figures);
        (!figures.is_empty()).then(|| Reported { unit: self.unit.unwrap_or(StepUnit::Step), step: self.step, figures })
    }
}

impl fmt::Display for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.unit.name(), self.step)?;
        self.figures.iter().try_for_each(|(name, value)| write!(f, "  {name} {value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds lines; returns the steps that come out, and the errors.
    fn fed(lines: &[&str]) -> (Vec<String>, Vec<ReportError>) {
        let (mut reports, mut out, mut errors) = (Reports::default(), Vec::new(), Vec::new());
        for line in lines {
            let Some(report) = parse(line) else { continue };
            match report.and_then(|report| reports.take(report)) {
                Ok(step) => out.extend(step),
                Err(error) => errors.push(error),
            }
        }
        out.extend(reports.flush());
        (out.iter().map(ToString::to_string).collect(), errors)
    }

    #[test]
    fn lines_become_steps() {
        let check =
            |lines: &[&str], expected: &[&str]| assert_eq!(fed(lines), (expected.iter().map(|&step| step.to_owned()).collect(), vec![]));
        check(&[r#"fltk: {"epoch": 3, "accuracy": 0.91}"#], &["epoch 3  accuracy 0.91"]);
        check(&["hello", "fltk {}", r#" fltk: {"epoch": 3}"#], &[]);
        check(
            &[r#"fltk: {"epoch":1,"loss":2}"#, r#"fltk: {"epoch":1,"accuracy":0.5}"#, r#"fltk: {"epoch":2,"loss":1}"#],
            &["epoch 1  accuracy 0.5  loss 2", "epoch 2  loss 1"],
        );
        // A line that doesn't say when.
        check(
            &[r#"fltk: {"parameters": 9}"#, r#"fltk: {"round": 2, "loss": 1}"#, r#"fltk: {"x": 1}"#],
            &["round 0  parameters 9", "round 2  loss 1  x 1"],
        );
        check(&[r#"fltk: {"accuracy": 0.5}"#], &["step 0  accuracy 0.5"]);
        // The coarsest place counts, unless the run counts by another.
        check(&[r#"fltk: {"step": 30, "epoch": 2.0, "loss": 1}"#], &["epoch 2  loss 1  step 30"]);
        check(
            &[r#"fltk: {"step": 1, "loss": 2}"#, r#"fltk: {"step": 2, "epoch": 1, "loss": 1}"#],
            &["step 1  loss 2", "step 2  epoch 1  loss 1"],
        );
        // A place alone says nothing.
        check(&[r#"fltk: {"epoch": 1}"#, "fltk: {}"], &[]);
    }

    #[test]
    fn malformed_lines_are_refused() {
        let check = |line: &str, expected: ReportError| assert_eq!(fed(&[line]), (vec![], vec![expected]), "{line}");
        for text in [
            "",
            "[]",
            "3",
            r#"{"a": "b"}"#,
            r#"{"a": NaN}"#,
            r#"{"a": 1e999}"#,
            r#"{"a": true}"#,
            r#"{"a": null}"#,
            r#"{"a": {"b": 1}}"#,
            r#"{"a": 1} x"#,
        ] {
            check(&format!("fltk: {text}"), ReportError::NotFigures);
        }
        check(r#"fltk: {"epoch": -1}"#, ReportError::NotWhole("epoch"));
        check(r#"fltk: {"step": 1.5}"#, ReportError::NotWhole("step"));
        check(r#"fltk: {"round": 4294967296}"#, ReportError::NotWhole("round"));
        check(r#"fltk: {"": 1}"#, ReportError::Name);
        check(r#"fltk: {"a b": 1}"#, ReportError::Name);
        check(r#"fltk: {"a\u001b": 1}"#, ReportError::Name);
        check(&format!(r#"fltk: {{"a": {}1}}"#, " ".repeat(LINE_BYTES_MAX)), ReportError::TooLong);
        let many: Vec<String> = (0..=FIGURES_MAX).map(|number| format!(r#""f{number}": 1"#)).collect();
        check(&format!("fltk: {{{}}}", many.join(",")), ReportError::TooMany);
        let (_, errors) = fed(&[r#"fltk: {"epoch": 1, "a": 1}"#, r#"fltk: {"step": 1, "a": 1}"#]);
        assert_eq!(errors, [ReportError::OtherUnit(StepUnit::Epoch)]);
    }

    #[test]
    fn steps_are_limited() {
        let line = |step: usize| parse(&format!(r#"fltk: {{"step": {step}, "a": 1}}"#)).unwrap().unwrap();
        let mut reports = Reports::going_on(Some(StepUnit::Step), 7, STEPS_MAX - 1);
        assert_eq!(reports.take(line(8)), Ok(None));
        assert_eq!(reports.take(line(8)), Ok(None));
        assert_eq!(reports.take(line(9)), Err(ReportError::TooManySteps));
        assert_eq!(reports.flush().unwrap().step, 8);
        assert_eq!(reports.take(line(9)), Err(ReportError::TooManySteps));
    }
}
