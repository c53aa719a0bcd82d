"use strict";
// Data: from the server, or, in a report, from the file itself.

/** Parses an answer. Seeds are texts: many are above 2^53, beyond which numbers of JavaScript skip some. */
function parsed(text) {
  return JSON.parse(text, (key, value, context) => (key === "seed" && typeof value === "number" && context?.source ? context.source : value));
}

/** What a report carries: each answer of the API by its path. Null on a server. */
const CARRIED = (() => {
  const carrier = document.getElementById("data");
  return carrier ? parsed(carrier.textContent) : null;
})();

/** The folder of the page on its server, so that everything works behind a prefix. */
const BASE = new URL(".", document.baseURI).pathname;
const TOKEN = "fltk-token";

/** The server asks for a token that it wasn't given. */
class TokenNeeded extends Error {}

function authorization() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { authorization: `Bearer ${token}` } : {};
}

/** Fetches an answer of the API, such as `runs/NAME`. */
async function api(path, signal) {
  if (CARRIED) {
    if (path in CARRIED) return CARRIED[path];
    throw new Error("This report doesn't contain that.");
  }
  const response = await fetch(`${BASE}api/v1/${path}`, { headers: authorization(), signal });
  await refuse(response);
  return parsed(await response.text());
}

async function refuse(response) {
  if (response.ok) return;
  if (response.status === 401) throw new TokenNeeded();
  const answer = await response.json().catch(() => null);
  throw new Error(answer?.error ?? `the server answered ${response.status}`);
}

/** Downloads an answer, such as an archive, with the token. */
async function download(path, name) {
  const response = await fetch(`${BASE}api/v1/${path}`, { headers: authorization() });
  await refuse(response);
  save(name, await response.blob());
}

/** Returns a name as a segment of a path. */
const segment = encodeURIComponent;

function setLive(state) {
  document.body.dataset.live = state;
  const words = { on: "live", off: CARRIED ? "report" : "not live", lost: "The server doesn't answer; trying again." };
  const shownState = document.querySelector(".live");
  if (shownState && shownState.textContent !== words[state]) shownState.textContent = words[state];
}

/**
 * Follows a stream of server-sent events until `signal` is aborted or the event `end` has come. `path` is a function, since a connection that
 * is made again goes on from where the last one was. The browser's own EventSource can't send a token.
 */
async function follow(path, signal, heard) {
  if (CARRIED) return;
  let wait = 500;
  while (!signal.aborted) {
    try {
      const response = await fetch(`${BASE}api/v1/${path()}`, { headers: { ...authorization(), accept: "text/event-stream" }, signal });
      await refuse(response);
      setLive("on");
      wait = 500;
      if (await listen(response.body, heard)) {
        setLive("off");
        return;
      }
    } catch (problem) {
      if (signal.aborted) return;
      if (problem instanceof TokenNeeded) {
        setLive("off");
        return;
      }
    }
    if (signal.aborted) return;
    setLive("lost");
    await new Promise((go) => {
      const timer = setTimeout(go, wait);
      signal.addEventListener("abort", () => { clearTimeout(timer); go(); }, { once: true });
    });
    wait = Math.min(wait * 1.6, 8000);
  }
}

/** Reads events; returns true if the last one was `end`. */
async function listen(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return false;
    const blocks = (rest + value).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split(/\r?\n/);
      const of = (field) => lines.filter((line) => line.startsWith(`${field}:`)).map((line) => line.slice(field.length + 1).replace(/^ /, "")).join("\n");
      const event = of("event");
      if (event === "end") return true;
      if (event) heard(event, parsed(of("data") || "null"));
    }
  }
}
