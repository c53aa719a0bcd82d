"use strict";
// The view of all runs: a table that is sorted, filtered by any setting, and searched.

const RUN_COLUMNS = [
  { key: "run", title: "run", cell: (run) => h("a", { href: to(["runs", run.run]) }, run.run), sort: (run) => run.run },
  { key: "task", title: "task", cell: (run) => run.task, sort: (run) => run.task, class: "may-go" },
  { key: "seed", title: "seed", number: true, cell: (run) => String(run.seed), sort: (run) => run.seed, class: "may-go" },
  { key: "status", title: "status", cell: (run) => h(`span.badge.is-${run.status}`, null, run.status), sort: (run) => run.status },
  { key: "step", title: "step", number: true, cell: (run) => stepOf(run), sort: (run) => run.step },
  { key: "accuracy", title: "accuracy", number: true, cell: (run) => fraction(run.accuracy), sort: (run) => run.accuracy },
  { key: "best", title: "best", number: true, cell: (run) => fraction(run.best_accuracy), sort: (run) => run.best_accuracy, class: "may-go" },
  { key: "loss", title: "loss", number: true, cell: (run) => (Math.abs(run.loss) < 1e4 ? fraction(run.loss) : number(run.loss)), sort: (run) => run.loss, class: "may-go" },
  { key: "curve", title: "curve", cell: (run) => sparkline(run.curve) ?? NONE },
  { key: "train_seconds", title: "training", number: true, cell: (run) => duration(run.train_seconds), sort: (run) => run.train_seconds },
  { key: "started", title: "started", cell: (run) => moment(run.started_at), sort: (run) => Date.parse(run.started_at) },
];

function stepOf(run) {
  if (run.step === null || run.step === undefined) return NONE;
  return run.num_steps ? `${run.step}/${run.num_steps}` : String(run.step);
}

/** The most runs that are compared at once. */
const COMPARED_MAX = 500;

/** A table of runs with their settings, as `/api/v1/table` has it, with each run's settings looked up on demand. */
class RunTable {
  constructor(answer) {
    this.runs = answer.runs;
    this.settings = answer.settings;
    this.skipped = answer.skipped ?? [];
    this.paths = Object.keys(this.settings).sort();
    // Settings that differ are the ones worth a column or a filter; they come first.
    this.varying = this.paths.filter((path) => this.settings[path].values.length > 1 || this.settings[path].of?.includes(null));
    this.texts = new Map();
  }

  // Most lists show neither a column nor a filter of a setting.
  get short() {
    return (this.shortOf ??= shortNames(this.paths));
  }

  get index() {
    return (this.indexOf ??= new Map(this.runs.map((run, index) => [run, index])));
  }

  value(run, path) {
    const setting = this.settings[path];
    if (!setting) return null;
    if (!setting.of) return setting.values[0];
    const at = setting.of[this.index.get(run)];
    return at === null || at === undefined ? null : setting.values[at];
  }

  /** Returns what a search looks in: names first, then every setting that differs. */
  text(run) {
    let text = this.texts.get(run);
    if (text === undefined) {
      const named = [run.run, run.experiment, run.task, run.kind, run.network, run.dataset, run.status, `seed=${run.seed}`, run.failure ?? ""];
      text = [...named, ...this.varying.map((path) => `${path}=${this.value(run, path) ?? ""}`)].join("\n").toLowerCase();
      this.texts.set(run, text);
    }
    return text;
  }

