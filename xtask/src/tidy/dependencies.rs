//! The rule that every dependency has a line in `docs/dependencies.md`, and is used.

use anyhow::Context as _;

use super::{Finding, Source};

const MANIFEST: &str = "Cargo.toml";
const DOCUMENT: &str = "docs/dependencies.md";

/// Compares the workspace's dependencies with the document and with the packages' use of them.
pub fn check(sources: &[Source], findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let text = |path: &str| {
        let source = sources.iter().find(|source| source.path == path);
        source.map(|source| source.text.as_str()).with_context(|| format!("there is no `{path}`"))
    };
    let declared = declared(text(MANIFEST)?);
    let documented = documented(text(DOCUMENT)?);
    let mut find = |file: &str, line: usize, problem: String| findings.push(Finding { file: file.to_owned(), line, problem });
    for &(line, name) in &declared {
        if !documented.iter().any(|(_, known)| *known == name) {
            find(MANIFEST, line, format!("`{name}` has no line in {DOCUMENT}: why it is here, and which alternatives were considered"));
        }
        let is_used = |source: &&Source| source.path.ends_with("/Cargo.toml") && source.text.lines().any(|line| uses(line, name));
        if !sources.iter().any(|source| is_used(&source)) {
            find(MANIFEST, line, format!("`{name}` is used by no package"));
        }
    }
    for &(line, name) in &documented {
        if !declared.iter().any(|(_, known)| *known == name) {
            find(DOCUMENT, line, format!("`{name}` is no dependency"));
        }
    }
    Ok(())
}

/// Returns the names in `[workspace.dependencies]` that are not our own packages, with their lines.
fn declared(manifest: &str) -> Vec<(usize, &str)> {
    let lines = manifest.lines().enumerate().skip_while(|(_, line)| line.trim() != "[workspace.dependencies]").skip(1);
    let entries = lines.take_while(|(_, line)| !line.starts_with('[')).filter(|(_, line)| !line.contains("path = "));
    entries.filter_map(|(index, line)| Some((index + 1, name(line)?))).collect()
}

fn name(line: &str) -> Option<&str> {
    let (name, _) = line.split_once(['=', '.'])?;
    let name = name.trim();
    (!name.is_empty() && !name.starts_with('#')).then_some(name)
}

/// Returns the names at the start of rows in the tables of `document`, with their lines.
fn documented(document: &str) -> Vec<(usize, &str)> {
    let rows = document.lines().enumerate().filter_map(|(index, line)| {
        let (name, _) = line.strip_prefix("| `")?.split_once('`')?;
        Some((index + 1, name))
    });
    rows.collect()
}

/// True if `line` of a package's manifest takes the dependency `name` from the workspace.
fn uses(line: &str, name: &str) -> bool {
    line.strip_prefix(name).is_some_and(|rest| rest.starts_with(".workspace") || rest.trim_start().starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_documented_and_used() {
        let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
        let manifest = "[workspace]\nx = 1\n[workspace.dependencies]\nour = { path = \"our\" }\n# Why.\na = \"1\"\nb = { version = \"2\" }\nc = \"3\"\n\n[profile]\nd = 1";
        let files = [
            source(MANIFEST, manifest),
            source(DOCUMENT, "| name | why |\n|---|---|\n| `a` | one |\n| `c` | `b` was looked at |\n| `e` | gone |"),
            source("our/Cargo.toml", "[dependencies]\na.workspace = true\nb = { workspace = true }"),
        ];
        let mut findings = Vec::new();
        check(&files, &mut findings).unwrap();
        let found: Vec<_> = findings.iter().map(|finding| (finding.file.as_str(), finding.line, &finding.problem[..3])).collect();
        assert_eq!(found, [(MANIFEST, 7, "`b`"), (MANIFEST, 8, "`c`"), (DOCUMENT, 5, "`e`")]);
    }

    #[test]
    fn names_are_not_confused_with_longer_ones() {
        assert!(uses("clap.workspace = true", "clap"));
        assert!(uses("clap = { workspace = true, optional = true }", "clap"));
        assert!(!uses("clap_complete.workspace = true", "clap"));
    }
}
