//! The page and those who mean harm: names that would be programs, other sites, and people without a token.

use std::fs;

use anyhow::ensure;
use serde_json::{Value, json};

use super::{
    fixtures::{Fixtures, LONG},
    visit::{Visit, WINDOW},
};
use crate::browser::{Browser, OTHER_SITE, Server};

/// True if a name or text was taken for more than text.
const IS_HACKED: &str =
    "window.hacked !== undefined || document.querySelector('img[src=x], svg[onload], body script:not([src]):not([type])') !== null";

/// The number of jobs of a stream whose failures have hostile reasons.
const HOSTILE_JOBS: usize = 300;

/// The token of a server.
const TOKEN: &str = "a token of more than a few letters";

/// Opens every view of records with hostile names.
pub fn check_names(fixtures: &Fixtures, browser: &Browser) -> anyhow::Result<()> {
    let (folder, names) = fixtures.hostile()?;
    fixtures.long_stream(&folder, HOSTILE_JOBS)?;
    let server = fixtures.serve(&folder, &[])?;
    let visit = Visit::begin(browser, &server, "#/runs")?;
    visit.is_at("runs")?;
    let mut shown = visit.rows()?;
    shown.sort();
    let mut expected = names.clone();
    expected.sort();
    ensure!(shown == expected, "the rows are {shown:?}");
    is_harmless(&visit)?;
    for name in &names {
        visit.go("#/runs")?;
        visit.is_at("runs")?;
        visit.page.click(&format!("table#runs tbody tr[data-run={}] a", json!(name)))?;
        visit.is_at("run")?;
        let title = visit.text("main h1")?;
        // The sign that reverses a line is no part of what is seen.
        let plain = |text: &str| text.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>();
        ensure!(plain(&title).contains(&plain(name)), "the title of `{name}` is `{title}`");
        for chart in visit.charts()? {
            visit.chart(&chart)?;
        }
        is_harmless(&visit)?;
        // The same by its address.
        visit.page.reload()?;
        visit.is_at("run")?;
        is_harmless(&visit)?;
    }
    let query: String = names.iter().map(|name| format!("run={}", percent(name))).collect::<Vec<_>>().join("&");
    visit.go(&format!("#/compare?{query}"))?;
    visit.is_at("compare")?;
    is_harmless(&visit)?;
    visit.go(&format!("#/streams/{LONG}"))?;
    visit.is_at("stream")?;
    visit.chart("timeline")?;
    is_harmless(&visit)?;
    // Addresses that somebody else made up.
    for view in [
        "#/runs/<img src=x onerror=hacked=1>",
        "#/streams/..%2F..%2Fetc",
        "#/runs?search=<img src=x onerror=hacked=1>",
        "#/no/such/view",
        "#/compare?run=%22><svg onload=hacked=1>",
    ] {
        visit.page.open(&server.url(&format!("/{view}")))?;
        visit.page.wait("['ready', 'error'].includes(document.body.dataset.state)")?;
        ensure!(!visit.page.value::<bool>(IS_HACKED)?, "`{view}` is taken for HTML");
    }
    visit.stays_here()
}

fn is_harmless(visit: &Visit<'_>) -> anyhow::Result<()> {
    ensure!(!visit.page.value::<bool>(IS_HACKED)?, "a text of {} was taken for HTML", visit.fragment()?);
    visit.is_calm()
}

/// Returns a text as a part of an address.
fn percent(text: &str) -> String {
    text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Asks a server that requires a token, without one, with a wrong one, and with the right one.
pub fn check_token(fixtures: &Fixtures, browser: &Browser) -> anyhow::Result<()> {
    let file = fixtures.path("token");
    fs::write(&file, TOKEN.replace(' ', "-"))?;
    let server = fixtures.serve(&fixtures.path("few"), &["--token-file", &file.display().to_string()])?;
    let visit = Visit { page: browser.page(WINDOW)?, server: &server };
    visit.page.open(&server.url("/"))?;
    visit.page.wait("document.querySelector('main').dataset.view === 'token'")?;
    for (token, view) in [("wrong-token", "token"), (&TOKEN.replace(' ', "-"), "runs")] {
        visit.page.write("main[data-view=token] input", token)?;
        visit.page.click("main[data-view=token] button")?;
        visit
            .page
            .wait(&format!("document.body.dataset.state !== 'loading' && document.querySelector('main').dataset.view === '{view}'"))?;
    }
    visit.is_at("runs")?;
    ensure!(!visit.rows()?.is_empty(), "with the token there are no runs");
    let address: String = visit.page.value("location.href")?;
    ensure!(!address.contains("token"), "the token is in the address: {address}");
    // It is still known after a reload, and follows to the live updates of a run.
    visit.page.reload()?;
    visit.is_at("runs")?;
    let name = visit.rows()?[0].clone();
    visit.page.click(&format!("table#runs tbody tr[data-run={}] a", json!(name)))?;
    visit.is_at("run")?;
    let requests = visit.page.seen().requests.clone();
    ensure!(!requests.iter().any(|url| url.contains(&TOKEN[2..7])), "the token is in an address");
    visit.stays_here()?;
    // Another tab with a storage of its own knows nothing.
    let other = Visit { page: browser.page(WINDOW)?, server: &server };
    other.page.open(&server.url(&format!("/#/runs/{name}")))?;
    other.page.wait("document.querySelector('main').dataset.view === 'token'")
}

/// Asks for the page under the name of another site, and from a frame of another one.
pub fn check_other_sites(browser: &Browser, few: &Server) -> anyhow::Result<()> {
    let visit = Visit { page: browser.page(WINDOW)?, server: few };
    let port = few.address.port();
    visit.page.open(&format!("http://{OTHER_SITE}:{port}/"))?;
    let shown: String = visit.page.value("document.documentElement.innerText")?;
    ensure!(shown.contains("this server answers to"), "under another name it shows: {shown}");
    let data: Value = visit.page.value("fetch('/api/v1/runs').then(answer => answer.status)")?;
    ensure!(data == 421, "under another name its data answers {data}");
    // Another page can't put it into a frame, in which a person could be made to click.
    visit.page.open(&few.url("/api/v1/runs"))?;
    visit.page.seen().problems.clear();
    visit.page.run("const frame = document.createElement('iframe'); frame.onload = () => { window.isLoaded = true; }; frame.src = '/'; document.body.append(frame)")?;
    visit.page.wait("window.isLoaded === true")?;
    let refused = visit.page.seen().problems.join("\n");
    ensure!(refused.contains("frame-ancestors"), "the page lets another one frame it: {refused}");
    for (header, part) in
        [("content-security-policy", "default-src"), ("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")]
    {
        visit.page.open(&few.url("/"))?;
        let value: Option<String> = visit.page.value(&format!("fetch('/').then(answer => answer.headers.get('{header}'))"))?;
        ensure!(value.as_deref().is_some_and(|value| value.contains(part)), "the page's `{header}` is {value:?}");
    }
    let policy: String = visit.page.value("fetch('/').then(answer => answer.headers.get('content-security-policy'))")?;
    for part in ["unsafe-eval", "http:", "https:", "*"] {
        ensure!(!policy.contains(part), "the policy has `{part}`: {policy}");
    }
    ensure!(policy.contains("frame-ancestors 'none'"), "the policy lets other sites frame the page: {policy}");
    Ok(())
}
