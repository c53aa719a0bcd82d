"use strict";
// The view that compares runs: curves with intervals over seeds, the factors of a sweep as small multiples, final figures with tests.

async function viewCompare(main, { query, signal }) {
  const names = query.getAll("run");
  if (names.length === 0) {
    fill(main, h("h1", null, "Compare"), h("p.notice.calm", null, "No runs are chosen. ", h("a", { href: to(["runs"]) }, "Choose runs"), " in the table, then press Compare."));
    return;
  }
  const [of] = await Promise.all([api(`compare?${new URLSearchParams(names.map((run) => ["run", run]))}`, signal), library()]);
  const factors = of.factors ?? [];
  const labels = groupLabels(of);
  const unit = of.steps[0]?.unit ?? "round";
  // Rounds and epochs have no axis in common.
  const steps = of.steps.filter((step) => step.unit === unit);
  const [hasAccuracy, hasLoss] = ["accuracy", "loss"].map((figure) => steps.some((step) => step[figure].some(Number.isFinite)));
  const figureName = () => (hasLoss && (!hasAccuracy || here().query.get("figure") === "loss") ? "loss" : "accuracy");
  const mode = () => here().query.get("lines") ?? (of.groups.length <= 12 && of.groups.some((group) => group.runs.length > 1) ? "means" : "runs");

  const compared = chart({ name: "compared", title: "Curves", wide: true, height: "24rem", note: "", look: () => {
    const figure = figureName();
    const [each, means] = figure === "loss" ? [(step) => step.loss ?? [], (step) => step.groups_loss ?? []] : [(step) => step.accuracy, (step) => step.groups];
    const all = mode() === "means"
      ? of.groups.map((_, index) => {
        const there = steps.filter((step) => means(step)[index]);
        return { name: labels[index], color: PALETTE[index % PALETTE.length], points: there.map((step) => [step.step, means(step)[index].mean]), band: there.filter((step) => means(step)[index].interval).map((step) => [step.step, ...means(step)[index].interval]) };
      })
      : of.runs.map((run, index) => ({ name: of.groups.length > 1 ? `${labels[groupOf(of, index)]}, seed ${run.seed}` : run.run, color: of.groups.length > 1 && of.groups.length < of.runs.length ? PALETTE[groupOf(of, index) % PALETTE.length] : undefined, points: steps.filter((step) => Number.isFinite(each(step)[index])).map((step) => [step.step, each(step)[index]]) }));
    const shownCurves = all.filter((curve) => curve.points.length);
    return {
      option: curves({ curves: shownCurves, x: unit, y: `test ${figure}`, isFraction: figure === "accuracy" }),
      header: [unit, ...(mode() === "means" ? shownCurves.flatMap(({ name }) => [name, `${name}, low`, `${name}, high`]) : shownCurves.map(({ name }) => name))],
      rows: steps.map((step) => [step.step, ...shownCurves.flatMap((curve) => {
        const value = curve.points.find(([at]) => at === step.step)?.[1] ?? null;
        const band = curve.band?.find(([at]) => at === step.step);
        return mode() === "means" ? [value, band?.[1] ?? null, band?.[2] ?? null] : [value];
      })]),
    };
  } });
  const pick = (name, choices, now) => h("select", { "aria-label": name, dataset: { choice: name }, onchange: (event) => { change({ [name]: event.target.value }); draw([...drawn]); } }, choices.map(([value, text]) => h("option", { value, selected: value === now }, text)));
  compared.querySelector(".tools").before(pick("lines", [["means", "mean and 95 % interval over seeds"], ["runs", "every run"]], mode()), hasLoss && hasAccuracy ? pick("figure", [["accuracy", "accuracy"], ["loss", "loss"]], figureName()) : "");

  const times = of.times?.length ? chart({ name: "times", title: "Accuracy by simulated time", look: () => {
    const all = of.groups.map((_, index) => ({ name: labels[index], points: of.times.filter((time) => time.groups[index]).map((time) => [time.virtual_seconds, time.groups[index].mean]), band: of.times.filter((time) => time.groups[index]?.interval).map((time) => [time.virtual_seconds, ...time.groups[index].interval]) })).filter((curve) => curve.points.length);
    return { option: curves({ curves: all, x: "simulated seconds", y: "accuracy", isFraction: true }), header: ["simulated seconds", ...all.map(({ name }) => name)], rows: of.times.map((time) => [time.virtual_seconds, ...all.map((curve) => curve.points.find(([at]) => at === time.virtual_seconds)?.[1] ?? null)]) };
  } }) : null;

  const final = finalChart(of, labels);
  const multiples = smallMultiples(of, factors, labels);
  const more = h("div.charts", null, compared, final, times);
  const grid = h("div.charts.small-multiples", { dataset: { part: "factors" } }, multiples);
  fill(main,
    h("div.head", null, h("h1", null, `${counted(of.runs.length, "run")} in ${counted(of.groups.length, "group")}`), h("span.links", null, !CARRIED && h("a", { href: to(["runs"]) }, "Choose others"))),
    h("p.quiet", null, "A group is runs of the same task and settings that differ in their seeds."),
    more, multiples.length > 0 && [h("h2", null, "Factors"), h("p.quiet.small", null, "Final accuracy, mean and 95 % interval over seeds, by what differs between the groups."), grid],
    testsOf(of, labels), groupsOf(of, labels, factors));
  draw(compared, final, times, multiples);
  document.title = `${of.runs.length} runs compared – fltk`;
}

