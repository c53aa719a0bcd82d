//! `cargo xtask charts`: the Helm charts are linted, rendered with several sets of values, compared with the committed output, and checked: against
//! the schemas of each supported Kubernetes version, and by rules that no schema expresses. No cluster is needed.
//!
//! ```text
//! charts/<chart>/ci/<set>-values.yaml ──helm──> objects and notes ──┬── charts/<chart>/ci/golden/<set>.{yaml,txt}
//!                                                                   ├── schemas of Kubernetes 1.33 to 1.37
//!                                                                   └── rules: references, rights, restricted pods, logs, names, upgrades, refusals
//! ```

mod api;
mod golden;
mod helm;
mod jobs;
mod kfltk;
mod names;
mod notes;
mod objects;
mod program;
mod references;
mod refusals;
mod restricted;
mod rights;
mod sets;
mod swagger;
mod upgrades;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Subcommand;

use self::{
    api::Api,
    helm::{Helm, Rendered},
    sets::ValueSet,
};
use crate::checkout::Checkout;

/// The charts, in `charts/`.
const CHARTS: [&str; 2] = ["extractor", "orchestrator"];

/// The commands for the charts; without one, all except `package` are run.
#[derive(Subcommand)]
pub enum ChartsCommand {
    /// Run `helm lint` with every set of values in `charts/*/ci`.
    Lint,
    /// Compare the rendered charts with the committed output in `charts/*/ci/golden`.
    Render {
        /// Overwrite the committed output instead of comparing.
        #[arg(long)]
        bless: bool,
    },
    /// Check the rendered charts against the schemas of Kubernetes (about 20 MB, downloaded once by Go) and by rules of our own.
    Check {
        /// Also check that this program accepts what the charts give it.
        #[arg(long, value_name = "PATH")]
        program: Option<PathBuf>,
    },
    /// Package the charts as archives that `helm push` accepts.
    Package {
        /// The folder in which the archives are put (default: `charts` in the target folder).
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
}

/// The programs of Helm, in the major versions that must understand, refuse and render the same.
pub struct Helms {
    /// Helm 3, which renders what is committed.
    pub three: PathBuf,
    /// Helm 4.
    pub four: PathBuf,
}

/// Runs `command`, or all commands except `package`.
pub fn run(checkout: &Checkout, helms: Helms, command: Option<&ChartsCommand>) -> anyhow::Result<()> {
    let charts = Charts::new(checkout, helms)?;
    match command {
        Some(ChartsCommand::Lint) => charts.lint(),
        Some(ChartsCommand::Render { bless }) => charts.render(*bless),
        Some(ChartsCommand::Check { program }) => {
            charts.check(&swagger::ensure(checkout)?)?;
            if let Some(program) = program {
                println!("charts: {}", charts.with_program(program)?);
            }
            Ok(())
        }
        Some(ChartsCommand::Package { to }) => {
            let to = to.clone().unwrap_or_else(|| checkout.target.join("charts"));
            CHARTS.into_iter().try_for_each(|chart| charts.helm.package(chart, &to))
        }
        None => {
            charts.lint()?;
            charts.render(false)?;
            charts.check(&swagger::ensure(checkout)?).map(drop)
        }
    }
}

/// Runs all checks, and returns a short summary.
pub fn test(checkout: &Checkout, helms: Helms) -> anyhow::Result<String> {
    let charts = Charts::new(checkout, helms)?;
    charts.lint()?;
    charts.render(false)?;
    charts.check(&swagger::ensure(checkout)?)
}

/// Checks that `program` accepts what the charts give it.
pub fn test_with(checkout: &Checkout, helms: Helms, program: &Path) -> anyhow::Result<String> {
    Charts::new(checkout, helms)?.with_program(program)
}

struct Charts<'a> {
    checkout: &'a Checkout,
    helm: Helm,
    /// A Helm of another major version, which must understand, refuse and render the same.
    other: Helm,
    sets: Vec<ValueSet>,
}

impl<'a> Charts<'a> {
    fn new(checkout: &'a Checkout, helms: Helms) -> anyhow::Result<Self> {
        let (helm, other) = (Helm::new(&checkout.root, helms.three)?, Helm::new(&checkout.root, helms.four)?);
        Ok(Self { checkout, helm, other, sets: sets::all(&checkout.root)? })
    }

