//! The charts' output is committed, so that reviews show how it changes.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{CHARTS, helm::Rendered, sets::ValueSet};

/// Returns the differences; none with `bless`, which writes the output instead.
pub fn compare(root: &Path, set: &ValueSet, rendered: &Rendered, bless: bool) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (extension, text) in [("yaml", &rendered.text), ("txt", &rendered.notes)] {
        let path = folder(root, set.chart).join(format!("{}.{extension}", set.name));
        let committed = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| format!("can't read `{}`", path.display())),
        };
        if committed == *text {
            continue;
        }
        if bless {
            fs::create_dir_all(folder(root, set.chart))?;
            fs::write(&path, text).with_context(|| format!("can't write `{}`", path.display()))?;
        } else {
            let place = path.strip_prefix(root).unwrap_or(&path).display();
            wrong.push(format!("{place}: {}\nhint: `cargo xtask charts render --bless` if that is meant", difference(&committed, text)));
        }
    }
    Ok(wrong)
}

/// Returns the files of sets that no longer exist.
pub fn leftovers(root: &Path, sets: &[ValueSet]) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    for chart in CHARTS {
        let folder = folder(root, chart);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("can't list `{}`", folder.display())),
        };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            if !sets.iter().any(|set| set.chart == chart && set.name == name) {
                wrong.push(format!("`{}` is of no set of values", path.strip_prefix(root).unwrap_or(&path).display()));
            }
        }
    }
    Ok(wrong)
}

fn folder(root: &Path, chart: &str) -> PathBuf {
    root.join("charts").join(chart).join("ci/golden")
}

/// Returns the first line that differs.
pub fn difference(committed: &str, rendered: &str) -> String {
    let mut lines = (1..).zip(committed.lines().map(Some).chain(std::iter::repeat(None)).zip(rendered.lines().map(Some).chain([None])));
    let differs = lines.find(|(_, (committed, rendered))| committed != rendered);
    let Some((line, (committed, rendered))) = differs else { return "it has more lines than what is rendered".to_owned() };
    let show = |line: Option<&str>| line.map_or_else(|| "its end".to_owned(), |line| format!("`{line}`"));
    format!("line {line} is {}, rendered is {}", show(committed), show(rendered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_difference_is_shown() {
        assert_eq!(difference("a\nb\n", "a\nc\n"), "line 2 is `b`, rendered is `c`");
        assert_eq!(difference("a\n", "a\nb\n"), "line 2 is its end, rendered is `b`");
        assert_eq!(difference("a\nb\n", "a\n"), "line 2 is `b`, rendered is its end");
    }
}
