"use strict";
// The view of one stream: its jobs on a time line, the queue and what is used of the place over time, and the jobs as a table.

/** The states in which a job has no place, or can't use it. */
const WAITS = new Set(["waiting", "suspended", "held"]);

/** Returns the time up to which a stream is known: now, or when its orchestrator was last heard of. */
function endOf(line) {
  return line.now ?? line.series.at.at(-1) ?? 0;
}

async function viewStream(main, { parts: [, name], query, signal }) {
  const path = `streams/${segment(name)}`;
  let [line] = await Promise.all([api(`${path}/timeline`, signal), library()]);
  const tiles = h("div.tiles", null);
  const badge = h("span", null);
  const charts = h("div.charts", null);
  const count = h("p.quiet", { id: "count", role: "status" });
  const timeline = timelineChart(() => line);
  const queue = seriesChart("queue", "Queue", () => "jobs", () => line, () => ["waiting", "running", "suspended"].map((key) => [key, (series) => series[key], STATE_COLORS[key]]));
  const utilization = utilizationChart(() => line);

  const search = h("input", { type: "search", id: "search", value: query.get("search") ?? "", placeholder: "Search jobs: a class, a state, a node, why it waits", "aria-label": "Search jobs", oninput: () => { change({ search: search.value }); showJobs(); } });
  const state = h("select", { id: "status", "aria-label": "State", onchange: () => { change({ state: state.value }); showJobs(); } });
  const order = () => ({ by: here().query.get("sort") ?? "arrived", order: here().query.get("order") ?? "asc" });
  const waited = (job) => job.spans.reduce((sum, [state, from, until]) => (WAITS.has(line.states[state]) ? sum + (until ?? endOf(line)) - from : sum), 0);
  const response = (job) => (job.ended !== null && job.ended !== undefined && job.arrived !== null ? job.ended - job.arrived : null);
  const why = (job) => job.why ?? (job.state === "succeeded" ? "" : job.reason ?? "");
  const columns = [
    { key: "job", title: "job", cell: (job) => (job.run ? h("a", { href: to(["runs", job.run.split("/").at(-1)]) }, job.job) : h("code", null, job.job)), sort: (job) => job.job },
    { key: "class", title: "class", cell: (job) => line.classes[job.class] ?? "", sort: (job) => line.classes[job.class] },
    { key: "priority", title: "priority", number: true, cell: (job) => String(job.priority), sort: (job) => job.priority },
    { key: "state", title: "state", cell: (job) => h(`span.badge.is-${job.state}`, null, job.state), sort: (job) => job.state },
    { key: "arrived", title: "arrived", number: true, cell: (job) => duration(job.arrived), sort: (job) => job.arrived },
    { key: "waited", title: "waited", number: true, cell: (job) => duration(waited(job)), sort: waited },
    { key: "response", title: "response", number: true, cell: (job) => duration(response(job)), sort: response },
    { key: "suspensions", title: "suspended", number: true, cell: (job) => (job.suspensions ? `${job.suspensions}×` : ""), sort: (job) => job.suspensions },
    { key: "nodes", title: "nodes", cell: (job) => job.nodes.map((node) => line.nodes[node]).join(" "), sort: (job) => job.nodes.map((node) => line.nodes[node]).join(" ") },
    { key: "why", title: "why", cell: (job) => why(job), sort: (job) => why(job) || null },
  ];
  const jobs = sheet({ id: "jobs", label: "Jobs", columns, low: true, rowAttributes: (job) => ({ dataset: { job: job.job } }), sorted: (key) => { const now = order(); change({ sort: key, order: now.by === key && now.order === "asc" ? "desc" : "asc" }); showJobs(); } });
  const showJobs = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = (job) => [job.job, line.classes[job.class], job.state, ...job.nodes.map((node) => line.nodes[node]), why(job)].join("\n").toLowerCase();
    const found = line.jobs.filter((job) => (!state.value || job.state === state.value) && words.every((word) => text(job).includes(word)));
    const now = order();
    jobs.show(inOrder(found, (columns.find((column) => column.key === now.by) ?? columns[4]).sort, now.order), now);
    const all = `${line.jobs.length} job${line.jobs.length === 1 ? "" : "s"}`;
    count.textContent = found.length === line.jobs.length ? all : `${found.length} of ${all}`;
  };
  const drawHead = () => {
    const states = new Map();
    for (const job of line.jobs) states.set(job.state, (states.get(job.state) ?? 0) + 1);
    const mean = (values) => (values.length ? values.reduce((a, b) => a + b, 0) / values.length : null);
    const tile = (value, label, kind) => h("div.tile", null, h(`b${kind ? `.is-${kind}` : ""}`, null, value), h("span", null, label));
    fill(badge, line.is_orchestrated && h("span.badge.is-running", null, "running"));
    fill(tiles, [...states].map(([one, jobsOfState]) => tile(whole(jobsOfState), one, one)), tile(duration(mean(line.jobs.map(waited))), "mean wait"), tile(duration(mean(line.jobs.map(response).filter((value) => value !== null))), "mean response"));
    const before = here().query.get("state") ?? "";
    fill(state, ["", ...states.keys()].map((one) => h("option", { value: one, selected: one === before }, one || "any state")));
    document.title = `${name} – fltk`;
  };
  // One after another, so that the page reacts in between; the time line comes first.
  const update = async () => {
    drawHead();
    draw(timeline);
    await pause(0, signal);
    if (signal.aborted) return;
    showJobs();
    for (const figure of [queue, utilization]) setTimeout(() => draw(figure));
  };

  fill(main,
    h("div.head", null, h("h1", null, name), badge, h("span.links", null, !CARRIED && h("a", { href: `${BASE}api/v1/${path}/jobs?format=csv`, onclick: (event) => { event.preventDefault(); download(`${path}/jobs?format=csv`, `${name}.csv`).catch(complain); } }, "Jobs as CSV"))),
    h("p.quiet", null, `experiment ${line.experiment}, started ${moment(line.started_at)}`), tiles, charts, h("h2", null, "Jobs"), h("div.controls", null, search, state, count), jobs);
  fill(charts, timeline, queue, utilization);
  await update();
  if (CARRIED) return;
  follow(() => `${path}/live`, signal, sparing(() => api(`${path}/timeline`, signal), async (answer) => {
    if (answer === line) return;
    line = answer;
    await update();
  }, signal));
}

