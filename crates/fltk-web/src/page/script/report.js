"use strict";
// The first view of a report: what it is about, the comparison, the methods, and links to what else the file carries.

async function viewReport(main, { signal }) {
  const contents = await api("report", signal);
  const methods = await api("methods", signal).catch(() => null);
  fill(main,
    h("div.head", null, h("h1", null, contents.title)),
    h("p.quiet", null, `Made by fltk ${contents.fltk_version} at ${moment(contents.made_at)}.`),
    contents.streams.length > 0 && [h("h2", null, "Streams"), h("ul", null, contents.streams.map((stream) => h("li", null, h("a", { href: to(["streams", stream]) }, stream))))],
    contents.runs.length > 0 && [
      h("h2", null, "Runs"), contents.runs.length > 1 && h("p", null, h("a", { href: to(["compare"], contents.runs.map((run) => ["run", run.run])) }, "Compared: curves, final figures, tests")),
      h("div.wide-table", null, plainTable(["run", "task", "seed", "status", "step", "accuracy", "best", "loss", "curve"], contents.runs.map((run) => [h("a", { href: to(["runs", run.run]) }, run.run), run.task, String(run.seed), h(`span.badge.is-${run.status}`, null, run.status), stepOf(run), fraction(run.accuracy), fraction(run.best_accuracy), number(run.loss), sparkline(run.curve) ?? NONE]), { id: "runs" })),
    ],
    methods && [
      h("h2", null, "Methods"), methods.paragraphs.map((text) => h("p", null, text)),
      h("h2", null, "Citations"), h("pre", { id: "bibtex" }, methods.bibtex), h("button", { type: "button", onclick: () => save("references.bib", methods.bibtex, "text/plain") }, "Save as references.bib"),
    ]);
  document.title = contents.title;
}
