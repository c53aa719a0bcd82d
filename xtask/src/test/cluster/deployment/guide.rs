//! `docs/guide/README.md`, from a cluster to results, as it is written.

use std::{fs, time::Duration};

use anyhow::{Context as _, ensure};

use super::{page, workplace::Workplace};
use crate::cluster::{NODE, TestCluster};

const PAGE: &str = "docs/guide/README.md";
/// Which the page makes.
const NAMESPACE: &str = "test";
/// It builds images, and trains four jobs.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// The node's folder of the page. In the test it is one that goes with the cluster.
const FOLDER: &str = "/srv/fltk";

/// Does what the page says.
pub fn run(cluster: &TestCluster, workplace: &Workplace<'_>) -> anyhow::Result<()> {
    cluster.forget(NAMESPACE)?;
    let text = fs::read_to_string(workplace.folder().join(PAGE)).with_context(|| format!("can't read `{PAGE}`"))?;
    let blocks = page::blocks(&text).with_context(|| format!("`{PAGE}`"))?;
    ensure!(!blocks.is_empty(), "`{PAGE}` has nothing to run");
    let volume = workplace.volume("guide")?;
    let script = page::script(PAGE, &blocks).replace(FOLDER, volume.to_str().context("a folder whose name is not UTF-8")?);
    workplace.bash(&format!("NODE={NODE}\n{script}"), LIMIT)
}
