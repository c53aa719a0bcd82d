//! The page: what a browser shows of records, on a server or as one file.
//!
//! ```text
//! a server:  GET /  ── page ── GET assets/ask.js, assets/page.js, assets/echarts.js, ... ── GET api/v1/... ──> records
//! a report:  one file ── the same script and styles, and the answers of the API that it shows
//! ```
//!
//! The page contains no data of its own, and computes no more than sums, means and shares of what the API says. Its script is
//! in `page/script`, a file for each view; they are sent as one, but for `ask.js`, which asks for the list before the others are there. ECharts draws the
//! charts; the build script takes it out of the crate `charming`.

pub mod paths;

use std::{fmt::Write as _, io::Read as _, sync::LazyLock};

use data_encoding::{BASE64, HEXLOWER};
use flate2::read::GzDecoder;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// ECharts, compressed with gzip.
const ECHARTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/echarts.js.gz"));
/// The version of ECharts.
pub const ECHARTS_VERSION: &str = env!("ECHARTS_VERSION");

const INDEX: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const ICON: &str = include_str!("page/icon.svg");

/// The part of the script that comes first.
const ASK: &str = include_str!("page/script/ask.js");

/// The other files of the script, in the order in which they need each other.
const SCRIPTS: [&str; 13] = [
    include_str!("page/script/api.js"),
    include_str!("page/script/dom.js"),
    include_str!("page/script/format.js"),
    include_str!("page/script/place.js"),
    include_str!("page/script/charts.js"),
    include_str!("page/script/sheet.js"),
    include_str!("page/script/runs.js"),
    include_str!("page/script/run.js"),
    include_str!("page/script/streams.js"),
    include_str!("page/script/stream.js"),
    include_str!("page/script/compare.js"),
    include_str!("page/script/report.js"),
    include_str!("page/script/main.js"),
];

/// The content security policy of the page on a server: nothing from elsewhere, no script in the page itself, and no evaluation of texts. Styles may
/// be inline, since charts set them.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static SCRIPT: LazyLock<String> = LazyLock::new(|| SCRIPTS.concat());

/// The digest of all assets, which is in their addresses: browsers may keep them for as long as they like.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for part in [ASK.as_bytes(), SCRIPT.as_bytes(), STYLE.as_bytes(), ICON.as_bytes(), ECHARTS] {
        digest.update(part);
    }
    HEXLOWER.encode(&digest.finalize()[..8])
});

/// One of the files that the page loads.
pub struct Asset {
    /// The type of its content.
    pub content_type: &'static str,
    /// The content.
    pub content: &'static [u8],
    /// True if the content is compressed with gzip.
    pub is_packed: bool,
}

/// Returns the asset of this name.
#[must_use]
pub fn asset(name: &str) -> Option<Asset> {
    let (content_type, content, is_packed) = match name {
        "ask.js" => ("text/javascript; charset=utf-8", ASK.as_bytes(), false),
        "page.js" => ("text/javascript; charset=utf-8", SCRIPT.as_bytes(), false),
        "echarts.js" => ("text/javascript; charset=utf-8", ECHARTS, true),
        "page.css" => ("text/css; charset=utf-8", STYLE.as_bytes(), false),
        "icon.svg" => ("image/svg+xml", ICON.as_bytes(), false),
        _ => return None,
    };
    Some(Asset { content_type, content, is_packed })
}

/// Returns the page as a server sends it, which may ask for a token.
#[must_use]
pub fn index(asks_token: bool) -> String {
    let version = VERSION.as_str();
    let index = if asks_token { INDEX.replace("<html ", "<html data-asks-token ") } else { INDEX.to_owned() };
    ["ask.js", "page.js", "echarts.js", "page.css", "icon.svg"]
        .iter()
        .fold(index, |page, name| page.replace(&format!("assets/{name}"), &format!("assets/{name}?{version}")))
}

/// Returns ECharts as text.
#[must_use]
pub fn echarts() -> String {
    let mut script = String::new();
    // The build script packed it; what can't be unpacked is empty, and the tests fail.
    let _ = GzDecoder::new(ECHARTS).read_to_string(&mut script);
    script
}

/// Returns a report: one file that shows `answers`, the API's answers by their paths, such as `runs/NAME`, without any request. It contains
/// `report`, which says what it is about.
#[must_use]
pub fn report(title: &str, answers: &Map<String, Value>) -> String {
    // `</script` in a closing tag would end the script early; ECharts and our own script have none, which a test checks.
    let scripts = [echarts(), [ASK, SCRIPT.as_str()].concat()];
    let hashes = scripts.iter().fold(String::new(), |mut hashes, script| {
        let _ = write!(hashes, " 'sha256-{}'", BASE64.encode(&Sha256::digest(script.as_bytes())));
        hashes
    });
    let policy = format!(
        "default-src 'none'; script-src{hashes}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    );
    // Inside a script element only `<` can begin anything.
    let data = serde_json::to_string(answers).unwrap_or_default().replace('<', "\\u003c");
    let [echarts, script] = scripts;
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body data-state=\"loading\" data-live=\"off\">\n<noscript>This report draws its charts with a script.</noscript>\n\
         <script type=\"application/json\" id=\"data\">{data}</script>\n<script>{echarts}</script>\n<script>{script}</script>\n</body>\n</html>\n",
        title = escaped(title),
    )
}

/// Returns a text as HTML.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut html, c| {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            c => html.push(c),
        }
        html
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_are_there_and_can_be_put_into_one_file() {
        for name in ["ask.js", "page.js", "echarts.js", "page.css", "icon.svg"] {
            assert!(!asset(name).unwrap().content.is_empty(), "{name}");
            assert!(index(false).contains(&format!("assets/{name}?{}", *VERSION)), "{name}");
        }
        assert!(index(true).contains("data-asks-token") && !index(false).contains("data-asks-token"));
        assert!(asset("../Cargo.toml").is_none());
        assert!(echarts().len() > 500_000 && echarts().contains("Apache License"));
        for script in [echarts(), ASK.to_owned(), SCRIPT.clone(), STYLE.to_owned()] {
            let script = script.to_ascii_lowercase();
            assert!(!script.contains("</script") && !script.contains("</style") && !script.contains("<!--"));
        }
    }

    #[test]
    fn texts_in_a_report_are_never_markup() {
        let hostile = "</script><script>alert(1)</script><!-- \u{2028} \"&";
        let answers = Map::from_iter([(hostile.to_owned(), Value::from(hostile))]);
        let report = report(hostile, &answers);
        assert_eq!(report.matches("</script").count(), 3);
        assert_eq!(report.matches("<script").count(), 3);
        assert!(!report.contains("alert(1)</"));
        let from = report.find("id=\"data\">").unwrap() + 10;
        let data = &report[from..from + report[from..].find("</script").unwrap()];
        assert_eq!(serde_json::from_str::<Map<String, Value>>(data).unwrap(), answers);
    }
}
