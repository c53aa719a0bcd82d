"use strict";
// The view of one run: figures, curves that grow while it trains, clients, partition, confusion, nodes, settings.

async function viewRun(main, { parts: [, name], query, signal }) {
  const path = `runs/${segment(name)}`;
  let [report] = await Promise.all([api(path, signal), library()]);
  let clients = null;
  const status = h("span", null);
  const tiles = h("div.tiles", null);
  const bar = h("div", null);
  const notice = h("div", null);
  const charts = h("div.charts", { id: "curves" });
  const more = h("div.charts", { id: "more" });
  const rest = h("div", null);
  const summary = () => report.summary;
  const rows = () => report.rows;
  const unit = () => rows()[0]?.unit ?? (summary().kind === "federated" ? "round" : "epoch");

  // The x axis of curves: steps, or time.
  const hasTime = () => rows().some((row) => row.virtual_seconds !== undefined && row.virtual_seconds !== null);
  const axis = () => here().query.get("x") ?? "step";
  const began = () => Date.parse(summary().started_at);
  const xOf = (row) => (axis() === "virtual" ? row.virtual_seconds : axis() === "wall" ? (Date.parse(row.at) - began()) / 1000 : row.step);
  const xName = () => ({ virtual: "simulated seconds", wall: "seconds since the start" })[axis()] ?? unit();

  const line = (title, of) => ({ name: title, points: rows().filter((row) => Number.isFinite(of(row)) && Number.isFinite(xOf(row))).map((row) => [xOf(row), of(row)]) });
  const curveChart = (key, title, y, lines, options = {}) => ({
    key, isThere: () => {
      const values = lines.flatMap(([, of]) => rows().map(of)).filter(Number.isFinite);
      return options.ifItVaries ? new Set(values).size > 1 : values.length > 0;
    },
    make: () => chart({ name: key, title, look: () => {
      const all = lines.map(([label, of]) => line(label, of)).filter((one) => one.points.length);
      const used = lines.filter(([, of]) => rows().some((row) => Number.isFinite(of(row))));
      return {
        option: curves({ curves: all, x: xName(), y, ...options }), header: [unit(), ...(axis() === "step" ? [] : [xName()]), ...used.map(([label]) => label)],
        rows: rows().filter((row) => used.some(([, of]) => Number.isFinite(of(row)))).map((row) => [row.step, ...(axis() === "step" ? [] : [xOf(row)]), ...used.map(([, of]) => of(row) ?? null)]),
      };
    } }),
  });
  const figure = (key) => (row) => row.figures?.[key];
  const known = [
    curveChart("accuracy", "Accuracy", "", [
      ["test accuracy", (row) => row.test?.accuracy ?? row.figures?.accuracy], ["clients' mean accuracy", (row) => row.client_test?.accuracy], ["worst tenth of clients", (row) => row.client_test?.worst_decile],
    ], { isFraction: true }),
    curveChart("loss", "Loss", "", [["test loss", (row) => row.test?.loss ?? row.figures?.loss], ["training loss", (row) => row.train?.loss ?? row.figures?.train_loss]]),
    curveChart("learning-rate", "Learning rate", "", [["learning rate", (row) => row.learning_rate]], { ifItVaries: true }),
    curveChart("seconds", "Time of each step", "seconds", [["training", (row) => (row.step ? row.train_seconds : undefined)], ["evaluation", (row) => (row.test ? row.test_seconds : undefined)]]),
    curveChart("sent", "Bytes sent by clients", "bytes", [["sent", (row) => row.sent_bytes]], { ifItVaries: true }),
  ];
  const own = () => [...new Set(rows().flatMap((row) => Object.keys(row.figures ?? {})))].filter((key) => !["accuracy", "loss", "train_loss", "learning_rate"].includes(key)).slice(0, 40)
    .map((key) => curveChart(`figure-${key}`, key, "", [[key, figure(key)]]));
  const made = new Map();
  const drawCurves = () => {
    for (const one of [...known, ...own()]) {
      if (!one.isThere()) continue;
      if (!made.has(one.key)) {
        made.set(one.key, one.make());
        charts.append(made.get(one.key));
      }
      draw(made.get(one.key));
    }
    if (!made.size && !charts.childElementCount) charts.append(h("p.quiet", { id: "no-rows" }, summary().status === "running" ? "The first evaluation hasn't come yet." : "Nothing was measured."));
    if (made.size) charts.querySelector("#no-rows")?.remove();
  };

  const drawHead = () => {
    const run = summary();
    fill(status, h(`span.badge.is-${run.status}`, { id: "status" }, run.status));
    const step = rows().at(-1)?.step ?? run.step ?? 0;
    const left = run.status === "running" && run.num_steps && step > 0 ? timeLeft(rows(), run.num_steps - step) : null;
    const tile = (value, label) => h("div.tile", null, h("b", null, value), h("span", null, label));
    fill(tiles,
      tile(stepOf({ ...run, step: rows().at(-1)?.step ?? run.step }), unit() + "s"),
      tile(fraction(run.accuracy), "accuracy"), run.best_step !== null && run.best_step !== undefined && tile(fraction(run.best_accuracy), `best, ${unit()} ${run.best_step}`), tile(number(run.loss), "loss"),
      tile(duration(run.train_seconds), "training"), run.virtual_seconds !== undefined && run.virtual_seconds !== null && tile(duration(run.virtual_seconds), "simulated time"),
      left !== null && tile(duration(left), "left"), run.num_resumptions > 0 && tile(String(run.num_resumptions), "resumptions"));
    fill(bar, run.status === "running" && run.num_steps && h("progress", { max: run.num_steps, value: step, "aria-label": "Progress" }));
    fill(notice, run.failure && h("p.notice", null, run.failure));
    document.title = `${run.run} – fltk`;
  };

  const xChoice = h("select", { id: "x-axis", "aria-label": "The axis of curves", onchange: () => { change({ x: xChoice.value === "step" ? null : xChoice.value }); drawCurves(); } },
    [["step", `by ${unit()}`], ["wall", "by time since the start"], ...(hasTime() ? [["virtual", "by simulated time"]] : [])].map(([value, text]) => h("option", { value, selected: value === (query.get("x") ?? "step") }, text)));
  const link = (text, target, file) => h("a", { href: `${BASE}api/v1/${target}`, onclick: (event) => { event.preventDefault(); download(target, file).catch(complain); } }, text);
  fill(main,
    h("div.head", null, h("h1", null, name), status, h("span.links", null, !CARRIED && h("a", { href: to(["compare"], [["run", name]]) }, "Compare with others"),
      !CARRIED && [link("JSON", path, `${name}.json`), link("CSV", `export?format=csv&run=${segment(name)}`, `${name}.csv`), link("Archive", `${path}/archive`, `${name}.tar`)])),
    h("p.quiet", null, `${summary().kind}: ${[summary().network, summary().dataset].filter(Boolean).join(" on ")}, seed ${summary().seed}, started ${moment(summary().started_at)}`),
    bar, notice, tiles, h("div.controls", null, h("label", null, "Curves ", xChoice)), charts, more, rest);
  drawHead();
  drawCurves();
  drawMore();
  drawRest();

  function drawRest() {
    fill(rest, settingsOf(report), classesOf(report), checkpointsOf(report), environmentOf(report));
  }

  function drawMore() {
    disposeIn(more);
    const figures = [clientsChart(clients, query), partitionChart(report), confusionChart(rows(), report.partition?.names), nodesChart(report)].filter(Boolean);
    fill(more, figures);
    draw(figures);
  }
  if (summary().kind === "federated") {
    api(`${path}/clients`, signal).then((answer) => { clients = answer; drawMore(); main.dataset.clients = "drawn"; }).catch((problem) => { if (!signal.aborted) more.append(h("p.quiet", null, problem.message)); });
  }

  if (CARRIED || summary().status === "finished") return;
  const isFederated = () => summary().kind === "federated";
  const againClients = sparing(() => api(`${path}/clients`, signal), (answer) => {
    clients = answer;
    drawMore();
    main.dataset.clients = "drawn";
  }, signal);
  const again = sparing(async () => report, () => { drawHead(); drawCurves(); }, signal);
  const hear = (event, news) => {
    if (event !== "rows") return;
    report = { ...report, summary: news.summary, rows: news.reset ? news.rows : [...rows().filter((row) => row.step < (news.rows[0]?.step ?? Infinity)), ...news.rows] };
    again();
    if (isFederated()) againClients();
  };
  const after = () => (rows().length ? `?after=${rows().at(-1).step}` : "");
  (async () => {
    // What was interrupted or has failed may be resumed: it is looked at now and then.
    const RESUMED_EVERY = 15_000;
    while (!signal.aborted) {
      await follow(() => `${path}/live${after()}`, signal, hear);
      if (signal.aborted) return;
      report = await api(path, signal).catch(() => report);
      await untouched(signal);
      if (signal.aborted) return;
      drawHead();
      drawCurves();
      drawMore();
      drawRest();
      if (summary().status === "finished") return;
      await pause(RESUMED_EVERY, signal);
    }
  })();
}

