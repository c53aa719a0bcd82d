//! `docs/guide/`, from a cluster to results, as it is written: its pages in the order in which a reader needs them. What it says about operators is done
//! where the cluster gets them.

use std::{fs, time::Duration};

use anyhow::{Context as _, ensure};

use super::{fresh, workplace::Workplace};
use crate::{
    cluster::{NODE, TestCluster},
    page::{self, Block},
};

const FOLDER: &str = "docs/guide";
/// The page that leads through all of it, and where it is left for the one about what goes wrong: everything is there, and over.
const MAIN: &str = "README.md";
const END: &str = "## Cleaning up";

/// Which the pages make.
const NAMESPACE: &str = "test";
/// They build images, and train four jobs.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// The node's folder of the pages. In the test it is one that goes with the cluster.
const NODES_FOLDER: &str = "/srv/fltk";

/// Does what the pages say.
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
    // Whoever runs this is root.
    workplace.program("sudo", "exec \"$@\"")?;
    let page = fs::read_to_string(workplace.folder().join(FOLDER).join(MAIN))?;
    workplace.bash_with(&fresh::packages(&page), &format!("NODE={NODE}\n{script}"), LIMIT)
}

/// The blocks of a page, and the line of [`END`].
fn read(workplace: &Workplace<'_>, name: &str) -> anyhow::Result<(Vec<Block>, Option<usize>)> {
    let path = workplace.folder().join(FOLDER).join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("can't read `{}`", path.display()))?;
    let blocks = page::blocks(&text).with_context(|| format!("`{name}`"))?;
    Ok((blocks, text.lines().position(|line| line == END).map(|index| index + 1)))
}
