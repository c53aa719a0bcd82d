//! A page: what a person does with it, and what can be seen of it.

use std::{
    cell::{RefCell, RefMut},
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use data_encoding::BASE64;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Browser,
    keys::Key,
    seen::{Seen, exception},
};

/// The time limit for conditions that hold within a moment on an idle machine.
const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// The script that runs before those of every page: it notes tasks during which the page can't react, and what its policy has refused.
const WATCH: &str = "
window.watched = { tasks: [], refused: [] };
new PerformanceObserver(list => watched.tasks.push(...list.getEntries().map(task => task.duration))).observe({ type: 'longtask', buffered: true });
addEventListener('securitypolicyviolation', event => watched.refused.push(`${event.effectiveDirective}: ${event.blockedURI}`));
";

/// The size of a window, in pixels of CSS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// From left to right.
    pub width: u32,
    /// From top to bottom.
    pub height: u32,
}

/// The colors that a person prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Dark text on light.
    Light,
    /// Light text on dark.
    Dark,
}

/// A page in a tab of its own, with a storage of its own. It is closed when the value is dropped.
pub struct Page<'b> {
    browser: &'b Browser,
    /// The identities of the storage, of the tab, and of our connection to it.
    context: String,
    target: String,
    session: String,
    seen: RefCell<Seen>,
}

/// The answer of the browser to an expression.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Evaluated {
    #[serde(default)]
    result: Value,
    exception_details: Option<Value>,
}