/** Returns the seconds that as many more steps take, by the last ten. */
function timeLeft(rows, steps) {
  const last = rows.slice(-11);
  if (last.length < 2) return null;
  return ((Date.parse(last.at(-1).at) - Date.parse(last[0].at)) / 1000 / (last.length - 1)) * steps;
}

function disposeIn(element) {
  element.querySelectorAll("figure").forEach((figure) => figure.dispose?.());
}

/** The most clients that a heat map has a row for: those that took part most often. */
const HEAT_CLIENTS = 200;

function clientsChart(clients, query) {
  if (!clients?.trained.length && !clients?.absent.length) return null;
  const kinds = {
    part: ["took part", (row) => 1], loss: ["training loss", (row) => row[2]], samples: ["samples", (row) => row[3]], seconds: ["seconds", (row) => row[4]],
    ...(clients.trained.some((row) => row[5] !== null) ? { staleness: ["staleness", (row) => row[5]] } : {}), ...(clients.tested.length ? { accuracy: ["accuracy on samples of its own", null] } : {}),
  };
  const kind = () => (here().query.get("clients") in kinds ? here().query.get("clients") : "loss");
  const frequency = new Map();
  for (const row of clients.trained) frequency.set(row[1], (frequency.get(row[1]) ?? 0) + 1);
  for (const row of clients.absent) frequency.set(row[1], frequency.get(row[1]) ?? 0);
  for (const row of clients.tested) frequency.set(row[1], frequency.get(row[1]) ?? 0);
  const often = [...frequency].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, HEAT_CLIENTS).map(([client]) => client).sort((a, b) => a - b);
  const cells = () => (kind() === "accuracy" ? clients.tested.map(([round, client, accuracy]) => [round, client, accuracy]) : clients.trained.map((row) => [row[0], row[1], kinds[kind()][1](row), row[6]]));
  const figure = chart({
    name: "clients", title: "Clients", wide: true, svg: false, height: `${Math.min(36, Math.max(15, 11 + often.length * (often.length > 40 ? 0.5 : 0.9)))}rem`,
    note: frequency.size > often.length ? `the ${often.length} of ${whole(frequency.size)} that took part most often` : `${counted(frequency.size, "client")}; gray: selected, but didn't count`,
    look: () => {
      const rounds = clients.rounds;
      const [column, line] = [new Map(rounds.map((round, index) => [round, index])), new Map(often.map((client, index) => [client, index]))];
      const all = cells().filter((cell) => line.has(cell[1]) && column.has(cell[0]) && Number.isFinite(cell[2]));
      const [valueName] = kinds[kind()];
      const option = heatMap({ xs: rounds.map(String), ys: often.map(String), xName: "round", yName: "client", valueName, isFraction: kind() === "accuracy", cells: all.map(([round, client, value, malicious]) => [column.get(round), line.get(client), value, malicious ? `${number(value)} (malicious)` : undefined]), ...(kind() === "part" ? { low: 0, high: 1 } : {}) });
      const gray = clients.absent.filter((row) => line.has(row[1]) && column.has(row[0]));
      option.series.push({ type: "scatter", name: "absent", symbol: "rect", symbolSize: 6, itemStyle: { color: "#8b949e" }, data: gray.map(([round, client, why]) => ({ value: [column.get(round), line.get(client)], why })), tooltip: { formatter: ({ data }) => tip(`client ${often[data.value[1]]}, round ${rounds[data.value[0]]}`, h("b", null, data.why.replaceAll("_", " "))) } });
      option.visualMap.seriesIndex = 0;
      return {
        option, header: ["round", "client", "state", "training loss", "samples", "seconds", "staleness", "malicious", "accuracy"],
        rows: (() => {
          const tested = new Map(clients.tested.map(([round, client, accuracy]) => [`${round} ${client}`, accuracy]));
          const take = (round, client) => { const key = `${round} ${client}`; const value = tested.get(key) ?? null; tested.delete(key); return value; };
          return [
            ...clients.trained.map((row) => [row[0], row[1], "counted", row[2], row[3], row[4], row[5], row[6] ? "yes" : "", take(row[0], row[1])]),
            ...clients.absent.map(([round, client, why]) => [round, client, why, null, null, null, null, "", take(round, client)]),
            ...[...tested].map(([key, accuracy]) => [...key.split(" ").map(Number), "tested", null, null, null, null, "", accuracy]),
          ].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
        })(),
      };
    },
  });
  const choice = h("select", { "aria-label": "What the heat map shows", dataset: { choice: "clients" }, onchange: () => { change({ clients: choice.value }); draw(figure); } }, Object.entries(kinds).map(([value, [text]]) => h("option", { value, selected: value === kind() }, text)));
  figure.querySelector(".tools").before(choice);
  return figure;
}

