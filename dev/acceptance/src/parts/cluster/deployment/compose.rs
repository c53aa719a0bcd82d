//! The page `docs/compose.md`: ranks, and a federator with its nodes, as containers on this machine, with podman instead of docker.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, ensure};

use super::workplace::Workplace;
use crate::{outcome::Outcome, page, setup::debian};

const PAGE: &str = "docs/compose.md";
/// The time limit: the page loads an image of half a gigabyte and trains on Fashion-MNIST twice.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Limits that any machine allows for a container.
const LIMITS: &str = "[containers]\ndefault_ulimits = [\"nofile=4096:4096\", \"nproc=4096:4096\"]\n";

/// The replacement of docker: `docker compose` is podman-compose, and any other `docker` is podman; their storage belongs to this test
/// only.
const DOCKER: &str = r#"export CONTAINERS_CONF='<<CONF>>' CONTAINERS_STORAGE_CONF='<<STORAGE>>'
if [ "$1" = compose ]; then
    shift
    exec podman-compose "$@"
fi
exec podman "$@""#;

/// Follows the page.
pub fn run(workplace: &Workplace<'_>) -> anyhow::Result<Outcome> {
    if let Err(reason) = debian::install(&["podman", "podman-compose", "netavark", "aardvark-dns"]) {
        return Ok(Outcome::Skipped(reason));
    }
    let store = tempfile::tempdir()?;
    let at = |name: &str| store.path().join(name);
    fs::write(at("containers.conf"), LIMITS)?;
    let (graph, run) = (at("graph"), at("run"));
    fs::write(at("storage.conf"), format!("[storage]\ndriver = \"overlay\"\ngraphroot = {graph:?}\nrunroot = {run:?}\n"))?;
    let text = |path: &Path| path.display().to_string();
    let docker = DOCKER.replace("<<CONF>>", &text(&at("containers.conf"))).replace("<<STORAGE>>", &text(&at("storage.conf")));
    workplace.program("docker", &docker)?;
    let page = fs::read_to_string(workplace.folder().join(PAGE)).with_context(|| format!("can't read `{PAGE}`"))?;
    let blocks = page::blocks(&page).with_context(|| format!("`{PAGE}`"))?;
    ensure!(!blocks.is_empty(), "`{PAGE}` has nothing to run");
    let outcome = workplace.bash_outside(&page::script(PAGE, &blocks), LIMIT);
    if outcome.is_err() {
        // This cleans up if the page's own commands were not reached.
        let logs = "for name in rank0 federator node1; do docker logs fltk-$name >&2; done";
        let _ = workplace.bash_outside(&format!("{logs}; docker compose --file compose.yaml down --volumes"), LIMIT);
    }
    outcome?;
    Ok(Outcome::Passed(format!("{} blocks of {PAGE}", blocks.len())))
}
