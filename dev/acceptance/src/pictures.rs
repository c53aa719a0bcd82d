//! `cargo xtask pictures`: the pictures of the documentation, from runs that are made for them.
//!
//! ```text
//! examples ── fltk run ──> runs ── fltk serve ──> a browser ──> docs/pictures
//! ```
//!
//! Pictures of the page are WebP; charts are SVG, as the page itself saves them.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::{
    browser::{Browser, Page, Scheme, Server, Size},
    checkout::Checkout,
    setup::{debian, libtorch},
    sh,
};

/// The folder of the pictures, in the checkout.
const FOLDER: &str = "docs/pictures";

/// The largest picture, in bytes: a page of documentation has several.
const BYTES_MAX: u64 = 120_000;

/// The experiments that the pictures show, in the checkout.
const EXPERIMENTS: [&str; 3] = ["examples/quickstart.yaml", "examples/compare.yaml", "examples/trace.yaml"];

/// The time limit of one experiment.
const RUN_LIMIT: Duration = Duration::from_secs(20 * 60);

/// The window in which the page is shown, and the heights at which views end between two charts, in pixels.
const WINDOW: Size = Size { width: 1280, height: 800 };
const RUN_HEIGHT: u32 = 980;
const COMPARISON_HEIGHT: u32 = 1000;
const STREAM_HEIGHT: u32 = 1060;

/// Runs the experiments, and writes the pictures.
///
/// # Errors
/// If something can't be run or shown, or a picture is too large.
pub fn run(checkout: &Checkout) -> anyhow::Result<()> {
    debian::chromium().map_err(|reason| anyhow::anyhow!(reason))?;
    debian::fashion_mnist().map_err(|reason| anyhow::anyhow!(reason))?;
    let fltk = checkout.build(&libtorch::ensure(checkout)?, &["--release"])?;
    let folder = tempfile::tempdir()?;
    for experiment in EXPERIMENTS {
        // The path of the runs is in the pictures.
        let mut command = Command::new(&fltk);
        command.arg("run").arg(checkout.root.join(experiment)).args(["--quiet", "--runs", "runs"]);
        sh::run(command.current_dir(folder.path()).stdin(Stdio::null()), RUN_LIMIT)?;
    }
    let server = Server::start(&fltk, &folder.path().join("runs"), &folder.path().join("cache"), &[])?;
    let browser = Browser::start()?;
    let page = browser.page(WINDOW)?;
    let album = Album { page: &page, server: &server, folder: &checkout.root.join(FOLDER) };
    fs::create_dir_all(album.folder)?;
    album.fill()
}

/// The pictures that are taken.
struct Album<'a> {
    page: &'a Page<'a>,
    server: &'a Server,
    folder: &'a Path,
}

impl Album<'_> {
    fn fill(&self) -> anyhow::Result<()> {
        self.open("#/runs")?;
        let runs: Vec<Value> = self.page.value("fetch('/api/v1/runs').then(answer => answer.json())")?;
        let named = |experiment: &str| {
            runs.iter().filter(|run| run["experiment"] == experiment).filter_map(|run| run["run"].as_str()).collect::<Vec<_>>()
        };
        let quickstart = *named("quickstart").first().context("there is no run of the quickstart")?;
        let streams: Vec<Value> = self.page.value("fetch('/api/v1/streams').then(answer => answer.json())")?;
        let stream = streams.first().and_then(|stream| stream["stream"].as_str()).context("there is no stream")?;
        let compared = named("compare").iter().map(|run| format!("run={run}")).collect::<Vec<_>>().join("&");
        for (name, view, height) in [
            ("runs", "#/runs".to_owned(), WINDOW.height),
            ("run", format!("#/runs/{quickstart}"), RUN_HEIGHT),
            ("comparison", format!("#/compare?{compared}"), COMPARISON_HEIGHT),
            ("stream", format!("#/streams/{stream}"), STREAM_HEIGHT),
        ] {
            self.page.resize(Size { height, ..WINDOW })?;
            self.open(&view)?;
            self.window(&format!("{name}.webp"))?;
        }
        self.page.resize(WINDOW)?;
        self.page.prefer(Scheme::Dark)?;
        self.open(&format!("#/runs/{quickstart}"))?;
        self.window("run-dark.webp")?;
        self.page.prefer(Scheme::Light)?;
        for (chart, view) in [
            ("accuracy", format!("#/runs/{quickstart}")),
            ("partition", format!("#/runs/{quickstart}")),
            ("compared", format!("#/compare?{compared}")),
            ("timeline", format!("#/streams/{stream}")),
        ] {
            self.open(&view)?;
            self.page.click(&format!("figure[data-chart={chart}] [data-save=svg]"))?;
            let (_, bytes) = self.page.saved().with_context(|| format!("the chart `{chart}`"))?;
            let path = self.folder.join(format!("{chart}.svg"));
            fs::write(&path, bytes)?;
            is_small(&path)?;
        }
        Ok(())
    }

    /// Opens a view, and waits until every chart in sight is drawn.
    fn open(&self, view: &str) -> anyhow::Result<()> {
        self.page.open(&self.server.url(&format!("/{view}")))?;
        self.page.wait("document.body.dataset.state === 'ready'")?;
        let in_sight =
            "[...document.querySelectorAll('figure[data-chart] .chart')].filter(chart => chart.getBoundingClientRect().top < innerHeight)";
        self.page.wait(&format!("{in_sight}.every(chart => chart.querySelector('svg, canvas'))"))?;
        // Charts grow into their place.
        self.page.wait("document.getAnimations().every(animation => animation.playState !== 'running')")
    }

    fn window(&self, name: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        self.page.picture(&path, None)?;
        is_small(&path)
    }
}

fn is_small(path: &Path) -> anyhow::Result<()> {
    let bytes = fs::metadata(path)?.len();
    ensure!(bytes <= BYTES_MAX, "`{}` has {bytes} bytes, more than {BYTES_MAX}", path.display());
    println!("{} ({} kB)", path.display(), bytes.div_ceil(1000));
    Ok(())
}
