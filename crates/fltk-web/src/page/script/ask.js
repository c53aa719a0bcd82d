"use strict";
// The first question to the server. The browser runs this file before it has read the others, and the answer is on its way meanwhile.

/**
 * Parses an answer. Large seeds become texts: beyond 2^53, numbers of JavaScript skip some. In JSON a quote inside of a text has a backslash before it,
 * so that only the key itself can look like this; a function for each value would take ten times as long as the rest.
 */
function parsed(text) {
  return JSON.parse(text.replace(/"seed":(\s*)(\d{16,})(?=\s*[,}])/g, '"seed":$1"$2"'));
}

/** The answers of the API that a report carries, by their paths. Null on a server. */
const CARRIED = (() => {
  const carrier = document.getElementById("data");
  return carrier ? parsed(carrier.textContent) : null;
})();

/** The folder of the page on its server, so that everything works behind a prefix. */
const BASE = new URL(".", document.baseURI).pathname;
const TOKEN = "fltk-token";

/** The token, where the server asks for one; a look into the browser's storage takes long. */
let token = "asksToken" in document.documentElement.dataset ? sessionStorage.getItem(TOKEN) : null;

/** Asks the server, with the token if it needs one. */
function ask(path, { headers, signal } = {}) {
  return fetch(`${BASE}api/v1/${path}`, { headers: { ...headers, ...(token && { authorization: `Bearer ${token}` }) }, signal });
}

/** The list of runs, which is asked for before anything is drawn where it is what the page begins with. */
let early = !CARRIED && /^(#\/?(runs(\?.*)?)?)?$/.test(location.hash) ? ask("table") : null;
early?.catch(() => {});
