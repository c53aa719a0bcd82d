//! The output of `fltk run --output json` for one run, as far as it is used here.

use anyhow::Context as _;
use serde::Deserialize;

/// The result of a run.
#[derive(Debug, PartialEq, Deserialize)]
pub struct RunResult {
    /// The accuracy after the last step, over the whole test set, in `0..=1`.
    pub accuracy: f64,
    /// The SHA-256 of the final parameters and buffers.
    pub parameters_sha256: String,
}

impl RunResult {
    /// Returns the result of the only run in `text`.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let result: Self =
            serde_json::from_str(text).context("`fltk run --output json` printed something else than the result of one run")?;
        anyhow::ensure!((0.0..=1.0).contains(&result.accuracy), "the accuracy {} is not within 0..=1", result.accuracy);
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_results_of_a_run_are_parsed() {
        let result = RunResult::parse(r#"{"run":"runs/a","steps":[{"accuracy":0.1}],"accuracy":0.8,"parameters_sha256":"ab"}"#).unwrap();
        assert_eq!(result, RunResult { accuracy: 0.8, parameters_sha256: "ab".to_owned() });
        for text in
            ["", "{}", r#"{"runs":[]}"#, r#"{"accuracy":null,"parameters_sha256":"ab"}"#, r#"{"accuracy":80,"parameters_sha256":"ab"}"#]
        {
            assert!(RunResult::parse(text).is_err(), "{text}");
        }
    }
}
