//! Every view at widths of telephones and of walls, light and dark, and what programs that read a page aloud need.

use anyhow::ensure;
use serde_json::Value;

use super::visit::{Visit, WINDOW};
use crate::browser::{Browser, Scheme, Server, Size};

/// The widths: a small telephone, the window of the other tests, and a large screen.
const WIDTHS: [Size; 3] = [Size { width: 360, height: 740 }, WINDOW, Size { width: 2560, height: 1440 }];

/// The smallest contrast of small text to what is behind it: that of WCAG 2.2, level AA.
const CONTRAST_MIN: f64 = 4.5;

/// Returns what is wider than the window and doesn't scroll by itself.
const TOO_WIDE: &str = "(() => {
    if (document.documentElement.scrollWidth <= innerWidth) return [];
    const scrolls = element => { for (let at = element; at && at !== document.body; at = at.parentElement) if (/auto|scroll|hidden|clip/.test(getComputedStyle(at).overflowX)) return true; return false; };
    const wide = [...document.body.querySelectorAll('*')].filter(element => element.getBoundingClientRect().right > innerWidth + 1 && !scrolls(element.parentElement));
    return [`the page is ${document.documentElement.scrollWidth} px wide`, ...wide.slice(0, 3).map(element => element.outerHTML.slice(0, 100))];
})()";

/// Returns what lacks a name or a language, and ids that occur twice.
const NAMELESS: &str = "(() => {
    const found = [];
    const say = (problem, element) => found.push(`${problem}: ${element.outerHTML.slice(0, 120)}`);
    const named = element => (element.ariaLabel || element.getAttribute('aria-labelledby') || element.title || element.innerText || element.alt || '').trim() !== '';
    if (!document.documentElement.lang) found.push('the page names no language');
    if (!document.title.trim()) found.push('the page has no title');
    if (document.querySelectorAll('main').length !== 1) found.push('there is not one main');
    if (document.querySelectorAll('h1').length !== 1) found.push(`there are ${document.querySelectorAll('h1').length} h1`);
    for (const element of document.querySelectorAll('button, a[href], summary')) if (!named(element) && !element.querySelector('svg title, img[alt]')) say('no name', element);
    for (const element of document.querySelectorAll('input, select, textarea')) if (!element.labels?.length && !element.ariaLabel && !element.getAttribute('aria-labelledby')) say('no label', element);
    for (const element of document.querySelectorAll('img:not([alt])')) say('no text', element);
    for (const element of document.querySelectorAll('a:not([href]), [onclick], [tabindex]:not([tabindex=\"0\"]):not([tabindex=\"-1\"])')) say('not for the keyboard', element);
    for (const element of document.querySelectorAll('figure[data-chart] .chart')) if (!(element.ariaLabel || element.getAttribute('aria-labelledby') || element.querySelector('[aria-label]'))) say('a chart without a description', element);
    for (const element of document.querySelectorAll('th')) if (!element.scope && !element.closest('thead')) say('a header of nothing', element);
    const ids = [...document.querySelectorAll('[id]')].map(element => element.id);
    for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) found.push(`the id ${id} occurs twice`);
    let level = 0;
    for (const heading of document.querySelectorAll('h1, h2, h3, h4, h5, h6')) { const own = Number(heading.tagName[1]); if (own > level + 1) say(`a level of headings is left out before`, heading); level = own; }
    return found;
})()";

