//! The rule that links between the project's own documents lead somewhere.

use std::collections::BTreeSet;

use super::{Finding, Source};

/// Checks every relative link of every Markdown file. `files` are the paths of all files, of pictures too.
pub fn check(sources: &[Source], files: &[String], findings: &mut Vec<Finding>) {
    let mut known: BTreeSet<String> = files.iter().cloned().collect();
    for path in files {
        known.extend(path.match_indices('/').map(|(at, _)| path[..at].to_owned()));
    }
    for source in sources.iter().filter(|source| source.path.ends_with(".md")) {
        for (index, line) in source.text.lines().enumerate() {
            for target in targets(line) {
                if !known.contains(&resolve(&source.path, target)) {
                    let problem = format!("the link to `{target}` leads nowhere");
                    findings.push(Finding { file: source.path.clone(), line: index + 1, problem });
                }
            }
        }
    }
}

/// Returns the targets of links in `line`, without those to other hosts or within the page.
fn targets(line: &str) -> Vec<&str> {
    let links = line.match_indices("](").filter_map(|(at, open)| line[at + open.len()..].split_once(')'));
    let targets = links.map(|(target, _)| target.split('#').next().unwrap_or_default());
    targets.filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// Returns `target`, as given in the file `from`, relative to the root.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_links_are_found() {
        let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
        let files = [
            source(
                "README.md",
                "[a](docs/a.md) [b](docs/) ![p](docs/picture.webp) [c](./LICENSE#x) [d](https://docs.rs) [e](#f)\n[g](docs/gone.md)",
            ),
            source("docs/a.md", "[a](../README.md) and [b](README.md)"),
            source("LICENSE", "[not](a-link)"),
        ];
        let mut findings = Vec::new();
        let paths: Vec<String> = files.iter().map(|file| file.path.clone()).chain(["docs/picture.webp".to_owned()]).collect();
        check(&files, &paths, &mut findings);
        let found: Vec<_> = findings.iter().map(|finding| (finding.file.as_str(), finding.line)).collect();
        assert_eq!(found, [("README.md", 2), ("docs/a.md", 1)]);
    }
}