function groupOf(of, run) {
  return of.groups.findIndex((group) => group.runs.includes(run) || group.repeated.includes(run));
}

/** Names groups by the settings in which they differ, or else by their task. */
function groupLabels(of) {
  const factors = of.factors ?? [];
  const short = shortNames(factors.map((factor) => factor.setting));
  // What every group has says more than what follows from it, such as a strategy's own settings.
  const [everywhere, elsewhere] = [factors.filter(isEverywhere), factors.filter((factor) => !isEverywhere(factor))];
  const part = (factor, index) => {
    const value = factor.values[index];
    if (value === null || value === undefined || /sha256$/.test(factor.setting)) return null;
    return typeof value === "string" && /^[A-Za-z]/.test(value) ? value : `${short.get(factor.setting)} ${shown(value)}`;
  };
  const named = (these, index, most) => these.map((factor) => part(factor, index)).filter(Boolean).slice(0, most);
  const brief = of.groups.map((group, index) => named(everywhere, index, 4).join(", "));
  const labels = of.groups.map((group, index) => {
    if (of.groups.length === 1) return group.task;
    const isClear = brief[index] && brief.indexOf(brief[index]) === brief.lastIndexOf(brief[index]);
    return (isClear ? brief[index] : [...named(everywhere, index, 4), ...named(elsewhere, index, 3)].join(", ")) || group.task;
  });
  return labels.map((label, index) => (labels.indexOf(label) === labels.lastIndexOf(label) ? label : `${label} (${index + 1})`));
}

/** Returns true if every group has the setting. */
function isEverywhere(factor) {
  return factor.values.every((value) => value !== null && value !== undefined);
}

function finalChart(of, labels) {
  const there = of.groups.map((group, index) => ({ group, label: labels[index], index })).filter(({ group }) => group.accuracy);
  if (!there.length) return null;
  const look = () => ({
    option: {
      tooltip: { formatter: ({ dataIndex }) => tip(h("b", null, there[dataIndex].label), meanWithInterval(there[dataIndex].group.accuracy), counted(there[dataIndex].group.accuracy.count, "finished run")) },
      xAxis: { type: "value", name: "final accuracy", scale: true, boundaryGap: ["4%", "4%"] }, yAxis: { type: "category", data: there.map(({ label }) => label), inverse: true, axisLabel: { width: 150, overflow: "truncate" } },
      series: intervalSeries(there.map(({ group, index }, line) => ({ at: line, of: group.accuracy, color: PALETTE[index % PALETTE.length] })), true),
    },
    header: ["group", "runs", "accuracy", "95 % low", "95 % high", "loss", "training s"],
    rows: there.map(({ group, label }) => [label, group.accuracy.count, group.accuracy.mean, group.accuracy.interval?.[0] ?? null, group.accuracy.interval?.[1] ?? null, group.loss?.mean ?? null, group.train_seconds?.mean ?? null]),
  });
  return chart({ name: "final", title: "Final accuracy", note: "mean and 95 % interval", height: `${Math.min(34, Math.max(12, 6 + there.length * 1.6))}rem`, look });
}