function partitionChart({ partition }) {
  if (!partition?.clients?.length) return null;
  const classes = partition.classes ?? partition.clients[0].counts.length;
  const names = partition.names ?? [...Array(classes).keys()].map(String);
  const SHOWN = 200;
  const listed = partition.clients.slice(0, SHOWN);
  const total = partition.num_clients ?? partition.clients.length;
  return chart({
    name: "partition", title: "Partition", note: total > listed.length ? `the first ${listed.length} of ${counted(total, "client")}` : "training samples of each client, by class", wide: listed.length > 40,
    look: () => ({
      option: {
        legend: { data: names.slice(0, 30) },
        tooltip: { trigger: "axis", axisPointer: { type: "shadow" }, formatter: (points) => tip(h("b", null, `client ${points[0].axisValue}: ${counted(listed[points[0].dataIndex].samples, "sample")}`), points.filter((point) => point.value).slice(0, 30).map((point) => h("div", null, h("span", { style: `color: ${point.color}` }, "● "), `class ${point.seriesName}: ${number(point.value)}`))) },
        xAxis: { type: "category", data: listed.map(({ client }) => String(client)), name: "client" }, yAxis: { type: "value", name: "samples" },
        series: names.map((label, index) => ({ name: label, type: "bar", stack: "samples", barCategoryGap: listed.length > 60 ? "0%" : "15%", data: listed.map(({ counts }) => counts[index] ?? 0), color: classColor(index, classes) })),
      },
      header: ["client", "samples", ...names], rows: partition.clients.map(({ client, samples, counts }) => [client, samples, ...counts]),
    }),
  });
}

