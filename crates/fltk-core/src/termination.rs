//! The report that a training process leaves when it ends, for the process that started it: one small JSON object.
//!
//! In Kubernetes it is the container's termination message, which the kubelet copies into the pod's status. The program writes it, not this
//! module. It isn't the record of a run, which is its journal.

use serde::{Deserialize, Serialize};

/// The limit on the bytes of a report: fewer than the 4096 that the kubelet copies.
pub const REPORT_BYTES_MAX: usize = 4095;

/// The exit code of a process whose data is missing, damaged or can't be fetched.
pub const EXIT_DATA: u8 = 4;
/// The exit code of a process that can't read or write its records.
pub const EXIT_RECORDS: u8 = 6;
/// The exit code of a process that lost another rank, in which case the other rank is the cause.
pub const EXIT_LOST_RANK: u8 = 7;

/// True if `code` means that a process could not read, write or reach something that it needs: a retry may succeed, elsewhere or later.
#[must_use]
pub fn is_of_machine(code: i32) -> bool {
    [EXIT_DATA, EXIT_RECORDS, EXIT_LOST_RANK].iter().any(|exit| i32::from(*exit) == code)
}

/// The report of how a training process ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminationReport {
    /// The time at which the process had done its first optimizer step, or for a federated task had trained its first client, in milliseconds
    /// since the Unix epoch. Absent if it got to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_step_ms: Option<u64>,
    /// The error with its causes, possibly truncated. Absent if the process succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The exit code of the process.
    pub exit: u8,
    /// The name of the run's folder. Absent if the process had none: it failed earlier, or isn't the one that records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

impl TerminationReport {
    /// Returns the report as JSON of at most [`REPORT_BYTES_MAX`] bytes; a longer error is cut after the last character that fits.
    ///
    /// # Errors
    /// Never for plain data.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let whole = serde_json::to_string(self)?;
        let mut excess = whole.len().saturating_sub(REPORT_BYTES_MAX);
        let Some(error) = self.error.as_ref().filter(|_| excess > 0) else { return Ok(whole) };
        let end = error.char_indices().rev().find(|(_, c)| {
            excess = excess.saturating_sub(json_bytes(*c));
            excess == 0
        });
        let cut = error[..end.map_or(0, |(at, _)| at)].to_owned();
        serde_json::to_string(&Self { error: Some(cut), ..self.clone() })
    }
}

/// Returns the number of bytes of `c` within a JSON string, where some characters are escaped.
fn json_bytes(c: char) -> usize {
    serde_json::to_string(&c).map_or(0, |json| json.len() - "\"\"".len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn absent_fields_are_omitted() {
        let report = TerminationReport { first_step_ms: Some(1_764_097_200_123), error: None, exit: 0, run: Some("a-1".to_owned()) };
        let json = r#"{"first_step_ms":1764097200123,"exit":0,"run":"a-1"}"#;
        assert_eq!(report.to_json().unwrap(), json);
        assert_eq!(serde_json::from_str::<TerminationReport>(json).unwrap(), report);
        let failed = TerminationReport { error: Some("no `x`\nhint: y".to_owned()), exit: 3, ..TerminationReport::default() };
        assert_eq!(failed.to_json().unwrap(), r#"{"error":"no `x`\nhint: y","exit":3}"#);
    }

    proptest! {
        #[test]
        fn long_errors_are_truncated_to_fit_the_report(error in "[a\"\\\\\n\u{1}é漢😀]{0,6000}", run in proptest::option::of("[a-z]{1,200}")) {
            let report = TerminationReport { first_step_ms: None, error: Some(error.clone()), exit: 5, run };
            let json = report.to_json().unwrap();
            prop_assert!(json.len() <= REPORT_BYTES_MAX);
            let read: TerminationReport = serde_json::from_str(&json).unwrap();
            let kept = read.error.clone().unwrap();
            prop_assert!(error.starts_with(&kept));
            if let Some(next) = error[kept.len()..].chars().next() {
                prop_assert!(json.len() + json_bytes(next) > REPORT_BYTES_MAX, "{next:?} would have fitted");
            }
            prop_assert_eq!(TerminationReport { error: Some(error), ..read }, report);
        }
    }
}