/** Points with whiskers: `{ at, of: { mean, interval }, color }`; lying where `at` is the line, standing where it is the column. */
function intervalSeries(points, isLying) {
  const place = (at, value) => (isLying ? [value, at] : [at, value]);
  return [
    {
      type: "custom", silent: true, clip: true, encode: isLying ? { x: [0, 1], y: 2 } : { y: [0, 1], x: 2 }, z: 1,
      data: points.filter((point) => point.of.interval).map((point) => ({ value: [...point.of.interval, point.at], itemStyle: { color: point.color } })),
      renderItem: (params, api) => {
        const [low, high] = [api.coord(place(api.value(2), api.value(0))), api.coord(place(api.value(2), api.value(1)))];
        const style = { stroke: api.visual("color"), lineWidth: 2 };
        const cap = (at) => ({ type: "line", shape: isLying ? { x1: at[0], y1: at[1] - 5, x2: at[0], y2: at[1] + 5 } : { x1: at[0] - 5, y1: at[1], x2: at[0] + 5, y2: at[1] }, style });
        return { type: "group", children: [{ type: "line", shape: { x1: low[0], y1: low[1], x2: high[0], y2: high[1] }, style }, cap(low), cap(high)] };
      },
    },
    { type: "scatter", symbolSize: 9, z: 2, data: points.map((point) => ({ value: place(point.at, point.of.mean), itemStyle: { color: point.color } })) },
  ];
}

/** One small chart for each value of the factor with the fewest values: the other factor along the axis, the third as colors. */
function smallMultiples(of, factors, labels) {
  const usable = factors.filter(isEverywhere).map((factor) => ({ ...factor, distinct: [...new Set(factor.values.map(String))] })).filter((factor) => factor.distinct.length > 1 && factor.distinct.length <= 40);
  if (usable.length === 0 || of.groups.length < 3 || !of.groups.some((group) => group.accuracy)) return [];
  const byNumbers = usable.filter((factor) => factor.values.every((value) => value === null || typeof value === "number"));
  const along = byNumbers.sort((a, b) => b.distinct.length - a.distinct.length)[0] ?? [...usable].sort((a, b) => b.distinct.length - a.distinct.length)[0];
  const others = usable.filter((factor) => factor !== along).sort((a, b) => a.distinct.length - b.distinct.length);
  const short = shortNames(usable.map((factor) => factor.setting));
  const [colored, faceted] = others.length > 1 ? [others.at(-1), others[0]] : [others[0], null];
  const MULTIPLES_MAX = 24;
  const xs = [...along.distinct].sort(byText);
  const bounds = of.groups.filter((group) => group.accuracy).flatMap(({ accuracy }) => accuracy.interval ?? [accuracy.mean]);
  const [low, high] = [Math.max(0, Math.min(...bounds)), Math.min(1, Math.max(...bounds))];
  return (faceted ? faceted.distinct : [null]).slice(0, MULTIPLES_MAX).map((facet) => chart({
    name: "factors", title: facet === null ? `By ${short.get(along.setting)}` : `${short.get(faceted.setting)} ${facet}`, note: "",
    look: () => {
      const members = of.groups.map((group, index) => ({ group, index })).filter(({ group, index }) => group.accuracy && (facet === null || String(faceted.values[index]) === facet));
      const colorOf = (index) => (colored ? PALETTE[colored.distinct.indexOf(String(colored.values[index])) % PALETTE.length] : PALETTE[0]);
      const keys = colored ? colored.distinct : [labels[0]];
      return {
        option: {
          legend: colored ? { data: keys } : undefined,
          tooltip: { trigger: "item", formatter: ({ data }) => tip(h("b", null, data.label ?? ""), data.words ?? "") },
          xAxis: { type: "category", data: xs, name: short.get(along.setting) }, yAxis: { type: "value", min: Math.floor(low * 50) / 50, max: Math.ceil(high * 50) / 50, axisLabel: { formatter: (value) => number(value, 3) } },
          series: keys.flatMap((key, line) => {
            const mine = members.filter(({ index }) => !colored || String(colored.values[index]) === key).map(({ group, index }) => ({ at: xs.indexOf(String(along.values[index])), of: group.accuracy, color: colorOf(index), index })).filter((point) => point.at >= 0).sort((a, b) => a.at - b.at);
            const [whiskers] = intervalSeries(mine, false);
            return [whiskers, { name: key, type: "line", color: PALETTE[line % PALETTE.length], symbolSize: 7, data: mine.map((point) => ({ value: [point.at, point.of.mean], label: { show: false }, words: `${labels[point.index]}: ${meanWithInterval(point.of)}` })) }];
          }),
        },
        header: [short.get(along.setting), ...(colored ? [short.get(colored.setting)] : []), "accuracy", "95 % low", "95 % high", "runs"],
        rows: members.map(({ group, index }) => [shown(along.values[index]), ...(colored ? [shown(colored.values[index])] : []), group.accuracy.mean, group.accuracy.interval?.[0] ?? null, group.accuracy.interval?.[1] ?? null, group.accuracy.count]),
      };
    },
  }));
}

