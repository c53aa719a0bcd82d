"use strict";
// The frame of the page, and which view is in it.

const VIEWS = { runs: [viewRuns, viewRun], streams: [viewStreams, viewStream], compare: [viewCompare, null], report: [viewReport, null] };

/** Shows a problem above whatever is in sight. */
function complain(problem) {
  const place = document.querySelector("main");
  place.prepend(h("p.notice", { role: "alert" }, problem instanceof TokenNeeded ? "The server asks for a token; load the page again." : problem.message));
}

function askForToken(main) {
  const field = h("input", { type: "password", id: "token", autocomplete: "off", required: true, "aria-label": "Token" });
  const isWrong = Boolean(token);
  fill(main, h("h1", null, "This server asks for a token"), isWrong && h("p.notice", { role: "alert" }, "That isn't the token."),
    h("p", null, "It is the content of the file that the server was started with: ", h("code", null, "fltk serve --token-file FILE"), ". The browser keeps it until this tab is closed."),
    h("form.controls", { onsubmit: (event) => { event.preventDefault(); keepToken(field.value.trim()); render(); } }, field, h("button.primary", { type: "submit" }, "Go on")));
  main.dataset.view = "token";
  field.focus();
}

let leave = new AbortController();

async function render() {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  disposeCharts();
  const main = h("main", { id: "main", tabindex: "-1" });
  document.querySelector("main").replaceWith(main);
  document.body.dataset.state = "loading";
  setLive("off");
  const place = here();
  const [kind = CARRIED ? "report" : "runs", named] = place.parts;
  const [list, one] = VIEWS[kind] ?? [];
  const view = named !== undefined ? one : list;
  main.dataset.view = kind === "compare" || kind === "report" ? kind : named !== undefined ? kind.slice(0, -1) : kind;
  document.querySelectorAll("header.top nav a").forEach((link) => (link.dataset.kind === kind ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current")));
  document.title = "fltk";
  const slow = setTimeout(() => main.childElementCount || main.append(h("p.quiet", null, "Loading…")), 200);
  try {
    if (!view) throw new Error("There is no such page.");
    await view(main, { ...place, signal });
    if (!signal.aborted) document.body.dataset.state = "ready";
  } catch (problem) {
    if (signal.aborted) return;
    if (problem instanceof TokenNeeded) {
      askForToken(main);
      document.body.dataset.state = "ready";
      return;
    }
    const isAway = problem instanceof TypeError && /fetch/i.test(problem.message);
    fill(main, h("h1", null, "That didn't work"), h("p.notice", { role: "alert" }, isAway ? "The server doesn't answer." : problem.message), h("button", { type: "button", onclick: render }, "Try again"));
    document.body.dataset.state = "error";
    if (isAway) setLive("lost");
    else console.warn(problem);
  } finally {
    clearTimeout(slow);
  }
}

function frame() {
  const theme = () => document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const link = (kind, text) => h("a", { href: to([kind]), dataset: { kind } }, text);
  document.body.prepend(
    h("a.skip", { href: "#main", onclick: (event) => { event.preventDefault(); document.querySelector("main").focus(); } }, "Skip to the content"),
    h("header.top", null,
      h("a.brand", { href: CARRIED ? to(["report"]) : to(["runs"]) }, "fltk"),
      h("nav", { "aria-label": "Views" }, CARRIED ? link("report", "Report") : [link("runs", "Runs"), link("streams", "Streams")]),
      h("span.live", { role: "status" }, ""),
      h("button.plain", { type: "button", id: "theme", "aria-label": "Switch between light and dark", title: "Light or dark", onclick: () => { document.documentElement.dataset.theme = theme() === "dark" ? "light" : "dark"; draw([...drawn]); } }, "◐")),
    h("main", { id: "main" }));
  addEventListener("hashchange", render);
  // The keys of a page that people live in: `/` searches.
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const field = document.querySelector("#search");
    if (field) { event.preventDefault(); field.focus(); }
  });
  render();
}

frame();
