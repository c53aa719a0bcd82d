//! `cargo xtask test`: sets up, runs every check, and ends with one line. CI runs exactly this.
//!
//! ```text
//! parts ──changed──> those to run ──schedule──> which beside which ──runner──> processes, each with a log ──> report, history
//! ```
//!
//! A failed part doesn't stop the others, so that one run finds as much as possible. A part that can't be run here (without root to install a
//! package, say) is skipped and named; in CI that is a failure.

mod changed;
mod compile;
mod history;
mod own;
mod part;
mod parts;
mod report;
mod runner;
mod schedule;
mod table;

use std::{collections::BTreeSet, process::ExitCode, thread::available_parallelism};

use anyhow::{bail, ensure};
use clap::Args;

use self::history::History;
pub use self::{
    own::run as own_part,
    part::{Part, Stage, Work},
    parts::PARTS,
};
use crate::{checkout::Checkout, lock};

const EXAMPLES: &str = "\
Examples:
  cargo xtask test                              # all parts that need no cluster
  cargo xtask test --cluster                    # images, a real Kubernetes, the guide; needs root and Go
  cargo xtask test --slow                       # further proofs of what the others prove too
  cargo xtask test --changed                    # parts that commits since `origin/main` or uncommitted changes can break
  cargo xtask test --only clippy --only quickstart
  cargo xtask test --list
  cargo xtask test --times";

/// The options of `cargo xtask test`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Run the parts that need images or a real Kubernetes, instead of the others.
    #[arg(long)]
    pub cluster: bool,
    /// Run the parts that take minutes and whose kind of proof the others have too, instead of the others.
    #[arg(long, conflicts_with = "cluster")]
    pub slow: bool,
    /// Run only the parts that a change can break, according to the dependencies between crates and the files that each part names. The change consists
    /// of the commits since this one and of what isn't committed yet.
    #[arg(long, value_name = "COMMIT", num_args = 0..=1, default_missing_value = "")]
    pub changed: Option<String>,
    /// Run only this part, and the parts that it needs. May be repeated.
    #[arg(long, value_name = "PART", conflicts_with = "changed")]
    pub only: Vec<String>,
    /// Print the parts, and run nothing.
    #[arg(long)]
    pub list: bool,
    /// Print how long each part took in the last ten runs, and run nothing.
    #[arg(long, conflicts_with = "list")]
    pub times: bool,
    /// Rewrite the table of proofs in CONTRIBUTING.md with the seconds of the last runs, and run nothing.
    #[arg(long, conflicts_with_all = ["list", "times"])]
    pub table: bool,
}

impl Arguments {
    /// Returns the command, by the stage that it runs.
    fn command(&self) -> Stage {
        match (self.cluster, self.slow) {
            (true, _) => Stage::Cluster,
            (_, true) => Stage::Slow,
            _ => Stage::Checks,
        }
    }
}

/// Runs the command with `arguments`.
///
/// # Errors
/// If a named part doesn't exist, or something around the parts fails.
pub fn run(checkout: &Checkout, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.times {
        print!("{}", History::read(checkout)?.table());
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.table {
        table::write(checkout, &History::read(checkout)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.list {
        for part in chosen(checkout, arguments)? {
            println!("{:<45} {}", part.name, part.proves);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let _lock = lock::take(&checkout.target.join("xtask-test.lock"), "testing in the same target folder")?;
    // There is one cluster per machine, shared by all checkouts.
    let cluster_lock = checkout.cache.join("xtask-test-cluster.lock");
    let _cluster_lock = arguments.cluster.then(|| lock::take(&cluster_lock, "testing with this machine's cluster")).transpose()?;
    // This comes after the lock, since its previous holder may have changed both.
    let (history, parts) = (History::read(checkout)?, chosen(checkout, arguments)?);
    let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    let cores = available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX));
    let report = runner::run(checkout, &parts, cores, &history)?;
    print!("{}", report.render());
    Ok(if report.is_good(is_ci) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns the requested parts and those that they need, in the order of the list.
fn chosen(checkout: &Checkout, arguments: &Arguments) -> anyhow::Result<Vec<&'static Part>> {
    let of_stage = || PARTS.iter().filter(|part| part.stage.is_of(arguments.command()));
    let mut names: BTreeSet<&str> = if let Some(since) = &arguments.changed {
        let change = changed::Change::since(checkout, since)?;
        let names: BTreeSet<&str> = of_stage().filter(|part| change.can_break(part)).map(|part| part.name).collect();
        eprintln!("{}: {} of {} parts", change.describe(), names.len(), of_stage().count());
        names
    } else if arguments.only.is_empty() {
        of_stage().map(|part| part.name).collect()
    } else {
        for name in &arguments.only {
            let Some(part) = PARTS.iter().find(|part| part.name == name) else {
                bail!("there is no part `{name}`\nhint: `cargo xtask test --list`, also with `--cluster` or `--slow`, names them");
            };
            ensure!(part.stage.is_of(arguments.command()), "`{name}` is run by `cargo xtask test{}`", part.stage.option());
        }
        arguments.only.iter().map(String::as_str).collect()
    };
    // This adds the parts that they need, directly or indirectly, and the part that cleans up after them.
    for part in PARTS.iter().rev() {
        if names.contains(part.name) {
            names.extend(part.after.iter().filter_map(|after| after.brought()));
        }
    }
    if names.contains("a real Kubernetes") {
        names.insert("stopping Kubernetes");
    }
    Ok(of_stage().filter(|part| names.contains(part.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str], cluster: bool) -> anyhow::Result<Vec<&'static str>> {
        let only = only.iter().map(|name| (*name).to_owned()).collect();
        let arguments = Arguments { cluster, slow: false, changed: None, only, list: false, times: false, table: false };
        Ok(chosen(&Checkout::find()?, &arguments)?.iter().map(|part| part.name).collect())
    }

    #[test]
    fn needs_of_a_part_are_run() {
        assert_eq!(names(&["format"], false).unwrap(), ["format"]);
        assert_eq!(names(&["quickstart"], false).unwrap(), ["libtorch", "compile", "quickstart"]);
        assert!(names(&["tests of fltk-records"], false).unwrap().contains(&"Python packages"));
        let cluster = names(&["a gang on a tainted node"], true).unwrap();
        assert!(
            cluster.contains(&"compile") && cluster.contains(&"the guide") && cluster.last() == Some(&"stopping Kubernetes"),
            "{cluster:?}"
        );
        assert_eq!(
            names(&[], false).unwrap().len() + names(&[], true).unwrap().len(),
            PARTS.iter().filter(|part| part.stage != Stage::Slow).count() + 4,
            "four are of both"
        );
    }

    #[test]
    fn unknown_parts_are_refused() {
        assert!(names(&["quickstrat"], false).unwrap_err().to_string().contains("there is no part `quickstrat`"));
        assert!(names(&["the guide"], false).unwrap_err().to_string().contains("is run by `cargo xtask test --cluster`"));
    }
}