/** The most bars that are drawn at a time: those side by side are drawn as one. */
const BARS_MAX = 1200;

/** Puts the jobs of each group on as few lines as possible, so that none cover each other: `{ lines: [group, ...], at: [line of each job] }`. */
function lanes(jobs, groupOf, groups, now) {
  const at = new Array(jobs.length);
  const members = Array.from({ length: groups }, () => []);
  jobs.forEach((job, index) => { if (job.spans.length) members[groupOf(job)].push(index); });
  const lines = [];
  members.forEach((of, group) => {
    of.sort((a, b) => jobs[a].spans[0][1] - jobs[b].spans[0][1]);
    // The lanes that are taken, as a heap by when they are free: thousands of jobs may be there at a time.
    const taken = [];
    for (const index of of) {
      const spans = jobs[index].spans;
      const end = spans.at(-1)[2] ?? now;
      if (taken.length && taken[0][0] <= spans[0][1]) {
        const [, lane] = taken[0];
        taken[0] = [end, lane];
        sink(taken);
        at[index] = lane;
      } else {
        at[index] = lines.length;
        taken.push([end, lines.length]);
        rise(taken);
        lines.push(group);
      }
    }
  });
  return { lines, at };
}

/** Moves the first entry of a heap to its place. */
function sink(heap) {
  for (let at = 0; ;) {
    let least = at;
    for (const child of [2 * at + 1, 2 * at + 2]) if (child < heap.length && heap[child][0] < heap[least][0]) least = child;
    if (least === at) return;
    [heap[at], heap[least]] = [heap[least], heap[at]];
    at = least;
  }
}

