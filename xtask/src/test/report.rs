//! What became of each part of `cargo xtask test`, and the closing table and line.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

/// How a part ended, if not by an error.
pub enum Outcome {
    /// All is well; a figure or a word about it, may be empty.
    Passed(String),
    /// It could not be run here.
    Skipped(String),
}

enum End {
    Passed(String),
    Failed(String),
    Skipped(String),
}

struct Part {
    name: String,
    end: End,
    took: Duration,
}

/// The parts so far.
#[derive(Default)]
pub struct Report {
    parts: Vec<Part>,
}

impl Report {
    /// Does one part and keeps what became of it. An error is shown at once and again at the end, and the parts that follow still run.
    pub fn part(&mut self, name: &str, work: impl FnOnce() -> anyhow::Result<Outcome>) {
        eprintln!("\n=== {name}");
        let begin = Instant::now();
        let end = match work() {
            Ok(Outcome::Passed(remark)) => End::Passed(remark),
            Ok(Outcome::Skipped(reason)) => {
                eprintln!("skipped: {reason}");
                End::Skipped(reason)
            }
            Err(error) => {
                eprintln!("error: {error:#}");
                End::Failed(format!("{error:#}"))
            }
        };
        self.parts.push(Part { name: name.to_owned(), end, took: begin.elapsed() });
    }

    /// As [`Report::part`], for a part that later ones need the result of.
    pub fn part_with<T>(&mut self, name: &str, work: impl FnOnce() -> anyhow::Result<T>) -> Option<T> {
        let mut result = None;
        self.part(name, || {
            result = Some(work()?);
            Ok(Outcome::Passed(String::new()))
        });
        result
    }

    /// As [`Report::part_with`], for something that can't be had on every machine: an error means that it is skipped. Returns why.
    pub fn part_or_skip<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
        let mut result = Err(String::new());
        self.part(name, || {
            result = work();
            Ok(match &result {
                Ok(_) => Outcome::Passed(String::new()),
                Err(reason) => Outcome::Skipped(reason.clone()),
            })
        });
        result.map_err(|_| format!("needs: {name}"))
    }

    /// Records a part that can't be run here.
    pub fn skip(&mut self, name: &str, reason: &str) {
        self.part(name, || Ok(Outcome::Skipped(reason.to_owned())));
    }

    /// Whether all is well; where `skips_fail`, a skipped part is not.
    pub fn is_good(&self, skips_fail: bool) -> bool {
        self.parts.iter().all(|part| match part.end {
            End::Passed(_) => true,
            End::Failed(_) => false,
            End::Skipped(_) => !skips_fail,
        })
    }

    /// The closing table, what failed, what was skipped and why, and the closing line.
    pub fn render(&self) -> String {
        let width = self.parts.iter().map(|part| part.name.chars().count()).max().unwrap_or(0);
        let (mut table, mut failed, mut skipped, mut passed) = (String::new(), Vec::new(), Vec::new(), 0);
        for Part { name, end, took } in &self.parts {
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

    fn report(ends: &[&str]) -> Report {
        let mut report = Report::default();
        for &end in ends {
            report.part(&format!("part {end}"), || match end {
                "failed" => anyhow::bail!("because"),
                "skipped" => Ok(Outcome::Skipped("not here".to_owned())),
                remark => Ok(Outcome::Passed(remark.to_owned())),
            });
        }
        report
    }

    #[test]
    fn the_last_line_counts_parts_and_the_lines_above_say_why() {
        let check = |ends: &[&str], expected: &str| {
            let text = report(ends).render();
            assert_eq!(text.lines().last(), Some(expected));
            text
        };
        check(&["fine", ""], "2 passed, 0 failed");
        check(&["failed"], "0 passed, 1 failed");
        let text = check(&["accuracy 0.9", "failed", "skipped"], "1 passed, 1 failed, 1 skipped");
        for line in ["failed: part failed: because\n", "skipped: part skipped: not here\n"] {
            assert!(text.contains(line), "{text}");
        }
        assert!(text.lines().any(|line| line.starts_with("part accuracy 0.9  passed") && line.ends_with("accuracy 0.9")), "{text}");
    }

    #[test]
    fn a_skip_fails_only_where_it_must_not_be() {
        for (ends, good, good_in_ci) in
            [(&["", ""][..], true, true), (&["", "skipped"], true, false), (&["failed"], false, false), (&[], true, true)]
        {
            assert_eq!((report(ends).is_good(false), report(ends).is_good(true)), (good, good_in_ci), "{ends:?}");
        }
    }

    #[test]
    fn a_result_is_there_only_if_its_part_passed() {
        let mut report = Report::default();
        assert_eq!(report.part_with("a", || Ok(1)), Some(1));
        assert_eq!(report.part_with::<i32>("b", || anyhow::bail!("no")), None);
        assert_eq!(report.part_or_skip("c", || Ok(1)), Ok(1));
        assert_eq!(report.part_or_skip::<i32>("d", || Err("no network".to_owned())), Err("needs: d".to_owned()));
        let text = report.render();
        assert!(text.ends_with("failed: b: no\nskipped: d: no network\n2 passed, 1 failed, 1 skipped\n"), "{text}");
    }
}
