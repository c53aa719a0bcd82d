//! From a command to the first curve in a browser: of `fltk serve`, and of TensorBoard, with the same runs. Neither has seen them before.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    sync::mpsc::{Sender, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use crate::{
    browser::Browser,
    parts::page::{fixtures::Fixtures, visit::WINDOW},
    sh,
};

/// The time limit of either.
const LIMIT: Duration = Duration::from_secs(120);

/// True once a curve of the comparison is drawn.
const OUR_CURVE: &str = "(element => element && (globalThis.echarts?.getInstanceByDom(element)?.getOption().series ?? []).some(series => series.type === 'line' && series.data?.length > 1) && [...element.querySelectorAll('canvas, svg')].some(drawing => drawing.tagName === 'canvas' || drawing.querySelectorAll('path').length > 10))(document.querySelector('figure[data-chart=compared] .chart'))";

/// True once TensorBoard has drawn a curve.
const THEIR_CURVE: &str = "[...document.querySelectorAll('line-chart .series-view > svg path')].some(curve => (curve.getAttribute('d') ?? '').split('L').length > 5)";

/// TensorBoard draws with WebGL in a worker unless it is told otherwise, where nobody sees when. The first curve is there no later as SVG.
const AS_SVG: &str = "?forceSVG=true";

/// Returns the time of the comparison of all runs.
pub fn ours(fixtures: &Fixtures, browser: &Browser, runs: &Path) -> anyhow::Result<Duration> {
    fixtures.forget()?;
    let page = browser.page(WINDOW)?;
    let names: Vec<String> =
        fs::read_dir(runs)?.map(|entry| Ok(format!("run={}", entry?.file_name().to_string_lossy()))).collect::<anyhow::Result<_>>()?;
    let began = Instant::now();
    let server = fixtures.serve(runs, &[])?;
    page.open(&server.url(&format!("/#/compare?{}", names.join("&"))))?;
    page.wait_within(OUR_CURVE, LIMIT)?;
    Ok(began.elapsed())
}

/// Returns the time of TensorBoard's first page. `python` is that of the tests' environment.
pub fn theirs(python: &Path, browser: &Browser, runs: &Path) -> anyhow::Result<Duration> {
    let page = browser.page(WINDOW)?;
    let began = Instant::now();
    let mut command = Command::new(python);
    command.args(["-m", "tensorboard.main", "--host", "127.0.0.1", "--port", "0", "--logdir"]).arg(runs);
    let mut tensorboard = Peer(sh::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()))?);
    let said = tensorboard.0.stderr.take().context("no pipe from TensorBoard")?;
    let (sender, receiver) = channel();
    thread::spawn(move || listen_to(said, &sender));
    let Ok(url) = receiver.recv_timeout(LIMIT) else { bail!("TensorBoard doesn't say where it listens") };
    page.open(&format!("{url}{AS_SVG}"))?;
    page.wait_within(THEIR_CURVE, LIMIT)?;
    Ok(began.elapsed())
}

/// Passes on the address that TensorBoard names.
fn listen_to(said: ChildStderr, address: &Sender<String>) {
    for line in BufReader::new(said).lines().map_while(Result::ok) {
        if let Some((_, rest)) = line.split_once(" at http://") {
            // Only the first is waited for.
            let _ = address.send(format!("http://{}", rest.split(' ').next().unwrap_or_default()));
        }
    }
}

/// A process that is killed when the value is dropped.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
