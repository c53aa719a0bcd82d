//! A visit to the page: where it goes, what it shows, and what it may not do.

use anyhow::{Context as _, ensure};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::browser::{Browser, OTHER_SITE, Page, Server, Size};

/// The size of the window unless a test needs another.
pub const WINDOW: Size = Size { width: 1280, height: 900 };

/// A person's page, and the server that it is of.
pub struct Visit<'a> {
    /// The page.
    pub page: Page<'a>,
    /// The server.
    pub server: &'a Server,
}

/// A chart as it is drawn, and its table.
#[derive(Debug, Deserialize)]
pub struct Chart {
    /// The series, in order.
    pub series: Vec<Series>,
    /// The number of shapes that are drawn, or of colors if it is a canvas.
    pub drawn: usize,
    /// The size in pixels.
    pub width: f64,
    pub height: f64,
    /// The text below it.
    pub caption: String,
}

/// One series of a chart.
#[derive(Debug, Deserialize)]
pub struct Series {
    /// Its kind, such as `line`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its points as the chart has them.
    pub data: Vec<Value>,
}

/// A table: the cells of its head, and of its rows.
#[derive(Debug, Deserialize)]
pub struct Table {
    /// The names of the columns.
    pub head: Vec<String>,
    /// The cells of all rows that exist.
    pub rows: Vec<Vec<String>>,
}

/// Returns what a chart has and draws.
const CHART: &str = "(name => {
    const figure = document.querySelector(`figure[data-chart=\"${name}\"]`);
    const element = figure?.querySelector('.chart');
    const chart = element && globalThis.echarts?.getInstanceByDom(element);
    if (!chart) return null;
    const option = chart.getOption();
    const series = option.series.map(({ type, name, data }) => ({ type, name: String(name ?? ''), data: Array.from(data ?? []) }));
    let drawn = [...element.querySelectorAll('svg path, svg rect, svg polyline, svg circle')].filter(shape => shape.getBBox().width + shape.getBBox().height > 0).length;
    for (const canvas of element.querySelectorAll('canvas')) {
        const pixels = new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer);
        drawn += new Set(pixels).size - 1;
    }
    const box = element.getBoundingClientRect();
    return { series, drawn, width: box.width, height: box.height, caption: figure.querySelector('figcaption')?.innerText ?? '' };
})";

/// Returns the cells of a table.
const TABLE: &str = "(selector => {
    const table = document.querySelector(selector);
    const texts = row => [...row.cells].map(cell => cell.innerText.trim());
    return table && { head: [...table.tHead?.rows ?? []].flatMap(texts), rows: [...table.tBodies].flatMap(body => [...body.rows].map(texts)) };
})";

impl<'a> Visit<'a> {
    /// Opens the page, in a new tab, at a view such as `#/runs`.
    ///
    /// # Errors
    /// If the view doesn't come.
    pub fn begin(browser: &'a Browser, server: &'a Server, view: &str) -> anyhow::Result<Self> {
        let visit = Self { page: browser.page(WINDOW)?, server };
        visit.go(view)?;
        Ok(visit)
    }

    /// Opens the page anew at a view, and waits until it is there.
    ///
    /// # Errors
    /// If it doesn't come.
    pub fn go(&self, view: &str) -> anyhow::Result<()> {
        self.page.open(&self.server.url(&format!("/{view}")))?;
        self.is_ready()
    }

    /// Waits until nothing is loaded any more.
    ///
    /// # Errors
    /// If it fails, or goes on.
    pub fn is_ready(&self) -> anyhow::Result<()> {
        self.page.wait("document.body.dataset.state === 'ready'")
    }

    /// Waits until the page shows this view, and nothing is loaded any more.
    ///
    /// # Errors
    /// If it doesn't come.
    pub fn is_at(&self, view: &str) -> anyhow::Result<()> {
        self.page
            .wait(&format!("document.body.dataset.state === 'ready' && document.querySelector('main').dataset.view === {}", json!(view)))
    }

    /// Waits until the page follows its server, and the browser has nothing else to do.
    ///
    /// # Errors
    /// If that doesn't come.
    pub fn rests(&self) -> anyhow::Result<()> {
        self.page.wait("document.body.dataset.live === 'on'")?;
        self.page.value::<bool>("new Promise(done => requestIdleCallback(() => done(true)))").map(|_| ())
    }