  /** Returns true if every word of a search fits: a text, or a comparison such as `learning_rate>0.01`. */
  fits(run, words) {
    return words.every((word) => {
      const [, name, sign, wanted] = /^([\w.]+)(>=|<=|!=|=|>|<)(.+)$/.exec(word) ?? [];
      if (!name) return this.text(run).includes(word);
      const known = { accuracy: run.accuracy, best: run.best_accuracy, loss: run.loss, seed: run.seed, step: run.step, status: run.status, task: run.task, run: run.run, experiment: run.experiment };
      const path = this.paths.find((one) => one.toLowerCase() === name) ?? this.paths.find((one) => one.toLowerCase().endsWith(`.${name}`));
      const value = name in known ? known[name] : path ? this.value(run, path) : undefined;
      if (value === undefined) return this.text(run).includes(word);
      const [a, b] = [Number(value), Number(wanted)];
      const areNumbers = value !== null && value !== "" && Number.isFinite(a) && Number.isFinite(b);
      const same = areNumbers ? a === b : String(value ?? "").toLowerCase() === wanted;
      if (sign === "=") return same;
      if (sign === "!=") return !same;
      if (!areNumbers) return false;
      return { ">": a > b, "<": a < b, ">=": a >= b, "<=": a <= b }[sign];
    });
  }
}

