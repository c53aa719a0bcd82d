//! The experimental setup of runs in sentences, as a paper has them, with the BibTeX of what was used. All of it comes from what the runs recorded and from the catalogues: nothing is
//! added that they don't say.
//!
//! ```text
//! RunDescription ... ──> configurations (runs that differ in seeds only) ──> settings that differ
//!                                         │                                        │
//!                        clauses: sentences about a configuration ── none differs ─┼─> told once, in paragraphs
//!                                                                  └─ one differs ─┘─> told for each configuration, in a list
//! ```
//!
//! Not for: results ([`compare`](crate::compare)), and how they are shown. Paragraphs are Markdown, in which texts from elsewhere have no effect, with citations as Pandoc reads them: `[@key]`.

mod bibliography;
mod command;
mod distributed;
mod environment;
mod federated;
mod settings;
mod text;
mod training;

use std::collections::{BTreeMap, BTreeSet};

use fltk_core::catalogue::Catalogues;
use serde::Serialize;

pub use self::text::escaped;
use self::{bibliography::Bibliography, settings::Settings};
use crate::{CHANGES_NOTHING, Hyperparameters, RunDescription};

/// The limit on configurations that are told one by one: nobody reads more, and a table of settings says it better.
pub const CONFIGURATIONS_MAX: usize = 50;

/// The experimental setup of runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Methods {
    /// Paragraphs in Markdown, those of a list with its numbers.
    pub paragraphs: Vec<String>,
    /// The entries that the paragraphs cite, in BibTeX.
    pub bibtex: String,
    /// The versions and kinds of what computed the runs, ascending: of `fltk`, `libtorch`, `cpu` and `os`.
    pub versions: BTreeMap<String, BTreeSet<String>>,
}

/// Runs that differ in their seeds only.
struct Configuration<'a> {
    /// The experiment and task of the first of its runs.
    name: (&'a str, &'a str),
    settings: Hyperparameters,
    seeds: BTreeSet<u64>,
}

/// A sentence about a configuration; `None` if there is nothing to tell.
type Clause = fn(&Settings<'_>, &mut Bibliography<'_>) -> Option<String>;

/// Every sentence, in paragraphs.
const PARAGRAPHS: &[&[Clause]] = &[
    &[
        training::net,
        training::data,
        command::program,
        federated::clients,
        federated::feature_noise,
        distributed::ranks,
        federated::rounds,
        federated::local,
        federated::work,
        federated::groups,
    ],
    &[
        training::optimizer,
        training::schedule,
        training::loss,
        training::other_role,
        federated::strategy,
        federated::compression,
        federated::participation,
        federated::faults,
        federated::attack,
        federated::simulation,
    ],
    &[training::evaluation, federated::client_test],
];

/// Returns the experimental setup of these runs; without paragraphs if there are none.
#[must_use]
pub fn of(runs: &[RunDescription], catalogues: &Catalogues) -> Methods {
    let mut bibliography = Bibliography::new(catalogues);
    let configurations = configurations(runs);
    let mut paragraphs = Vec::new();
    if let [first, others @ ..] = &*configurations {
        let varying = varying(&configurations);
        let mut told = Told { sentences: vec![Vec::new(); configurations.len().min(CONFIGURATIONS_MAX)], names: BTreeSet::new() };
        for clauses in PARAGRAPHS {
            let common: Vec<String> =
                clauses.iter().filter_map(|clause| told.tell(*clause, &configurations, &varying, &mut bibliography)).collect();
            paragraphs.extend((!common.is_empty()).then(|| common.join(" ")));
        }
        told.rest(&configurations, &varying);
        let same_seeds = others.iter().all(|other| other.seeds == first.seeds);
        if others.is_empty() {
            paragraphs.push(environment::runs(&first.seeds, "This"));
        } else {
            if same_seeds {
                paragraphs.push(environment::runs(&first.seeds, "Each configuration"));
            }
            paragraphs.extend(list(&configurations, told.sentences, same_seeds));
        }
        paragraphs.push(environment::sentence(runs, &mut bibliography));
    }
    Methods { paragraphs, bibtex: bibliography.bibtex(), versions: environment::versions(runs) }
}