    /// Returns what the server answers to the page at `/api/v1` and this path.
    ///
    /// # Errors
    /// If it doesn't answer with this type.
    pub fn api<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.page.value(&format!("fetch({}).then(answer => answer.json())", json!(format!("/api/v1{path}"))))
    }

    /// Returns the names of the charts, in order.
    ///
    /// # Errors
    /// If the page is gone.
    pub fn charts(&self) -> anyhow::Result<Vec<String>> {
        self.page.value("[...document.querySelectorAll('figure[data-chart]')].map(figure => figure.dataset.chart)")
    }

    /// Waits until the chart `name` is drawn, and returns it.
    ///
    /// # Errors
    /// If there is none, or it stays empty.
    pub fn chart(&self, name: &str) -> anyhow::Result<Chart> {
        self.page.run(&format!(
            "document.querySelector('figure[data-chart={name}]')?.scrollIntoView({{ block: 'center', behavior: 'instant' }})"
        ))?;
        let look = format!("{CHART}({})", json!(name));
        self.page.wait(&format!("({look})?.drawn > 0")).with_context(|| format!("the chart `{name}` isn't drawn"))?;
        let chart: Chart = self.page.value(&look)?;
        ensure!(chart.width >= 100.0 && chart.height >= 40.0, "the chart `{name}` is only {} x {} pixels", chart.width, chart.height);
        ensure!(!chart.caption.trim().is_empty(), "the chart `{name}` has no caption");
        Ok(chart)
    }

    /// Opens the table behind the chart `name`, and returns it.
    ///
    /// # Errors
    /// If there is none, or it stays empty.
    pub fn table_of(&self, name: &str) -> anyhow::Result<Table> {
        let details = format!("figure[data-chart={name}] details");
        if !self.page.value::<bool>(&format!("document.querySelector({}).open", json!(details)))? {
            self.page.click(&format!("{details} > summary"))?;
        }
        self.page.wait(&format!("document.querySelector({}).rows.length > 1", json!(format!("{details} table"))))?;
        self.table(&format!("{details} table"))
    }

    /// Returns the table that `selector` names.
    ///
    /// # Errors
    /// If there is none.
    pub fn table(&self, selector: &str) -> anyhow::Result<Table> {
        let table: Option<Table> = self.page.value(&format!("{TABLE}({})", json!(selector)))?;
        table.with_context(|| format!("there is no table `{selector}`"))
    }

    /// Returns the text of the first element that `selector` names.
    ///
    /// # Errors
    /// If there is none.
    pub fn text(&self, selector: &str) -> anyhow::Result<String> {
        let text: Option<String> = self.page.value(&format!("document.querySelector({})?.innerText", json!(selector)))?;
        text.with_context(|| format!("there is no `{selector}`"))
    }

    /// Returns the names of the runs whose rows exist, in order.
    ///
    /// # Errors
    /// If the page is gone.
    pub fn rows(&self) -> anyhow::Result<Vec<String>> {
        self.page.value("[...document.querySelectorAll('table#runs tbody tr[data-run]')].map(row => row.dataset.run)")
    }

    /// Returns the address after `#`.
    ///
    /// # Errors
    /// If the page is gone.
    pub fn fragment(&self) -> anyhow::Result<String> {
        self.page.value("decodeURIComponent(location.hash)")
    }

    /// Checks that everything so far was asked of the server, and nobody complained of anything.
    ///
    /// # Errors
    /// If that isn't so.
    pub fn is_calm(&self) -> anyhow::Result<()> {
        self.stays_here()?;
        let problems = std::mem::take(&mut self.page.seen().problems);
        ensure!(problems.is_empty(), "the browser complains:\n{}", problems.join("\n"));
        Ok(())
    }

    /// Checks that everything so far was asked of the server.
    ///
    /// # Errors
    /// If that isn't so.
    pub fn stays_here(&self) -> anyhow::Result<()> {
        let port = self.server.address.port();
        let ours = [self.server.url("/"), format!("http://{OTHER_SITE}:{port}/"), "blob:http://127.0.0.1:".to_owned(), "data:".to_owned()];
        let requests = std::mem::take(&mut self.page.seen().requests);
        let others: Vec<&String> =
            requests.iter().filter(|url| !ours.iter().any(|our| url.starts_with(our)) && *url != "about:blank").collect();
        ensure!(others.is_empty(), "the page asks other hosts: {others:?}");
        Ok(())
    }
}