async function viewRuns(main, { query, signal }) {
  let latest = await api("table", signal);
  let table = new RunTable(latest);
  const chosen = new Set();
  const count = h("p.quiet", { id: "count", role: "status" });
  const filters = h("div.controls", { "aria-label": "Filters", role: "group" });
  const compare = h("button.primary", { type: "button", id: "compare", onclick: () => { location.hash = to(["compare"], [...comparedRuns()].map((run) => ["run", run])); } }, "Compare");
  const search = h("input", { id: "search", type: "search", value: query.get("search") ?? "", placeholder: "Search: fedprox   alpha=0.1   accuracy>0.9   status=failed", "aria-label": "Search runs by name or by any setting", oninput: () => { change({ search: search.value }); show(); } });
  const status = h("select", { id: "status", "aria-label": "Status", onchange: () => { change({ status: status.value }); show(); } },
    ["", "running", "finished", "failed", "interrupted"].map((name) => h("option", { value: name, selected: name === (query.get("status") ?? "") }, name || "any status")));
  const adder = h("select", { id: "filter", "aria-label": "Add a filter by a setting", onchange: () => { if (adder.value) { change({ [`set.${adder.value}`]: "*" }); adder.value = ""; show(); } } });
  const columnBox = h("div", { class: "settings" });
  const notice = h("div", null);

  const order = () => ({ by: here().query.get("sort") ?? "started", order: here().query.get("order") ?? "desc" });
  const grid = sheet({
    id: "runs", label: "Runs", columns: RUN_COLUMNS, rowAttributes: (run) => ({ dataset: { run: run.run } }),
    sorted: (key) => { const now = order(); change({ sort: key, order: now.by === key && now.order === "desc" ? "asc" : "desc" }); show(); },
  });

  const settingFilters = () => [...here().query].filter(([name]) => name.startsWith("set.")).map(([name, value]) => [name.slice(4), value]);
  const matching = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = settingFilters();
    return table.runs.filter((run) => (!status.value || run.status === status.value) && wanted.every(([path, value]) => value === "*" || String(table.value(run, path) ?? "") === value) && table.fits(run, words));
  };
  const comparedRuns = () => (chosen.size ? [...chosen] : matching().slice(0, COMPARED_MAX).map((run) => run.run));
  const columnsNow = () => {
    const extra = (here().query.get("columns") ?? "").split(",").filter((path) => path in table.settings);
    const pick = { key: "pick", title: h("span.visually-hidden", null, "compare"), cell: (run) => h("input", { type: "checkbox", checked: chosen.has(run.run), "aria-label": `Compare ${run.run}`, onchange: (event) => { if (event.target.checked) chosen.add(run.run); else chosen.delete(run.run); told(); } }) };
    return [pick, ...RUN_COLUMNS, ...extra.map((path) => ({ key: path, title: table.short.get(path), number: table.settings[path].values.every((value) => typeof value === "number"), cell: (run) => String(table.value(run, path) ?? ""), sort: (run) => table.value(run, path) }))];
  };
  let drawnFilters = "";
  const drawFilters = () => {
    // Controls stay as they are, and what is open stays open, unless there are other filters or values.
    const wanted = JSON.stringify([table.paths, table.varying, settingFilters(), settingFilters().map(([path]) => table.settings[path]?.values)]);
    if (wanted === drawnFilters) return;
    drawnFilters = wanted;
    const focused = filters.contains(document.activeElement) ? document.activeElement : null;
    fill(adder, h("option", { value: "" }, "filter by a setting…"), [...table.varying, ...table.paths.filter((path) => !table.varying.includes(path))].map((path) => h("option", { value: path }, path)));
    fill(filters, search, status, adder, settingFilters().map(([path, value]) => {
      const values = [...new Set(table.settings[path]?.values ?? [])].map(String).sort(byText);
      const choice = h("select", { "aria-label": path, dataset: { setting: path }, onchange: () => { change({ [`set.${path}`]: choice.value }); show(); } }, ["*", ...values].map((one) => h("option", { value: one, selected: one === value }, one === "*" ? "any" : one)));
      return h("span.chip", null, table.short.get(path) ?? path, " ", choice, h("button.plain", { type: "button", "aria-label": `Remove the filter by ${path}`, onclick: () => { change({ [`set.${path}`]: null }); show(); } }, "×"));
    }));
    if (focused?.isConnected) focused.focus();
    else if (focused?.dataset.setting) filters.querySelector(`select[data-setting="${CSS.escape(focused.dataset.setting)}"]`)?.focus();
  };
  const drawColumns = () => {
    const extra = (here().query.get("columns") ?? "").split(",").filter(Boolean);
    fill(columnBox, (table.varying.length ? table.varying : table.paths).map((path) => h("label", null, h("input", { type: "checkbox", checked: extra.includes(path), onchange: (event) => {
      const now = new Set((here().query.get("columns") ?? "").split(",").filter(Boolean));
      if (event.target.checked) now.add(path); else now.delete(path);
      change({ columns: [...now].join(",") });
      show();
    } }), " ", path)));
  };
  const told = () => {
    const shownRuns = matching().length;
    const all = `${table.runs.length} run${table.runs.length === 1 ? "" : "s"}`;
    count.textContent = shownRuns === table.runs.length ? all : `${shownRuns} of ${all}`;
    const several = chosen.size || Math.min(shownRuns, COMPARED_MAX);
    fill(compare, chosen.size ? `Compare ${counted(chosen.size, "chosen run")}` : shownRuns > COMPARED_MAX ? `Compare the first ${COMPARED_MAX}` : `Compare ${several === table.runs.length ? "all" : `these ${several}`}`);
    compare.disabled = several === 0;
  };
  const show = () => {
    const now = order();
    const columns = columnsNow();
    const by = columns.find((column) => column.key === now.by && column.sort) ?? RUN_COLUMNS.at(-1);
    drawFilters();
    grid.show(inOrder(matching(), by.sort, now.order), now, columns);
    told();
  };
  fill(main,
    h("div.head", null, h("h1", null, "Runs"), count, h("span.links", null, !CARRIED && h("a", { href: `${BASE}api/v1/export?format=csv`, onclick: (event) => { event.preventDefault(); download("export?format=csv", "runs.csv").catch(complain); } }, "All rounds as CSV"))),
    notice, filters, h("div.controls", null, compare, h("details", { ontoggle: drawColumns }, h("summary", null, "Columns"), columnBox)), grid);
  drawFilters();
  show();
  const skippedNotice = () => fill(notice, table.skipped.length > 0 && h("details.notice", null, h("summary", null, `${counted(table.skipped.length, "folder")} can't be read`), table.skipped.slice(0, 50).map(({ run, problem }) => h("p", null, `${run}: ${problem}`))),
    table.runs.length === 0 && h("p.notice.calm", null, "There are no runs yet. `fltk run examples/quickstart.yaml` makes one; it appears here while it trains."));
  skippedNotice();
  follow(() => "live", signal, sparing(() => api("table", signal), (answer) => {
    if (answer === latest) return;
    latest = answer;
    table = new RunTable(answer);
    skippedNotice();
    show();
  }, signal));
}