/** Returns a color for one of many classes. */
function classColor(index, classes) {
  return classes <= PALETTE.length ? PALETTE[index] : `hsl(${Math.round((index * 360) / classes)} 55% ${index % 2 ? 62 : 48}%)`;
}

/** Draws the last confusion matrix; `known` are the names of classes, if they are known. */
function confusionChart(rows, known) {
  const last = rows.findLast((row) => row.test?.confusion);
  const confusion = last?.test.confusion;
  if (!confusion || confusion.length > 100) return null;
  const names = confusion.map((_, index) => known?.[index] ?? String(index));
  return chart({
    name: "confusion", title: "Confusion matrix", note: `${last.unit} ${last.step}; share of each true class`, height: "22rem", svg: confusion.length <= 20,
    look: () => ({
      option: heatMap({
        xs: names, ys: names, xName: "predicted", yName: "true class", valueName: "share of the class", low: 0, high: 1, label: false, isFraction: true,
        cells: confusion.flatMap((row, line) => { const sum = row.reduce((a, b) => a + b, 0); return row.map((count, column) => [column, line, sum ? count / sum : 0, `${sum ? ((100 * count) / sum).toFixed(1) : 0} % (${number(count)} of ${number(sum)})`]); }),
      }),
      header: ["true class", ...names.map((label) => `predicted ${label}`)], rows: confusion.map((row, index) => [names[index], ...row]),
    }),
  });
}

