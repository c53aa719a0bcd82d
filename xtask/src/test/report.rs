//! The outcome of each part, and the closing table and line.

use std::{fmt::Write as _, time::Duration};

/// The outcome of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The part passed; the text is a figure or remark about it, and may be empty.
    Passed(String),
    /// The part failed, for this reason.
    Failed(String),
    /// The part could not be run here, for this reason.
    Skipped(String),
}

/// The finished parts, in the order of the list: the name of each, its outcome, and the time that it took.
pub struct Report(pub Vec<(&'static str, End, Duration)>);

impl Report {
    /// True if no part failed and, with `skips_fail`, none was skipped.
    pub fn is_good(&self, skips_fail: bool) -> bool {
        self.0.iter().all(|(_, end, _)| match end {
            End::Passed(_) => true,
            End::Failed(_) => false,
            End::Skipped(_) => !skips_fail,
        })
    }

    /// Returns the closing table, the failures, the skipped parts with reasons, and the closing line.
    pub fn render(&self) -> String {
        let width = self.0.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
        let (mut table, mut failed, mut skipped, mut passed) = (String::new(), Vec::new(), Vec::new(), 0);
        for (name, end, took) in &self.0 {
            let (word, remark) = match end {
                End::Passed(remark) => ("passed ", remark.as_str()),
                End::Failed(_) => ("FAILED ", ""),
                End::Skipped(_) => ("skipped", ""),
            };
            // Writing to a string can't fail.
            let _ = writeln!(table, "{}", format!("{name:width$}  {word}  {:7.1} s  {remark}", took.as_secs_f64()).trim_end());
            match end {
                End::Passed(_) => passed += 1,
                End::Failed(reason) => failed.push(format!("failed: {name}: {reason}\n")),
                End::Skipped(reason) => skipped.push(format!("skipped: {name}: {reason}\n")),
            }
        }
        let mut closing = format!("{passed} passed, {} failed", failed.len());
        if !skipped.is_empty() {
            let _ = write!(closing, ", {} skipped", skipped.len());
        }
        format!("\n{table}\n{}{}{closing}\n", failed.concat(), skipped.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ends: &[&'static str]) -> Report {
        let end_of = |end: &str| match end {
            "failed" => End::Failed("because".to_owned()),
            "skipped" => End::Skipped("not here".to_owned()),
            remark => End::Passed(remark.to_owned()),
        };
        Report(ends.iter().map(|&end| (end, end_of(end), Duration::from_millis(1500))).collect())
    }

    #[test]
    fn last_line_counts_parts_and_earlier_lines_give_reasons() {
        let check = |ends: &[&'static str], expected: &str| {
            let text = report(ends).render();
            assert_eq!(text.lines().last(), Some(expected));
            text
        };
        check(&["fine", ""], "2 passed, 0 failed");
        check(&["failed"], "0 passed, 1 failed");
        let text = check(&["accuracy 0.9", "failed", "skipped"], "1 passed, 1 failed, 1 skipped");
        for line in ["failed: failed: because\n", "skipped: skipped: not here\n"] {
            assert!(text.contains(line), "{text}");
        }
        assert!(text.lines().any(|line| line == "accuracy 0.9  passed       1.5 s  accuracy 0.9"), "{text}");
    }

    #[test]
    fn skip_fails_only_where_forbidden() {
        for (ends, good, good_in_ci) in
            [(&["", ""][..], true, true), (&["", "skipped"], true, false), (&["failed"], false, false), (&[], true, true)]
        {
            assert_eq!((report(ends).is_good(false), report(ends).is_good(true)), (good, good_in_ci), "{ends:?}");
        }
    }
}