/// Joins the runs that differ in seeds only, in the order of their first one.
fn configurations(runs: &[RunDescription]) -> Vec<Configuration<'_>> {
    let mut found: Vec<(String, Configuration<'_>)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for run in runs {
        let mut settings = run.settings_with_digests().without_later_defaults();
        settings.0.retain(|name, _| is_told(name));
        let key = settings.key();
        let place = *places.entry(key.clone()).or_insert(found.len());
        if place == found.len() {
            let name = (run.experiment.as_str(), run.task.as_str());
            found.push((key, Configuration { name, settings, seeds: BTreeSet::new() }));
        }
        found[place].1.seeds.insert(run.seed.0);
    }
    found.into_iter().map(|(_, configuration)| configuration).collect()
}

/// Returns true if a setting can matter to a reader: those that change no result don't, but for the names of files, which say what was used.
fn is_told(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    !CHANGES_NOTHING.contains(&name) || ["path", "python", "torchscript"].contains(&last)
}

/// Returns the names of the settings that differ.
fn varying(configurations: &[Configuration<'_>]) -> BTreeSet<String> {
    let names: BTreeSet<&String> = configurations.iter().flat_map(|of| of.settings.0.keys()).collect();
    let differs = |name: &&&String| configurations.windows(2).any(|pair| pair[0].settings.0.get(**name) != pair[1].settings.0.get(**name));
    names.iter().filter(differs).map(|name| (*name).clone()).collect()
}

/// The sentences about settings that differ, for each configuration, and the names that they are about.
struct Told {
    sentences: Vec<Vec<String>>,
    names: BTreeSet<String>,
}

impl Told {
    /// Returns the clause's sentence if it is the same for all configurations; otherwise notes it for each, with the settings that it is about.
    fn tell(
        &mut self,
        clause: Clause,
        configurations: &[Configuration<'_>],
        varying: &BTreeSet<String>,
        bibliography: &mut Bibliography<'_>,
    ) -> Option<String> {
        let mut sentences = Vec::new();
        let mut about = BTreeSet::new();
        for configuration in configurations.iter().take(CONFIGURATIONS_MAX) {
            let settings = Settings::new(&configuration.settings.0);
            let mut cited = bibliography.clone();
            sentences.push((clause(&settings, &mut cited), cited));
            about.extend(settings.into_read(varying));
        }
        // A sentence may be the same although a setting that it depends on differs: another one is about that setting.
        let is_same = configurations.len() <= CONFIGURATIONS_MAX
            && sentences.windows(2).all(|pair| pair[0].0 == pair[1].0)
            && sentences.first().is_some_and(|(sentence, _)| sentence.is_some());
        if about.is_empty() || is_same {
            let (sentence, cited) = sentences.into_iter().next()?;
            *bibliography = cited;
            return sentence;
        }
        for (configuration, told) in configurations.iter().zip(&mut self.sentences) {
            // Again, one after the other, so that each adds what it cites.
            told.extend(clause(&Settings::new(&configuration.settings.0), bibliography));
        }
        self.names.extend(about);
        None
    }

    /// Notes the settings that differ and that no sentence is about.
    fn rest(&mut self, configurations: &[Configuration<'_>], varying: &BTreeSet<String>) {
        let untold: Vec<&String> = varying.difference(&self.names).collect();
        for (configuration, told) in configurations.iter().zip(&mut self.sentences) {
            let shown = |name: &&String| Some(format!("{} = {}", escaped(name), text::value(configuration.settings.0.get(*name)?)));
            let values: Vec<String> = untold.iter().filter_map(shown).collect();
            if !values.is_empty() {
                told.push(format!("Further settings: {}.", values.join(", ")));
            }
        }
    }
}

/// Returns the list of configurations.
fn list(configurations: &[Configuration<'_>], sentences: Vec<Vec<String>>, same_seeds: bool) -> Vec<String> {
    let mut paragraphs = vec![format!("There were {} configurations, which differed as follows.", configurations.len())];
    for (number, (configuration, mut sentences)) in (1..).zip(configurations.iter().zip(sentences)) {
        let (experiment, task) = configuration.name;
        if !same_seeds {
            sentences.push(environment::runs(&configuration.seeds, "This"));
        }
        paragraphs.push(format!("{number}. {}/{}: {}", escaped(experiment), escaped(task), sentences.join(" ")));
    }
    let more = configurations.len().saturating_sub(CONFIGURATIONS_MAX);
    if more > 0 {
        paragraphs.push(format!("{more} further configurations are left out here."));
    }
    paragraphs
}

#[cfg(test)]
mod tests;