impl<'b> Page<'b> {
    pub(super) fn new(browser: &'b Browser, size: Size) -> anyhow::Result<Self> {
        let field =
            |value: &Value, name: &str| value[name].as_str().map(str::to_owned).with_context(|| format!("the browser gave no `{name}`"));
        let context = field(&browser.call("", "Target.createBrowserContext", json!({}))?, "browserContextId")?;
        let created = browser.call("", "Target.createTarget", json!({ "url": "about:blank", "browserContextId": context }))?;
        let target = field(&created, "targetId")?;
        let attached = browser.call("", "Target.attachToTarget", json!({ "targetId": target, "flatten": true }))?;
        let page = Self { browser, context, target, session: field(&attached, "sessionId")?, seen: RefCell::default() };
        for domain in ["Page", "Runtime", "Network", "Log"] {
            page.call(&format!("{domain}.enable"), json!({}))?;
        }
        page.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WATCH }))?;
        let saved = page.saved_folder();
        fs::create_dir_all(&saved)?;
        let download = json!({ "behavior": "allow", "downloadPath": saved, "browserContextId": page.context, "eventsEnabled": true });
        browser.call("", "Browser.setDownloadBehavior", download)?;
        page.resize(size)?;
        Ok(page)
    }

    /// Calls a method of the protocol.
    fn call(&self, method: &str, params: Value) -> anyhow::Result<Value> {
        self.browser.call(&self.session, method, params)
    }

    /// Goes to `url` as somebody who types it: nothing of the page before remains but its storage.
    ///
    /// # Errors
    /// If nothing is there.
    pub fn open(&self, url: &str) -> anyhow::Result<()> {
        // From a page to a part of the same page, nothing would be loaded.
        for url in ["about:blank", url] {
            let opened = self.call("Page.navigate", json!({ "url": url }))?;
            if let Some(error) = opened["errorText"].as_str() {
                bail!("`{url}` can't be opened: {error}");
            }
        }
        Ok(())
    }

    /// Loads the page again.
    ///
    /// # Errors
    /// If the browser refuses.
    pub fn reload(&self) -> anyhow::Result<()> {
        // The old document answers until the new one is there; only the old one has the mark.
        self.run("window.isOld = true")?;
        self.call("Page.reload", json!({}))?;
        self.wait("window.isOld === undefined && document.body !== null")
    }

    /// Makes the window this large.
    ///
    /// # Errors
    /// If the browser refuses.
    pub fn resize(&self, size: Size) -> anyhow::Result<()> {
        let Size { width, height } = size;
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }),
        )?;
        Ok(())
    }

    /// Prefers these colors.
    ///
    /// # Errors
    /// If the browser refuses.
    pub fn prefer(&self, scheme: Scheme) -> anyhow::Result<()> {
        let value = if scheme == Scheme::Dark { "dark" } else { "light" };
        self.call("Emulation.setEmulatedMedia", json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] }))?;
        Ok(())
    }

    /// Returns the value of an expression of JavaScript; of a promise, what it is fulfilled with.
    ///
    /// # Errors
    /// If it throws, or its value is something else.
    pub fn value<T: DeserializeOwned>(&self, expression: &str) -> anyhow::Result<T> {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let Evaluated { result, exception_details } = serde_json::from_value(self.call("Runtime.evaluate", params)?)?;
        if let Some(details) = exception_details {
            bail!("`{expression}`: {}", exception(&details));
        }
        let value = result.get("value").cloned().unwrap_or_default();
        serde_json::from_value(value.clone()).with_context(|| format!("`{expression}` is `{value}`"))
    }

    /// Runs a script for what it does.
    ///
    /// # Errors
    /// If it throws.
    pub fn run(&self, script: &str) -> anyhow::Result<()> {
        self.value::<Value>(&format!("{{ {script}; }} undefined")).map(|_| ())
    }

    /// Waits until an expression of JavaScript is true. One that throws isn't true yet.
    ///
    /// # Errors
    /// If it isn't within twenty seconds.
    pub fn wait(&self, condition: &str) -> anyhow::Result<()> {
        self.wait_within(condition, WAIT_LIMIT).map(|_| ())
    }

    /// Does the same as [`wait`](Self::wait) with another limit, and returns how long it took.
    ///
    /// # Errors
    /// If it isn't true within `limit`.
    pub fn wait_within(&self, condition: &str, limit: Duration) -> anyhow::Result<Duration> {
        let began = Instant::now();
        loop {
            let left = limit.saturating_sub(began.elapsed());
            let looked = self.value::<bool>(&waiting(condition, left));
            match looked {
                Ok(true) => return Ok(began.elapsed()),
                // The page may have been replaced by another while it was asked.
                Err(error) if !left.is_zero() && is_replaced(&error) => {}
                Ok(false) => {
                    let problems = self.seen().problems.join("\n");
                    let state: String = self.value("JSON.stringify({ ...document.body.dataset, at: location.href })").unwrap_or_default();
                    bail!("`{condition}` isn't true within {:.1} s; the page is {state}\n{problems}", limit.as_secs_f64());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until an expression is true, and returns the time from the beginning of the page until then, by the page's own clock. The page is looked at
    /// every hundredth of a second.
    ///
    /// # Errors
    /// Those of [`wait`](Self::wait).
    pub fn time_until(&self, condition: &str) -> anyhow::Result<Duration> {
        // The clock is read in the same moment in which the condition is true.
        self.wait(&format!("({condition}) && (window.trueAt ??= performance.now())"))?;
        Ok(Duration::from_secs_f64(self.value::<f64>("window.trueAt")? / 1000.0))
    }

    /// Clicks in the middle of the first element that `selector` names, as a person does: the element has to be in sight, with nothing above it.
    ///
    /// # Errors
    /// If there is no such element, or it can't be clicked.
    pub fn click(&self, selector: &str) -> anyhow::Result<()> {
        let place = self.press_mouse(selector)?;
        self.release_mouse(place)
    }

    /// Presses the left button of the mouse in the middle of the first element that `selector` names, and returns that place, in pixels of the window.
    ///
    /// # Errors
    /// Those of [`click`](Self::click).
    pub fn press_mouse(&self, selector: &str) -> anyhow::Result<(f64, f64)> {
        let place = self.middle(selector)?;
        self.mouse("mouseMoved", place, "none")?;
        self.mouse("mousePressed", place, "left")?;
        Ok(place)
    }

    /// Lets the left button of the mouse go.
    ///
    /// # Errors
    /// If the browser refuses.
    pub fn release_mouse(&self, place: (f64, f64)) -> anyhow::Result<()> {
        self.mouse("mouseReleased", place, "left")
    }

    fn mouse(&self, kind: &str, (x, y): (f64, f64), button: &str) -> anyhow::Result<()> {
        let count = i32::from(button == "left");
        self.call("Input.dispatchMouseEvent", json!({ "type": kind, "x": x, "y": y, "button": button, "clickCount": count })).map(|_| ())
    }

    /// Turns the wheel at a place of the window, by as many pixels; a negative number goes up. With the control key, pages look closer.
    ///
    /// # Errors
    /// If the browser refuses.
    pub fn turn_wheel(&self, (x, y): (f64, f64), pixels: i32, with_control: bool) -> anyhow::Result<()> {
        let modifiers = if with_control { 2 } else { 0 };
        let event = json!({ "type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": pixels, "modifiers": modifiers });
        self.call("Input.dispatchMouseEvent", event).map(|_| ())
    }

    /// Brings an element into sight, and returns the middle of what is then in sight of it, in pixels of the window.
    ///
    /// # Errors
    /// Those of [`click`](Self::click).
    pub fn middle(&self, selector: &str) -> anyhow::Result<(f64, f64)> {
        let script = "(selector => {
            const element = document.querySelector(selector);
            if (!element) return { problem: 'there is none' };
            element.scrollIntoView({ block: 'center', inline: 'nearest', behavior: 'instant' });
            const { left: l, right: r, top: t, bottom: b } = element.getBoundingClientRect();
            let [left, right, top, bottom] = [Math.max(l, 0), Math.min(r, innerWidth), Math.max(t, 0), Math.min(b, innerHeight)];
            for (let at = element.parentElement; at && at !== document.body; at = at.parentElement) {
                if (getComputedStyle(at).overflow === 'visible') continue;
                const box = at.getBoundingClientRect();
                [left, right, top, bottom] = [Math.max(left, box.left), Math.min(right, box.right), Math.max(top, box.top), Math.min(bottom, box.bottom)];
            }
            const [x, y] = [(left + right) / 2, (top + bottom) / 2];
            const above = document.elementFromPoint(x, y);
            const isFree = above && (element === above || element.contains(above) || above.contains(element) || above.closest('label')?.control === element);
            return isFree ? { x, y } : { problem: above ? `it is behind ${above.outerHTML.slice(0, 200)}` : 'it is out of sight' };
        })";
        let found: Value = self.value(&format!("{script}({})", json!(selector)))?;
        if let Some(problem) = found["problem"].as_str() {
            bail!("`{selector}` can't be clicked: {problem}");
        }
        let at = |name: &str| found[name].as_f64().with_context(|| format!("`{selector}` is nowhere"));
        Ok((at("x")?, at("y")?))
    }

    /// Clicks into the field that `selector` names, and replaces its text.
    ///
    /// # Errors
    /// Those of [`click`](Self::click).
    pub fn write(&self, selector: &str, text: &str) -> anyhow::Result<()> {
        self.click(selector)?;
        self.run(&format!("document.querySelector({}).select()", json!(selector)))?;
        if text.is_empty() {
            self.call(
                "Input.dispatchKeyEvent",
                json!({ "type": "keyDown", "key": "Delete", "code": "Delete", "windowsVirtualKeyCode": 46 }),
            )?;
        }
        self.call("Input.insertText", json!({ "text": text })).map(|_| ())
    }

    /// Presses a key, and lets it go.
    ///
    /// # Errors
    /// If the browser refuses.
    pub fn press(&self, key: Key) -> anyhow::Result<()> {
        let fields = key.fields();
        let mut event = json!({
            "key": fields.key, "code": fields.code, "windowsVirtualKeyCode": fields.number, "modifiers": if fields.shift { 8 } else { 0 },
        });
        event["type"] = if fields.text.is_some() { "keyDown" } else { "rawKeyDown" }.into();
        if let Some(text) = fields.text {
            event["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", event.clone())?;
        event["type"] = "keyUp".into();
        self.call("Input.dispatchKeyEvent", event).map(|_| ())
    }

    /// Presses the tabulator until the element that `selector` names has the focus, at most `times`.
    ///
    /// # Errors
    /// If the keyboard doesn't lead there.
    pub fn tab_to(&self, selector: &str, times: u32) -> anyhow::Result<()> {
        let is_there = format!("document.activeElement?.matches({}) === true", json!(selector));
        for _ in 0..times {
            self.press(Key::Tab)?;
            if self.value(&is_there)? {
                return Ok(());
            }
        }
        bail!("the tabulator doesn't lead to `{selector}` within {times} times")
    }

    /// Returns a picture, as PNG or, by the name of `path`, WebP: of the window, or of the element that `selector` names.
    ///
    /// # Errors
    /// If there is no such element, or the file can't be written.
    pub fn picture(&self, path: &Path, selector: Option<&str>) -> anyhow::Result<()> {
        let is_webp = path.extension().is_some_and(|extension| extension == "webp");
        let mut params = if is_webp { json!({ "format": "webp", "quality": 80 }) } else { json!({ "format": "png" }) };
        if let Some(selector) = selector {
            let script = "(box => ({ x: box.x + scrollX, y: box.y + scrollY, width: box.width, height: box.height, scale: 1 }))";
            let clip: Value = self.value(&format!("{script}(document.querySelector({}).getBoundingClientRect())", json!(selector)))?;
            params["clip"] = clip;
            params["captureBeyondViewport"] = true.into();
        }
        let taken = self.call("Page.captureScreenshot", params)?;
        let bytes = taken["data"].as_str().map(|text| BASE64.decode(text.as_bytes())).context("the browser took no picture")??;
        fs::write(path, bytes).with_context(|| format!("can't write `{}`", path.display()))
    }

    /// Waits for a file that the page saves, and returns its name and its bytes. The file is then removed.
    ///
    /// # Errors
    /// If none is saved within twenty seconds.
    pub fn saved(&self) -> anyhow::Result<(String, Vec<u8>)> {
        let wait = |what: &str, wanted: &dyn Fn(&Value) -> bool, method: &str| {
            self.browser.pipe.borrow_mut().wait(what, |event| event.method == method && wanted(&event.params), WAIT_LIMIT)
        };
        let begun = wait("a file", &|_| true, "Browser.downloadWillBegin")?;
        let of_it = |params: &Value| params["guid"] == begun.params["guid"] && params["state"] != "inProgress";
        let ended = wait("the rest of a file", &of_it, "Browser.downloadProgress")?;
        let name = begun.params["suggestedFilename"].as_str().context("a file without a name")?;
        ensure!(ended.params["state"] == "completed", "`{name}` wasn't saved");
        let path = self.saved_folder().join(name);
        let bytes = fs::read(&path).with_context(|| format!("can't read `{}`", path.display()))?;
        fs::remove_file(&path)?;
        Ok((name.to_owned(), bytes))
    }

    fn saved_folder(&self) -> std::path::PathBuf {
        self.browser.folder.path().join("saved").join(&self.context)
    }

    /// Returns what was seen so far. What the page's policy refused is among the problems.
    pub fn seen(&self) -> RefMut<'_, Seen> {
        let refused: Vec<String> = self.value("window.watched ? watched.refused.splice(0) : []").unwrap_or_default();
        let events = self.browser.pipe.borrow_mut().events(&self.session);
        let mut seen = self.seen.borrow_mut();
        match events {
            Ok(events) => events.iter().for_each(|event| seen.take(event)),
            Err(error) => seen.problems.push(format!("{error:#}")),
        }
        seen.problems.extend(refused.into_iter().map(|refused| format!("the content security policy refused {refused}")));
        seen
    }

    /// Takes the durations in milliseconds of the tasks since the last call during which the page couldn't react; those of 50 ms and less aren't known.
    ///
    /// # Errors
    /// If the page is gone.
    pub fn blocked_ms(&self) -> anyhow::Result<Vec<f64>> {
        // The browser tells of a task after it.
        self.value("new Promise(done => setTimeout(() => done(watched.tasks.splice(0)), 0))")
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        // The browser may be gone.
        let _ = self.browser.call("", "Target.closeTarget", json!({ "targetId": self.target }));
        let _ = self.browser.call("", "Target.disposeBrowserContext", json!({ "browserContextId": self.context }));
    }
}

/// Returns an expression whose promise is fulfilled with true once `condition` is, or with false after `limit`.
fn waiting(condition: &str, limit: Duration) -> String {
    format!(
        "new Promise(done => {{
            const end = performance.now() + {};
            const look = () => {{
                let is_true = false;
                try {{ is_true = Boolean({condition}); }} catch {{ is_true = false; }}
                if (is_true || performance.now() >= end) done(is_true); else setTimeout(look, 10);
            }};
            look();
        }})",
        limit.as_millis()
    )
}

/// True if the page that was asked is no longer there.
fn is_replaced(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    ["context was destroyed", "Cannot find context", "Cannot find default execution context", "navigated or closed", "was collected"]
        .iter()
        .any(|part| text.contains(part))
}
