//! `docs/compose.md`: ranks as containers of this machine, by podman where the page says docker.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, ensure};

use super::workplace::Workplace;
use crate::{outcome::Outcome, page, setup::debian};

const PAGE: &str = "docs/compose.md";
/// It loads an image of half a gigabyte and trains Fashion-MNIST twice over.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Limits that any machine lets a container have.
const LIMITS: &str = "[containers]\ndefault_ulimits = [\"nofile=4096:4096\", \"nproc=4096:4096\"]\n";

/// `docker compose` is podman-compose, any other `docker` is podman; what they store is of this test only.
const DOCKER: &str = r#"export CONTAINERS_CONF='<<CONF>>' CONTAINERS_STORAGE_CONF='<<STORAGE>>'
if [ "$1" = compose ]; then
    shift
    exec podman-compose "$@"
fi
exec podman "$@""#;

/// Does what the page says.
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
        // What it didn't come to.
        let _ = workplace.bash_outside("docker logs fltk-rank0 >&2; docker compose --file compose.yaml down --volumes", LIMIT);
    }
    outcome?;
    Ok(Outcome::Passed(format!("{} blocks of {PAGE}", blocks.len())))
}
