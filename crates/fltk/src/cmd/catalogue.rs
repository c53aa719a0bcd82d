//! `fltk catalogue`: what experiment files can name, with settings and defaults.

use anyhow::Context as _;
use fltk_core::catalogue::{Catalogue, Catalogues, Entry, Parameter, Preset};
use serde::Serialize;

use crate::{
    cli::{CatalogueArgs, Cli, Output},
    output,
};

/// Prints everything, one kind, or one entry.
///
/// # Errors
/// If there is no such kind or entry, or standard output is closed.
pub fn run(cli: &Cli, args: &CatalogueArgs) -> anyhow::Result<()> {
    let kinds = kinds(crate::catalogues());
    if args.markdown {
        return output::data(&markdown(&kinds));
    }
    let shown = match &args.name {
        None => kinds,
        Some(name) => find(kinds, name)?,
    };
    if cli.output == Output::Json {
        return output::json(&shown);
    }
    let with_settings = args.name.is_some();
    let sections: Vec<String> = shown.iter().map(|kind| section(kind, with_settings)).collect();
    let hint = if with_settings { "" } else { "\n\n`fltk catalogue NAME` shows the settings of one of these." };
    output::text(&format!("{}{hint}", sections.join("\n\n")))
}

/// The entries of one kind.
#[derive(Serialize)]
struct Kind {
    /// The name of the block in experiment files.
    kind: &'static str,
    /// The heading for people.
    #[serde(skip)]
    title: &'static str,
    entries: Vec<Shown>,
}

/// An entry, as it is printed.
#[derive(Serialize)]
struct Shown {
    name: &'static str,
    doc: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    paper: &'static str,
    /// The samples that a net takes; absent for other kinds.
    #[serde(skip_serializing_if = "Option::is_none")]
    takes: Option<String>,
    settings: Vec<Setting>,
}

/// A parameter, as it is printed.
#[derive(Serialize)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) values: String,
    /// The default; absent if a file must give the setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) default: Option<serde_json::Value>,
    pub(super) doc: &'static str,
}

fn kinds(catalogues: &Catalogues) -> Vec<Kind> {
    fn kind<T: AsRef<Entry>>(title: &'static str, catalogue: &Catalogue<T>) -> Kind {
        Kind { kind: catalogue.kind(), title, entries: catalogue.iter().map(|entry| shown(entry.as_ref())).collect() }
    }
    let mut nets = kind("Nets", &catalogues.nets);
    for (shown, net) in nets.entries.iter_mut().zip(catalogues.nets.iter()) {
        shown.takes = Some(net.takes.to_string());
    }
    vec![
        nets,
        kind("Data sets", &catalogues.datasets),
        kind("Formats of data of one's own", &catalogues.formats),
        kind("Partitions", &catalogues.partitioners),
        kind("Strategies", &catalogues.strategies),
        kind("Selections of clients", &catalogues.selections),
        kind("Attacks of malicious clients", &catalogues.attacks),
        kind("Compressed updates", &catalogues.compressions),
        kind("Devices of clients on a virtual clock", &catalogues.devices),
        kind("Links of clients on a virtual clock", &catalogues.links),
        kind("Availability of clients on a virtual clock", &catalogues.availability),
        kind("Optimizers", &catalogues.optimizers),
        kind("Losses", &catalogues.losses),
    ]
}

fn shown(entry: &Entry) -> Shown {
    Shown { name: entry.name, doc: entry.doc, paper: entry.paper, takes: None, settings: settings(entry) }
}

/// Returns the parameters of an entry, as they are printed.
pub(super) fn settings(entry: &Entry) -> Vec<Setting> {
    let setting = |parameter: &Parameter| Setting {
        name: parameter.name,
        values: parameter.kind.to_string(),
        default: parameter.default().filter(|_| parameter.preset != Preset::Required).and_then(|value| serde_json::to_value(value).ok()),
        doc: parameter.doc,
    };
    entry.parameters.iter().map(setting).collect()
}

/// Returns the kind of this name, or the entries of this name, whatever the case of its letters.
fn find(kinds: Vec<Kind>, name: &str) -> anyhow::Result<Vec<Kind>> {
    let is_named = |own: &str| own.eq_ignore_ascii_case(name);
    let is_kind = kinds.iter().any(|kind| is_named(kind.kind));
    let found: Vec<Kind> = kinds
        .into_iter()
        .map(|mut kind| {
            if !is_named(kind.kind) {
                kind.entries.retain(|entry| !is_kind && is_named(entry.name));
            }
            kind
        })
        .filter(|kind| !kind.entries.is_empty())
        .collect();
    (!found.is_empty()).then_some(found).with_context(|| format!("nothing is called `{name}`\nhint: `fltk catalogue` lists all"))
}

fn section(kind: &Kind, with_settings: bool) -> String {
    let mut text = format!("{} (`{}`)", kind.title, kind.kind);
    let width = kind.entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    for entry in &kind.entries {
        text.push_str(&format!("\n  {:width$}  {}", entry.name, first_sentence(entry.doc)));
        if !with_settings {
            continue;
        }
        if !entry.paper.is_empty() {
            text.push_str(&format!("\n      {}", entry.paper));
        }
        if let Some(takes) = &entry.takes {
            text.push_str(&format!("\n      takes {takes}"));
        }
        for setting in &entry.settings {
            text.push_str(&format!("\n      {}", line(setting)));
        }
    }
    text
}

/// Returns a setting in one line.
pub(super) fn line(setting: &Setting) -> String {
    format!("{}: {}; {}. {}", setting.name, setting.values, default_of(setting), setting.doc)
}

fn first_sentence(doc: &str) -> &str {
    doc.split_inclusive(". ").next().unwrap_or(doc).trim_end()
}

fn default_of(setting: &Setting) -> String {
    setting.default.as_ref().map_or_else(|| "required".to_owned(), |default| format!("default {default}"))
}

/// Returns the page of all entries, for the documentation.
fn markdown(kinds: &[Kind]) -> String {
    let mut page =
        "# What experiment files can name\n\nThis page lists everything that an experiment file can name: nets, data sets, partitions and so on, with \
                    their settings. It is generated from the program's catalogues; `fltk catalogue` prints the same, and `fltk catalogue \
                    --output json` prints it as JSON.\n"
            .to_owned();
    for kind in kinds {
        page.push_str(&format!("\n## {}\n", kind.title));
        for entry in &kind.entries {
            page.push_str(&format!("\n### `{}`\n\n{}\n", entry.name, entry.doc));
            if !entry.paper.is_empty() {
                page.push_str(&format!("\n{}.\n", entry.paper));
            }
            if let Some(takes) = &entry.takes {
                page.push_str(&format!("\nTakes {takes}.\n"));
            }
            if !entry.settings.is_empty() {
                page.push_str("\n| setting | values | default | meaning |\n|---|---|---|---|\n");
            }
            for setting in &entry.settings {
                let default = setting.default.as_ref().map_or_else(|| "required".to_owned(), |default| format!("`{default}`"));
                let doc = setting.doc.replace('|', "\\|");
                page.push_str(&format!("| `{}` | {} | {default} | {doc} |\n", setting.name, setting.values));
            }
        }
    }
    page
}