    fn lint(&self) -> anyhow::Result<()> {
        sets::shared_templates(&self.checkout.root)?;
        for set in &self.sets {
            self.helm.lint(set)?;
            self.other.lint(set)?;
        }
        println!("charts: linted with {} sets of values, by both helms", self.sets.len());
        Ok(())
    }

    fn render(&self, bless: bool) -> anyhow::Result<()> {
        let mut wrong = golden::leftovers(&self.checkout.root, &self.sets)?;
        for set in &self.sets {
            let rendered = self.helm.set(set)?;
            wrong.extend(golden::compare(&self.checkout.root, set, &rendered, bless)?);
            let other = self.other.set(set)?;
            if (&rendered.text, &rendered.notes) != (&other.text, &other.notes) {
                let difference = golden::difference(&rendered.text, &other.text);
                wrong.push(format!("{set}: helm 4 renders something else than helm 3: {difference}"));
            }
        }
        verdict(&wrong)?;
        println!(
            "charts: {} sets of values render {}, by both helms",
            self.sets.len(),
            if bless { "what is now committed" } else { "what was committed" }
        );
        Ok(())
    }

    fn check(&self, apis: &[Api]) -> anyhow::Result<String> {
        let (mut wrong, mut num_objects) = (Vec::new(), 0);
        let mut skipped = BTreeSet::new();
        for set in &self.sets {
            let rendered = self.helm.set(set)?;
            num_objects += rendered.objects.len();
            for api in apis {
                wrong.extend(api.overlooks(&rendered.objects)?.map(|problem| format!("{set}: {}: {problem}", api.version)));
                for object in &rendered.objects {
                    match api.check(object)? {
                        Some(problems) => wrong.extend(problems.into_iter().map(|problem| format!("{set}: {}: {problem}", api.version))),
                        None => drop(skipped.insert(object.describe_kind())),
                    }
                }
            }
            wrong.extend(self.rules(set, &rendered)?.into_iter().map(|problem| format!("{set}: {problem}")));
        }
        wrong.extend(names::check(&self.helm, &self.sets)?);
        wrong.extend(upgrades::check(&self.helm)?);
        wrong.extend(kfltk::check(&self.helm)?);
        for helm in [&self.helm, &self.other] {
            wrong.extend(refusals::check(helm)?);
        }
        verdict(&wrong)?;
        let versions = apis.iter().map(|api| api.version).collect::<Vec<_>>().join(", ");
        let others = if skipped.is_empty() { String::new() } else { format!("; no schema of {skipped:?}") };
        let done = format!("{num_objects} objects of {} sets of values against {versions}{others}", self.sets.len());
        println!("charts: {done}");
        Ok(done)
    }

    fn with_program(&self, program: &Path) -> anyhow::Result<String> {
        let (mut num, mut wrong) = (0, Vec::new());
        for set in &self.sets {
            for outcome in program::check(program, &self.helm.set(set)?) {
                num += 1;
                wrong.extend(outcome.err().map(|error| format!("{set}: {error:#}")));
            }
        }
        verdict(&wrong)?;
        Ok(format!("{num} command lines that the program takes"))
    }

    /// Checks the rules that no schema expresses.
    fn rules(&self, set: &ValueSet, rendered: &Rendered) -> anyhow::Result<Vec<String>> {
        let values = set.text()?;
        let mut wrong = references::check(&rendered.objects, &values);
        wrong.extend(restricted::check(&rendered.objects));
        wrong.extend(rights::check(&rendered.objects));
        wrong.extend(jobs::check(&rendered.objects));
        wrong.extend(names::of_one(&rendered.objects));
        wrong.extend(notes::check(&rendered.notes, &rendered.objects, &values));
        Ok(wrong)
    }
}

fn verdict(wrong: &[String]) -> anyhow::Result<()> {
    wrong.iter().for_each(|problem| println!("{problem}"));
    if wrong.is_empty() { Ok(()) } else { bail!("{} problem{} of the charts", wrong.len(), if wrong.len() == 1 { "" } else { "s" }) }
}

/// Reads a file; errors contain its name.
fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("can't read `{}`", path.display()))
}
