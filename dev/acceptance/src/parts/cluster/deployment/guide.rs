//! The guide `docs/guide/`, from a cluster to results, run as it is written, with its pages in the order in which a reader needs them. Its instructions
//! for operators are run where the cluster gets them.

use std::{fs, time::Duration};

use anyhow::{Context as _, ensure};

use super::{fresh, workplace::Workplace};
use crate::{
    cluster::{NODE, TestCluster},
    page::{self, Block},
};

const FOLDER: &str = "docs/guide";
/// The main page, and the heading before which it is left for the page about troubleshooting: everything is installed then, and the jobs
/// are over.
const MAIN: &str = "README.md";
const END: &str = "## Cleaning up";

/// The namespace that the pages create.
const NAMESPACE: &str = "test";
/// The time limit: the pages build images, and train four jobs.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// The folder on the node in the pages. The test replaces it by one that is removed with the cluster.
const NODES_FOLDER: &str = "/srv/fltk";

/// Follows the pages.
pub fn run(cluster: &TestCluster, workplace: &Workplace<'_>) -> anyhow::Result<()> {
    cluster.forget(NAMESPACE)?;
    let (main, end) = read(workplace, MAIN)?;
    let end = end.with_context(|| format!("`{MAIN}` has no `{END}`"))?;
    let (before, after): (Vec<Block>, Vec<Block>) = main.into_iter().partition(|block| block.line < end);
    let mut script = String::new();
    for (page, blocks) in [
        ("storage.md", read(workplace, "storage.md")?.0),
        (MAIN, before),
        ("troubleshooting.md", read(workplace, "troubleshooting.md")?.0),
        (MAIN, after),
    ] {
        ensure!(!blocks.is_empty(), "`{page}` has nothing to run");
        script += &page::script(page, &blocks);
    }
    let volume = workplace.volume("guide")?;
    let script = script.replace(NODES_FOLDER, volume.to_str().context("a folder whose name is not UTF-8")?);
    // This test runs as root.
    workplace.program("sudo", "exec \"$@\"")?;
    let page = fs::read_to_string(workplace.folder().join(FOLDER).join(MAIN))?;
    workplace.bash_with(&fresh::packages(&page), &format!("NODE={NODE}\n{script}"), LIMIT)
}

/// Returns the blocks of a page, and the line of [`END`].
fn read(workplace: &Workplace<'_>, name: &str) -> anyhow::Result<(Vec<Block>, Option<usize>)> {
    let path = workplace.folder().join(FOLDER).join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("can't read `{}`", path.display()))?;
    let blocks = page::blocks(&text).with_context(|| format!("`{name}`"))?;
    Ok((blocks, text.lines().position(|line| line == END).map(|index| index + 1)))
}
