//! The parts of a documentation page that can be run: its blocks marked `test`, as one script, and the files that it says to write.
//!
//! ~~~text
//! ```yaml file=values.yaml     is written to `values.yaml`
//! ```sh test                   is run, after the blocks before it, in the same shell
//! ```sh                        is neither: it needs what the test has not
//! ~~~

use std::path::{Component, Path};

use anyhow::{Context as _, bail, ensure};

/// A block of a page.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// The number of its first line, from 1.
    pub line: usize,
    /// The use that is made of it.
    pub kind: Kind,
    /// Its lines, without the fences.
    pub text: String,
}

/// The use of a block.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// Commands to run.
    Run,
    /// The content of a file, with its name.
    File(String),
}

/// Returns the blocks of `page` that say what to do with them, in order.
pub fn blocks(page: &str) -> anyhow::Result<Vec<Block>> {
    let mut found = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let (mut text, mut is_closed) = (String::new(), false);
        for (_, line) in lines.by_ref() {
            if line == "```" {
                is_closed = true;
                break;
            }
            text.push_str(line);
            text.push('\n');
        }
        ensure!(is_closed, "line {}: the block isn't closed", number + 1);
        let kind = kind(info).with_context(|| format!("line {}", number + 1))?;
        found.extend(kind.map(|kind| Block { line: number + 2, kind, text }));
    }
    Ok(found)
}

/// Parses the words after a fence.
fn kind(info: &str) -> anyhow::Result<Option<Kind>> {
    let mut words = info.split_whitespace();
    let language = words.next().unwrap_or_default();
    let Some(word) = words.next() else { return Ok(None) };
    ensure!(words.next().is_none(), "`{info}` says more than one thing");
    match (language, word, word.strip_prefix("file=")) {
        ("sh", "test", _) => Ok(Some(Kind::Run)),
        (_, _, Some(name)) => {
            let is_plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
            ensure!(is_plain && !name.is_empty(), "`{name}` is not a file beside the page's others");
            Ok(Some(Kind::File(name.to_owned())))
        }
        _ => bail!("`{info}` is not understood: `sh test` is run, `LANGUAGE file=NAME` is written"),
    }
}

/// Returns all `blocks` of the page `name` as one bash script, which reports its current block and ends at the first command that fails.
pub fn script(name: &str, blocks: &[Block]) -> String {
    let mut script = String::from("set -euo pipefail\n");
    for Block { line, kind, text } in blocks {
        script += &format!("printf '%s\\n' '--- {name}:{line}' >&2\n");
        script += &match kind {
            Kind::Run => text.clone(),
            Kind::File(file) => format!("cat > '{file}' <<'END OF {file}'\n{text}END OF {file}\n"),
        };
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_blocks_are_run_or_written() {
        let page = "# A page\n```yaml file=values.yaml\na: 1\n```\ntext\n```sh\nrm -r x\n```\n```sh test\nNAME=a\necho $NAME\n```\n";
        let found = blocks(page).unwrap();
        let expected = [
            Block { line: 3, kind: Kind::File("values.yaml".into()), text: "a: 1\n".into() },
            Block { line: 10, kind: Kind::Run, text: "NAME=a\necho $NAME\n".into() },
        ];
        assert_eq!(found, expected);
        let script = script("page.md", &found);
        let work = tempfile::tempdir().unwrap();
        let output = std::process::Command::new("bash").args(["-c", &script]).current_dir(work.path()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "a\n");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "--- page.md:3\n--- page.md:10\n");
        assert_eq!(std::fs::read_to_string(work.path().join("values.yaml")).unwrap(), "a: 1\n");
    }

    #[test]
    fn script_ends_at_the_first_failure() {
        let found = blocks("```sh test\nfalse\n```\n```sh test\necho went on\n```\n").unwrap();
        let output = std::process::Command::new("bash").args(["-c", &script("page.md", &found)]).output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
    }

    #[test]
    fn unknown_marks_are_errors() {
        for page in ["```sh run\n```\n", "```sh test now\n```\n", "```sh test\nls\n", "```yaml file=../x\n```\n", "```yaml file=/x\n```\n"]
        {
            assert!(blocks(page).is_err(), "{page}");
        }
    }
}