/** Moves the last entry of a heap to its place. */
function rise(heap) {
  for (let at = heap.length - 1; at > 0;) {
    const parent = (at - 1) >> 1;
    if (heap[parent][0] <= heap[at][0]) return;
    [heap[at], heap[parent]] = [heap[parent], heap[at]];
    at = parent;
  }
}

function timelineChart(data) {
  const group = () => (here().query.get("by") === "node" ? "node" : "class");
  const LINES_MAX = 300;
  let latest = [];
  const look = () => {
    const line = data();
    const now = endOf(line);
    const byNode = group() === "node";
    const groups = byNode ? [...line.nodes, "no node"] : line.classes;
    const groupOf = (job) => (byNode ? job.nodes[0] ?? line.nodes.length : job.class);
    let { lines, at } = lanes(line.jobs, groupOf, groups.length, now);
    // With very many jobs at a time, several share a line.
    const fold = Math.max(1, Math.ceil(lines.length / LINES_MAX));
    if (fold > 1) {
      at = at.map((one) => (one === undefined ? one : Math.floor(one / fold)));
      lines = lines.filter((_, index) => index % fold === 0);
    }
    const bars = [];
    line.jobs.forEach((job, index) => { if (at[index] !== undefined) for (const [state, from, until] of job.spans) bars.push([at[index], from, until ?? now, state, index]); });
    bars.sort((a, b) => a[1] - b[1]);
    const few = condensed(bars, 0, now);
    const first = lines.map((one, index) => (index === 0 || lines[index - 1] !== one ? groups[one] : ""));
    latest = bars;
    return {
      option: {
        grid: { bottom: 58 },
        legend: { data: line.states.filter((_, index) => bars.some((bar) => bar[3] === index)).map((state) => ({ name: state, itemStyle: { color: STATE_COLORS[state] ?? "#8b949e" } })), selectedMode: false },
        tooltip: { formatter: ({ value }) => { const job = line.jobs[value[4]]; return tip(h("b", null, `${job.job} (${line.classes[job.class]})`), `${line.states[value[3]]} for ${duration(value[2] - value[1])}, from ${duration(value[1])}`, job.nodes.map((node) => line.nodes[node]).join(" "), job.why ?? job.reason ?? ""); } },
        xAxis: { type: "value", name: "time since the stream started", min: 0, max: now || 1, axisLabel: { formatter: (value) => duration(value), showMaxLabel: false } },
        yAxis: { type: "category", inverse: true, data: lines.map((_, index) => String(index)), axisLabel: { formatter: (value) => first[value] ?? "", interval: (index) => first[index] !== "", hideOverlap: true }, axisTick: { show: false }, splitLine: { show: false } },
        dataZoom: [{ type: "slider", bottom: 6, height: 18, filterMode: "none", labelFormatter: (value) => duration(value) }, { type: "inside", filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false, moveOnMouseMove: true }],
        series: line.states.map((state, index) => ({ name: state, type: "custom", renderItem: renderBar, encode: { x: [1, 2], y: 0 }, color: STATE_COLORS[state] ?? "#8b949e", data: few.filter((bar) => bar[3] === index), progressive: 0, clip: true })),
      },
      header: ["job", "class", "priority", "state", "arrived s", "ended s", "suspensions", "nodes", "why", ...line.states.map((state) => `${state} s`)],
      get rows() { return line.jobs.map((job) => [job.job, line.classes[job.class], job.priority, job.state, job.arrived, job.ended, job.suspensions, job.nodes.map((node) => line.nodes[node]).join(" "), job.why ?? job.reason ?? "",
        ...line.states.map((_, index) => Number(job.spans.filter((span) => span[0] === index).reduce((sum, [, from, until]) => sum + (until ?? now) - from, 0).toFixed(3)))]); },
    };
  };
  // After a zoom the bars in sight are drawn as finely as the picture shows.
  const listen = (instance) => {
    let pause = 0;
    const finer = () => {
      const [{ startValue, endValue }] = instance.getOption().dataZoom;
      const seen = condensed(latest.filter((bar) => bar[2] >= startValue && bar[1] <= endValue), startValue, endValue);
      instance.setOption({ series: data().states.map((_, index) => ({ data: seen.filter((bar) => bar[3] === index) })) });
    };
    instance.on("dataZoom", () => { clearTimeout(pause); pause = setTimeout(() => figure.isConnected && finer(), 120); });
  };
  const figure = chart({ name: "timeline", title: "Time line", wide: true, svg: false, height: "26rem", note: "Ctrl and the wheel zoom; drag moves", look, drawnFirst: listen });
  const choice = h("select", { "aria-label": "Lines of the time line", dataset: { choice: "timeline" }, onchange: () => { change({ by: choice.value }); draw(figure); } }, ["class", "node"].map((one) => h("option", { value: one, selected: one === group() }, `by ${one}`)));
  figure.querySelector(".tools").before(choice);
  return figure;
}

