//! A browser that tests drive: Chromium without a window, over its DevTools protocol, and a server whose pages it shows.
//!
//! ```text
//! Browser ── Pipe: JSON ──> chromium ── HTTP, this machine only ──> Server: `fltk serve`
//!   └── Page: a tab with a storage of its own, and what it asked for and complained of
//! ```
//!
//! Nothing here waits for a fixed time: every wait is for a condition, and has a bound. Not for: the conditions themselves, which are those of the tests.

mod keys;
mod page;
mod pipe;
mod records;
mod seen;
mod server;

use std::{
    cell::RefCell,
    fs::File,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::json;
use tempfile::TempDir;

use self::pipe::Pipe;
pub use self::{
    keys::Key,
    page::{Page, Scheme, Size},
    records::{Template, make_hostile, make_runs},
    server::Server,
};
use crate::{
    setup::{debian::CHROMIUM, programs},
    sh,
};

/// The time limit for one answer of the browser: its start takes a second on an idle machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// The name of another site, which the browser looks for on this machine, so that a page can be asked for under a name that its server doesn't know.
pub const OTHER_SITE: &str = "other-site.example.org";

/// The flags, after those that depend on the session. The first of them are what makes a Chromium run as root, in a container, without a screen.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    // It asks for nothing by itself.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Pictures look the same on every machine.
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--lang=en-US",
    "--remote-debugging-pipe",
];

/// A running browser.
pub struct Browser {
    /// Declared before the folder, so that the browser ends before its folder is removed.
    _process: Process,
    pipe: RefCell<Pipe>,
    /// The profile, and what pages save.
    folder: TempDir,
}

struct Process(Child);

impl Browser {
    /// Starts Chromium.
    ///
    /// # Errors
    /// If it isn't on this machine, or doesn't start.
    pub fn start() -> anyhow::Result<Self> {
        if !programs::is_on_path(CHROMIUM) {
            let package = programs::package_of(CHROMIUM).unwrap_or(CHROMIUM);
            bail!("there is no program `{CHROMIUM}` in the folders of PATH\nhint: on Debian the package `{package}` has it");
        }
        let folder = tempfile::tempdir()?;
        let said = File::create(folder.path().join("said")).context("can't write into a temporary folder")?;
        // Chromium reads messages from descriptor 3, and writes to 4.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >&2", CHROMIUM]).args(FLAGS);
        // Names of other hosts lead nowhere.
        let rules = format!("MAP {OTHER_SITE} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost");
        command.arg(format!("--host-resolver-rules={rules}")).arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(said);
        let mut process = Process(sh::start(&mut command)?);
        let (to, from) = (process.0.stdin.take(), process.0.stdout.take());
        let pipe = Pipe::new(to.context("no pipe to the browser")?, from.context("no pipe from the browser")?);
        let browser = Self { _process: process, pipe: RefCell::new(pipe), folder };
        browser.call("", "Browser.getVersion", json!({}))?;
        Ok(browser)
    }

    /// Opens an empty page in a window of this size.
    ///
    /// # Errors
    /// If the browser refuses.
    pub fn page(&self, size: Size) -> anyhow::Result<Page<'_>> {
        Page::new(self, size)
    }

    /// Calls a method of the protocol, of a page's `session` or, without one, of the browser.
    fn call(&self, session: &str, method: &str, params: serde_json::Value) -> anyhow::Result<serde_json::Value> {
        self.pipe.borrow_mut().call(session, method, params, ANSWER_LIMIT)
    }
}

impl Drop for Process {
    /// Ends the browser, with all of its processes, which notice that it is gone.
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