function testsOf(of, labels) {
  const untested = of.untested ?? [];
  const reasons = { one_value: "a group has a single finished run, so nothing is known of its spread", no_spread: "the values don't vary" };
  const notes = [
    ...Object.entries(Object.groupBy(untested, (pair) => pair.reason)).map(([reason, pairs]) => `${counted(pairs.length, "difference")} can't be tested: ${reasons[reason] ?? reason}.`),
    ...(of.pairs_left_out ? [`${counted(of.pairs_left_out, "pair")} of groups are left out: only the first twenty groups are tested.`] : []),
  ].map((text) => h("p.quiet.small", null, text));
  if (!of.tests?.length) return notes.length ? [h("h2", null, "Tests"), notes] : null;
  const p = (value) => (value === null || value === undefined ? NONE : value < 0.0001 ? "< 0.0001" : value.toFixed(4));
  const rows = of.tests.map((test) => [labels[test.a], labels[test.b], test.figure, `${test.difference >= 0 ? "+" : "−"}${number(Math.abs(test.difference), 3)}`, test.interval ? `${number(test.interval[0], 3)} to ${number(test.interval[1], 3)}` : NONE, test.method, p(test.p), h(test.p_holm !== null && test.p_holm < 0.05 ? "b" : "span", null, p(test.p_holm))]);
  return [
    h("h2", null, "Tests"),
    h("p.quiet.small", null, "Differences of final figures: paired by seed where both groups have the same seeds, otherwise Welch's. The last column is corrected for the number of tests by Holm's method; below 0.05 is bold."),
    notes,
    h("div.wide-table", null, plainTable(["group", "against", "figure", "difference", "95 % interval", "method", "p", "p, Holm"], rows, { id: "tests" })),
  ];
}

function groupsOf(of, labels, factors) {
  const run = (index) => h("a", { href: to(["runs", of.runs[index].run]) }, `${of.runs[index].seed}`);
  const rows = of.groups.map((group, index) => [labels[index], group.task, meanWithInterval(group.accuracy), group.loss ? number(group.loss.mean) : NONE, duration(group.train_seconds?.mean), h("span", null, group.runs.slice(0, 50).map((one) => [run(one), " "])), ...factors.map((factor) => shown(factor.values[index]))]);
  const short = shortNames(factors.map((factor) => factor.setting));
  return [h("h2", null, "Groups"), h("div.wide-table", null, plainTable(["group", "task", "accuracy", "loss", "training", "runs, by seed", ...factors.map((factor) => short.get(factor.setting))], rows, { id: "groups" }))];
}