function nodesChart({ nodes, summary }) {
  if (!nodes?.length) return null;
  const names = [...new Set(nodes.map((stay) => stay.name))];
  const start = Date.parse(summary.started_at);
  const end = Math.max(...nodes.map((stay) => Date.parse(stay.end?.left_at ?? summary.ended_at ?? new Date().toISOString())));
  const seconds = (text) => (Date.parse(text) - start) / 1000;
  const bars = nodes.map((stay) => [names.indexOf(stay.name), seconds(stay.joined_at), stay.end?.left_at ? seconds(stay.end.left_at) : (end - start) / 1000, stay.end?.reason ?? ""]);
  return chart({
    name: "nodes", title: "Nodes", note: "when each was there", wide: true, height: `${Math.min(30, 7 + names.length * 1.6)}rem`,
    look: () => ({
      option: {
        tooltip: { formatter: ({ value }) => tip(h("b", null, names[value[0]]), `from ${duration(value[1])} to ${duration(value[2])}`, value[3]) },
        xAxis: { type: "value", name: "seconds since the start", min: 0 }, yAxis: { type: "category", data: names, inverse: true },
        series: [{ type: "custom", renderItem: renderBar, encode: { x: [1, 2], y: 0 }, data: bars, itemStyle: { color: STATE_COLORS.running } }],
      },
      header: ["node", "client", "processor", "workers", "joined", "left", "updates", "busy s", "bytes sent to it", "bytes received", "reason"],
      rows: nodes.map((stay) => [stay.name, stay.client ?? "", stay.processor, stay.workers, moment(stay.joined_at), stay.end?.left_at ? moment(stay.end.left_at) : "", stay.end?.num_updates ?? null, stay.end?.busy_seconds ?? null, stay.end?.bytes_sent ?? null, stay.end?.bytes_received ?? null, stay.end?.reason ?? ""]),
    }),
  });
}

/** Draws one bar of a time line: `[line, from, to]`. */
function renderBar(params, api) {
  const [from, until] = [api.coord([api.value(1), api.value(0)]), api.coord([api.value(2), api.value(0)])];
  const height = Math.min(24, Math.max(1, api.size([0, 1])[1] * 0.72));
  const area = params.coordSys;
  const left = Math.max(area.x, from[0]);
  const right = Math.min(area.x + area.width, Math.max(until[0], from[0] + 1));
  if (right <= left) return null;
  return { type: "rect", shape: { x: left, y: from[1] - height / 2, width: right - left, height }, style: { fill: api.visual("color") } };
}

function settingsOf({ description }) {
  const all = Object.entries(description.hyperparameters);
  const list = h("dl.settings", { id: "settings" });
  const shownSettings = (word) => fill(list, all.filter(([path, value]) => `${path}=${value}`.toLowerCase().includes(word)).map(([path, value]) => h("div", null, h("dt", null, path), h("dd.mono", null, String(value)))));
  shownSettings("");
  return [h("h2", null, "Settings"), h("div.controls", null, h("input", { type: "search", placeholder: "Find a setting", "aria-label": "Find a setting", oninput: (event) => shownSettings(event.target.value.toLowerCase()) })), list];
}

function classesOf({ classes }) {
  if (!classes?.length) return null;
  return [h("h2", null, "Classes, in the last evaluation"), h("div.wide-table", null, plainTable(["class", "samples", "precision", "recall"], classes.map((row) => [row.class, row.num_samples, row.precision, row.recall]), { id: "classes" }))];
}

function checkpointsOf({ checkpoints }) {
  if (!checkpoints?.length) return null;
  return [h("h2", null, "Checkpoints"), h("div.wide-table", null, plainTable(["after", "size"], checkpoints.map((one) => [one.at?.completed !== undefined ? one.at.completed : shown(typeof one.at === "object" ? JSON.stringify(one.at) : one.at), bytes(one.num_bytes)])))];
}

function environmentOf({ description, summary, starts }) {
  const facts = [
    ["program", `fltk ${description.fltk_version}`], ["libtorch", description.host.libtorch], ["processor", `${description.host.cpu}, ${counted(description.host.cores, "core")}`], ["operating system", description.host.os],
    ["parameters, SHA-256", summary.parameters_sha256], ["net, SHA-256", description.network_sha256], ...Object.entries(description.files_sha256 ?? {}), ...Object.entries(description.provenance ?? {}),
    ["starts", starts.map((start) => moment(start.at)).join(", ")], ["group", description.group_name ?? description.group], ["folder", summary.path],
  ];
  return [h("h2", null, "Environment and digests"), h("dl.settings", { id: "environment" }, facts.filter(([, value]) => value).map(([label, value]) => h("div", null, h("dt", null, label), h("dd.mono", null, value))))];
}