/** Joins bars of one state on a line that are closer than what a picture shows, more and more, until there are few enough to draw at once. */
function condensed(bars, from, until) {
  let joined = bars;
  for (let step = (until - from) / 1500; joined.length > BARS_MAX && step < until - from; step *= 1.7) {
    const last = new Map();
    const finer = joined;
    joined = [];
    for (const bar of finer) {
      const key = bar[0] * 64 + bar[3];
      const before = last.get(key);
      if (before && bar[1] - before[2] < step) {
        before[2] = Math.max(before[2], bar[2]);
      } else {
        const copy = [...bar];
        last.set(key, copy);
        joined.push(copy);
      }
    }
  }
  return joined;
}

function seriesChart(name, title, y, data, lines) {
  return chart({ name, title, look: () => {
    const { series } = data();
    const there = lines().map(([label, of, color]) => [label, of(series), color]).filter(([, values]) => values?.some(Boolean));
    return {
      option: {
        legend: { data: there.map(([label]) => label) }, tooltip: { trigger: "axis", formatter: (points) => tip(h("b", null, duration(points[0].value[0])), points.map((point) => h("div", null, h("span", { style: `color: ${point.color}` }, "● "), `${point.seriesName}: ${number(point.value[1])}`))) },
        xAxis: { type: "value", name: "time since the stream started", min: 0, max: "dataMax", splitNumber: 4, axisLabel: { formatter: (value) => duration(value), showMaxLabel: false }, splitLine: { show: false } }, yAxis: { type: "value", name: y(), min: 0 },
        dataZoom: [{ type: "inside", filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false }],
        series: there.map(([label, values, color]) => ({ name: label, type: "line", step: "end", symbol: "none", color, areaStyle: { opacity: 0.12 }, data: series.at.map((at, index) => [at, values[index]]) })),
      },
      header: ["seconds", ...there.map(([label]) => label)], get rows() { return series.at.map((at, index) => [at, ...there.map(([, values]) => values[index])]); },
    };
  } });
}

function utilizationChart(data) {
  // A share and a number have no axis in common: what has no limit is drawn only if nothing has one.
  const kinds = () => {
    const { used = {}, capacity = {} } = data().series;
    const limited = Object.keys(used).filter((kind) => capacity[kind]);
    return { areShares: limited.length > 0, names: limited.length ? limited : Object.keys(used) };
  };
  const share = (kind) => (series) => { const capacity = series.capacity?.[kind]; return series.used[kind]?.map((used) => (capacity ? (100 * used) / capacity : used)); };
  if (!kinds().names.length) return null;
  return seriesChart("utilization", "Utilization", () => (kinds().areShares ? "% of what there is" : "requested"), data, () => kinds().names.map((kind, index) => [kind, share(kind), PALETTE[index % PALETTE.length]]));
}
