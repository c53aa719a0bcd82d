//! `docs/guide/README.md`, from a cluster to results, as it is written.

use std::{fs, time::Duration};

use anyhow::{Context as _, ensure};

use super::{page, workplace::Workplace};
use crate::test::report::Outcome;

const PAGE: &str = "docs/guide/README.md";
/// It builds images, and trains four jobs.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// Does what the page says.
pub fn run(workplace: &Workplace<'_>) -> anyhow::Result<Outcome> {
    let text = fs::read_to_string(workplace.folder().join(PAGE)).with_context(|| format!("can't read `{PAGE}`"))?;
    let blocks = page::blocks(&text).with_context(|| format!("`{PAGE}`"))?;
    ensure!(!blocks.is_empty(), "`{PAGE}` has nothing to run");
    workplace.bash(&page::script(PAGE, &blocks), LIMIT)?;
    Ok(Outcome::Passed(format!("{} blocks of {PAGE}", blocks.len())))
}