/// Returns texts that are hard to read, each with its contrast.
const FAINT: &str = "(least => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const rgba = color => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
    const over = (above, below) => above.slice(0, 3).map((value, at) => value * above[3] / 255 + below[at] * (1 - above[3] / 255));
    const light = color => { const [r, g, b] = color.map(value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const behind = element => { const layers = []; for (let at = element; at; at = at.parentElement) { const color = rgba(getComputedStyle(at).backgroundColor); layers.push(color); if (color[3] === 255) break; } return layers.reverse().reduce((below, above) => over(above, below), [255, 255, 255]); };
    const found = new Map();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node; node = walker.nextNode();) {
        const element = node.parentElement;
        if (!node.data.trim() || element.closest('svg, canvas, script, style, noscript, [aria-hidden=true], :disabled') || !element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true })) continue;
        const style = getComputedStyle(element);
        const below = behind(element);
        const [one, two] = [light(over(rgba(style.color), below)), light(below)];
        const contrast = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
        if (contrast < least) found.set(`${element.tagName.toLowerCase()}.${element.className} ${style.color} on ${below.map(Math.round)}: ${contrast.toFixed(2)}`, node.data.trim().slice(0, 40));
    }
    return [...found].map(([what, text]) => `${what}, '${text}'`);
})";

/// Checks all views of the server.
pub fn check(browser: &Browser, few: &Server) -> anyhow::Result<()> {
    let visit = Visit::begin(browser, few, "#/runs")?;
    for (what, view) in views(&visit)? {
        visit.go(&view)?;
        visit.is_at(what)?;
        let problems: Vec<String> = visit.page.value(NAMELESS)?;
        ensure!(problems.is_empty(), "{view}:\n{}", problems.join("\n"));
        for size in WIDTHS {
            visit.page.resize(size)?;
            fits(&visit, &view, size)?;
        }
        // A window that is opened at that size.
        visit.page.resize(WIDTHS[0])?;
        visit.go(&view)?;
        visit.is_at(what)?;
        fits(&visit, &view, WIDTHS[0])?;
        visit.page.resize(WINDOW)?;
        let mut grounds = Vec::new();
        for scheme in [Scheme::Light, Scheme::Dark] {
            visit.page.prefer(scheme)?;
            visit.go(&view)?;
            visit.is_at(what)?;
            let faint: Vec<String> = visit.page.value(&format!("{FAINT}({CONTRAST_MIN})"))?;
            ensure!(faint.is_empty(), "{view}, {scheme:?}: hard to read:\n{}", faint.join("\n"));
            grounds.push(visit.page.value::<String>("getComputedStyle(document.documentElement).backgroundColor")?);
        }
        ensure!(grounds[0] != grounds[1], "{view} is the same in the light and in the dark");
        visit.page.prefer(Scheme::Light)?;
    }
    visit.is_calm()
}

/// Returns the views, with their addresses.
pub fn views(visit: &Visit<'_>) -> anyhow::Result<Vec<(&'static str, String)>> {
    let runs: Vec<Value> = visit.api("/runs")?;
    let streams: Vec<Value> = visit.api("/streams")?;
    let names = |part: &str| runs.iter().filter_map(|run| run["run"].as_str()).filter(|name| name.starts_with(part)).collect::<Vec<_>>();
    let stream = streams[0]["stream"].as_str().unwrap_or_default();
    let grid: Vec<String> = names("grid-").iter().map(|name| format!("run={name}")).collect();
    Ok(vec![
        ("runs", "#/runs".to_owned()),
        ("run", format!("#/runs/{}", names("grid-")[0])),
        ("run", format!("#/runs/{}", names("central-")[0])),
        ("run", format!("#/runs/{}", names("nodes-")[0])),
        ("streams", "#/streams".to_owned()),
        ("stream", format!("#/streams/{stream}")),
        ("compare", format!("#/compare?{}", grid.join("&"))),
    ])
}

fn fits(visit: &Visit<'_>, view: &str, size: Size) -> anyhow::Result<()> {
    // Charts follow the window's size a moment later.
    let wide = format!("{TOO_WIDE}.length === 0");
    if visit.page.wait_within(&wide, std::time::Duration::from_secs(3)).is_err() {
        let wide: Vec<String> = visit.page.value(TOO_WIDE)?;
        anyhow::bail!("{view} at {} px: {}", size.width, wide.join("\n"));
    }
    Ok(())
}
