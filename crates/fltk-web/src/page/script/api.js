"use strict";
// Data: from the server, or, in a report, from the file itself.

/** The server asks for a token that it wasn't given. */
class TokenNeeded extends Error {}

/** Changes the token, and keeps it until the tab is closed. */
function keepToken(text) {
  token = text;
  sessionStorage.setItem(TOKEN, text);
}

/** The server answered, but not with what was asked for. */
class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** The last large answer, which the server needn't send again as long as it is the same. */
let held = null;

/** Fetches an answer of the API, such as `runs/NAME`. An answer that hasn't changed is the same object as before. */
async function api(path, signal) {
  if (CARRIED) {
    if (path in CARRIED) return CARRIED[path];
    throw new Error("This report doesn't contain that.");
  }
  const before = held?.path === path ? held : null;
  const first = path === "table" ? early : null;
  early = null;
  const response = await (first ?? ask(path, { headers: before && { "if-none-match": before.etag }, signal }));
  signal?.throwIfAborted();
  if (before && response.status === 304) return before.answer;
  await refuse(response);
  const answer = parsed(await response.text());
  const etag = response.headers.get("etag");
  if (etag) held = { path, etag, answer };
  return answer;
}

async function refuse(response) {
  if (response.ok) return;
  if (response.status === 401) throw new TokenNeeded();
  const answer = await response.json().catch(() => null);
  throw new Refused(answer?.error ?? `the server answered ${response.status}`, response.status);
}

/** Downloads an answer, such as an archive, with the token. */
async function download(path, name) {
  const response = await ask(path);
  await refuse(response);
  save(name, await response.blob());
}

/** Returns a name as a segment of a path. */
const segment = encodeURIComponent;

function setLive(state) {
  document.body.dataset.live = state;
  const words = { on: "live", off: CARRIED ? "report" : "", lost: "The server doesn't answer; trying again." };
  const shownState = document.querySelector(".live");
  if (shownState && shownState.textContent !== words[state]) shownState.textContent = words[state];
}

/**
 * Follows a stream of server-sent events until `signal` is aborted, the event `end` has come, or the server refuses it. `path` is a function, since
 * a connection that is made again goes on from where the last one was. `heard` is also told of the event `connected`: what happened before it is
 * no event. The browser's own EventSource can't send a token.
 */
async function follow(path, signal, heard) {
  if (CARRIED) return;
  let wait = 500;
  while (!signal.aborted) {
    try {
      const response = await ask(path(), { headers: { accept: "text/event-stream" }, signal });
      await refuse(response);
      setLive("on");
      wait = 500;
      if (await listen(response.body, heard)) {
        setLive("off");
        return;
      }
      if (!signal.aborted) setLive("lost");
    } catch (problem) {
      if (signal.aborted) return;
      // What has no place now may have one later; what isn't there stays away.
      const isBusy = problem instanceof Refused && problem.status === 503;
      if (isBusy) wait = 8000;
      if (problem instanceof TokenNeeded || problem instanceof Refused) setLive("off");
      if (problem instanceof TokenNeeded || (problem instanceof Refused && !isBusy)) return;
      if (!isBusy) setLive("lost");
    }
    if (signal.aborted) return;
    await pause(wait, signal);
    wait = Math.min(wait * 1.6, 8000);
  }
}

/** Waits so many milliseconds, or until `signal` is aborted. */
function pause(milliseconds, signal) {
  return new Promise((go) => {
    const end = () => { clearTimeout(timer); signal.removeEventListener("abort", end); go(); };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end, { once: true });
  });
}

/** The time at which a button of the mouse, a finger or a pen went down that isn't up again, in milliseconds since the page began. */
let pressedAt = -Infinity;
addEventListener("pointerdown", () => { pressedAt = performance.now(); }, true);
for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { pressedAt = -Infinity; }, true);

/** Waits until nothing is pressed: a link that is drawn anew between press and release isn't clicked. Scroll bars keep the release to themselves, hence the limit. */
async function untouched(signal) {
  const LONGEST_PRESS = 2000;
  while (performance.now() - pressedAt < LONGEST_PRESS && !signal.aborted) await pause(20, signal);
}

/**
 * Returns a function that calls `load`, and then `show` with what it returns, unless that goes on or was done a short time ago: then once more
 * afterwards. Large answers rest longer. Nothing is shown while a button is pressed.
 */
function sparing(load, show, signal) {
  let [isBusy, isWanted] = [false, false];
  return async function again() {
    isWanted = isBusy;
    if (isBusy || signal.aborted) return;
    isBusy = true;
    let began = performance.now();
    const answer = await load().catch(() => null);
    const loaded = performance.now();
    await untouched(signal);
    // That a person holds a button is no work.
    began += performance.now() - loaded;
    if (signal.aborted) return;
    // A mistake in drawing is no reason never to draw again.
    try { if (answer !== null) await show(answer); } catch (mistake) { console.error(mistake); }
    await pause(Math.max(300, 4 * (performance.now() - began)), signal);
    isBusy = false;
    if (isWanted) again();
  };
}

/** Reads events; returns true if the last one was `end`. */
async function listen(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  // A mistake in drawing is no sign that the server is gone.
  const tell = (event, data) => { try { heard(event, data); } catch (mistake) { console.error(mistake); } };
  let [rest, isConnected] = ["", false];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return false;
    const blocks = (rest + value).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      // The first block, be it a comment, says that the server looks from now on.
      if (!isConnected) tell("connected", null);
      isConnected = true;
      const lines = block.split(/\r?\n/);
      const of = (field) => lines.filter((line) => line.startsWith(`${field}:`)).map((line) => line.slice(field.length + 1).replace(/^ /, "")).join("\n");
      const event = of("event");
      if (event === "end") return true;
      if (event) tell(event, parsed(of("data") || "null"));
    }
  }
}
