"use strict";
// Charts: ECharts in a figure, with the same figures as a table, and saved as SVG, PNG or CSV.

/** Colors that people with the common color blindnesses tell apart. */
const PALETTE = ["#4269d0", "#e08b00", "#d83a3a", "#2a9d8f", "#7a4fc2", "#6b8e23", "#c2558f", "#4aa3df", "#8c5a3c", "#7d8590"];
/** Line styles, changed after each round through the colors, and in print. */
const DASHES = ["solid", "dashed", "dotted"];
const STATE_COLORS = {
  pending: "#9aa3ad", waiting: "#d9a441", admitted: "#b9d0f2", starting: "#8fb4e8", running: "#3b74d6", suspending: "#6f4fb3", suspended: "#a78bda",
  held: "#c6a3c9", succeeded: "#3c9d5d", failed: "#d0453b", ended: "#8b949e",
};

let loading = null;

/** Loads the library of charts, which lists don't need, when it is first asked for. A report has it in the file. */
function library() {
  if (window.echarts) return Promise.resolve();
  loading ??= new Promise((done, failed) => {
    document.head.append(h("script", { src: document.body.dataset.charts, onload: done, onerror: () => { loading = null; failed(new Error("The library of charts can't be loaded.")); } }));
  });
  return loading;
}

/** All charts of the view in sight, which are drawn again when the theme changes and disposed with the view. */
const drawn = new Set();

/** The pixels within which a figure is as good as in sight. */
const NEAR = 300;

function css(name) {
  // A computed color, since ECharts knows no `light-dark()`.
  const probe = h("span", { hidden: true, style: `color: var(${name})` });
  document.body.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

function colors() {
  return { text: css("--text"), quiet: css("--quiet"), line: css("--line"), ground: css("--ground"), raised: css("--raised"), accent: css("--accent") };
}

/** Makes an element of texts, one a line, that a tooltip shows: ECharts would take a text for markup. */
function tip(...lines) {
  return h("div", { style: "max-width: 24rem; white-space: normal" }, lines.map((line) => h("div", null, line)));
}

/** Returns the colors of a heat map: the more, the further from the ground. */
function shades() {
  const isDark = getComputedStyle(document.documentElement).colorScheme === "dark" || (document.documentElement.dataset.theme === undefined && matchMedia("(prefers-color-scheme: dark)").matches);
  return isDark ? ["#1f2a44", "#34569e", "#7ea3ff", "#eef3ff"] : ["#e3eafb", "#8fb0f0", "#3b66c9", "#1b2f66"];
}

/** The most lines of a legend in a file; a longer one has one line, with pages. */
const LEGEND_LINES_MAX = 8;

/** Returns the lines that a legend needs in a file, where nobody can turn its pages. */
function legendLines(option, width) {
  const names = (option.legend?.data ?? []).map((one) => String(one.name ?? one));
  const lines = Math.max(1, Math.ceil(names.reduce((sum, name) => sum + 48 + 7 * name.length, 0) / width));
  return lines > LEGEND_LINES_MAX ? 1 : lines;
}

/** Adds what all charts have in common. */
function dressed(option, { title, forFile = false, width } = {}) {
  const c = colors();
  const lines = forFile ? legendLines(option, width) : 1;
  const axis = (given, name) => given && (Array.isArray(given) ? given : [given]).map((one) => ({
    ...name, nameTextStyle: { color: c.quiet, ...name.nameTextStyle }, axisLabel: { color: c.quiet, hideOverlap: true },
    axisLine: { lineStyle: { color: c.line } }, splitLine: { lineStyle: { color: c.line, opacity: 0.6 } }, ...one,
    ...(one.axisLabel ? { axisLabel: { color: c.quiet, hideOverlap: true, ...one.axisLabel } } : {}),
  }));
  const [below, above] = [{ nameLocation: "middle", nameGap: 26 }, { nameLocation: "end", nameGap: 10, nameTextStyle: { align: "left" } }];
  const isNamed = [option.yAxis].flat().some((one) => one?.name);
  const top = (option.legend ? 14 + 20 * lines : 14) + (forFile ? 26 : 0) + (isNamed ? 16 : 0);
  return {
    color: PALETTE, animation: false, backgroundColor: forFile ? c.ground : "transparent", textStyle: { fontFamily: "system-ui, Noto Sans, DejaVu Sans, sans-serif" },
    aria: { enabled: true, label: { description: `${title}. The figures are in the table below the chart.` } },
    ...option,
    ...(forFile && option.dataZoom ? { dataZoom: option.dataZoom.filter((zoom) => zoom.type !== "slider") } : {}),
    ...(forFile ? { title: { text: title, left: 8, top: 4, textStyle: { fontSize: 14, color: c.text } } } : {}),
    tooltip: { confine: true, backgroundColor: c.raised, borderColor: c.line, textStyle: { color: c.text, fontSize: 12 }, ...option.tooltip },
    legend: option.legend && { type: lines > 1 ? "plain" : "scroll", top: forFile ? 28 : 0, textStyle: { color: c.text }, pageTextStyle: { color: c.quiet }, ...option.legend },
    grid: option.grid === null ? undefined : { left: 12, right: 22, bottom: 22, containLabel: true, ...option.grid, top: (option.grid?.top ?? 0) + top },
    xAxis: axis(option.xAxis, below), yAxis: axis(option.yAxis, above),
  };
}

/**
 * Makes a figure. `look()` returns `{ option, header, rows }`: the chart, and its figures as a table; it is called again by `figure.redraw()`,
 * when the theme changes, and for a file. A figure out of sight is drawn when somebody scrolls near it, or prints. `svg: false` draws on a canvas, for
 * thousands of shapes. `drawnFirst` gets the chart when it is drawn for the first time.
 */
function chart({ name, title, note, look, wide = false, svg = true, height, drawnFirst }) {
  const place = h("div.chart", { style: height && `height: ${height}`, tabindex: "0", role: "img", "aria-label": title });
  const table = h("div", null);
  const details = h("details", { ontoggle: () => details.open && fillTable() }, h("summary", null, "Figures as a table"), table);
  const button = (kind) => h("button.plain", { type: "button", dataset: { save: kind }, title: `Save “${title}” as ${kind.toUpperCase()}`, onclick: () => saveAs(kind) }, kind.toUpperCase());
  const figure = h(`figure${wide ? ".wide" : ""}`, { dataset: { chart: name } },
    h("figcaption", null, h("span", null, title), note && h("span.note", null, note), h("span.tools", null, button("svg"), button("png"), button("csv"))),
    place, details);
  let instance = null;
  const fillTable = () => {
    const { header, rows } = look();
    const SHOWN = 2000;
    fill(table, plainTable(header, rows.slice(0, SHOWN)), rows.length > SHOWN && h("p.quiet", null, `The first ${SHOWN} of ${counted(rows.length, "row")}; the CSV file has all.`));
  };
  let [isWanted, isNear] = [false, false];
  const paint = () => {
    isWanted = false;
    const isFirst = !instance;
    instance ??= echarts.init(place, null, { renderer: svg ? "svg" : "canvas" });
    instance.setOption(dressed(look().option, { title }), { replaceMerge: ["series", "xAxis", "yAxis"] });
    figure.dataset.drawn = "true";
    if (details.open) fillTable();
    if (isFirst) drawnFirst?.(instance);
  };
  const sight = new IntersectionObserver((entries) => {
    isNear = entries.at(-1).isIntersecting;
    if (isWanted && isNear && figure.isConnected) paint();
  }, { rootMargin: `${NEAR}px` });
  sight.observe(figure);
  figure.redraw = ({ evenFar = false } = {}) => {
    if (!figure.isConnected || !window.echarts) return;
    const { top, bottom } = figure.getBoundingClientRect();
    isWanted = true;
    if (evenFar || isNear || (top < innerHeight + NEAR && bottom > -NEAR)) paint();
  };
  figure.catchUp = () => isWanted && figure.redraw({ evenFar: true });
  figure.dispose = () => { instance?.dispose(); instance = null; isWanted = false; sizes.disconnect(); sight.disconnect(); drawn.delete(figure); };
  const sizes = new ResizeObserver(() => instance?.resize());
  sizes.observe(place);
  place.addEventListener("keydown", (event) => walk(event, instance));
  const saveAs = (kind) => {
    const { option, header, rows } = look();
    if (kind === "csv") return save(`${name}.csv`, csv(header, rows), "text/csv");
    const width = Math.max(640, place.clientWidth);
    const height = Math.max(320, place.clientHeight + 30) + 20 * (legendLines(option, width) - 1);
    const whole = dressed(option, { title, forFile: true, width });
    const of = echarts.init(null, null, { renderer: "svg", ssr: true, width, height });
    of.setOption(whole);
    const drawing = of.renderToSVGString();
    of.dispose();
    if (kind === "svg") return save(`${name}.svg`, drawing, "image/svg+xml");
    const holder = h("div", { style: `width: ${width}px; height: ${height}px; position: absolute; left: -9999px; top: 0` });
    document.body.append(holder);
    const canvas = echarts.init(holder, null, { renderer: "canvas", devicePixelRatio: 2 });
    canvas.setOption(whole);
    canvas.renderToCanvas({ pixelRatio: 2, backgroundColor: colors().ground }).toBlob((blob) => { save(`${name}.png`, blob); canvas.dispose(); holder.remove(); }, "image/png");
    return undefined;
  };
  drawn.add(figure);
  return figure;
}

/** Moves the tooltip by the arrow keys. */
function walk(event, instance) {
  const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
  if (step === undefined || !instance) return;
  const series = instance.getOption().series.findIndex((one) => (one.data?.length ?? 0) > 0);
  if (series < 0) return;
  const last = instance.getOption().series[series].data.length - 1;
  const at = Math.min(last, Math.max(0, (instance.at ?? -1) + step));
  instance.at = Number.isFinite(at) ? at : 0;
  instance.dispatchAction({ type: "showTip", seriesIndex: series, dataIndex: instance.at });
  event.preventDefault();
}

function disposeCharts() {
  for (const figure of [...drawn]) figure.dispose();
}

/** Draws figures that have been put into the page. */
function draw(...figures) {
  for (const figure of figures.flat(Infinity)) figure?.redraw?.();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw([...drawn]));
addEventListener("beforeprint", () => drawn.forEach((figure) => figure.catchUp()));

/** The look of curves over steps: `curves` are `{ name, points: [[x, y], ...], color, dash, band: [[x, low, high], ...] }`. */
function curves({ curves: all, x, y, isFraction = false, log = false }) {
  const several = all.length > 1;
  // Programs may report percents.
  const areShares = isFraction && all.every((curve) => curve.points.every(([, value]) => value === null || (value >= 0 && value <= 1)));
  const series = all.flatMap((curve, index) => {
    const color = curve.color ?? PALETTE[index % PALETTE.length];
    const dash = curve.dash ?? DASHES[Math.floor(index / PALETTE.length) % DASHES.length];
    const line = {
      name: curve.name, type: "line", data: curve.points, showSymbol: curve.points.length < 30, symbolSize: 5, color, lineStyle: { width: several && all.length > 20 ? 1 : 2, type: dash },
      emphasis: { focus: several ? "series" : "none" }, sampling: curve.points.length > 5000 ? "lttb" : undefined, connectNulls: true,
    };
    if (!curve.band?.length) return [line];
    return [line, bandOf(curve, color)];
  });
  const format = (value) => (isFraction ? fraction(value) : number(value));
  return {
    legend: several ? { data: all.map((curve) => curve.name) } : undefined,
    tooltip: {
      trigger: "axis", order: "valueDesc",
      formatter: (points) => {
        const LINES = 16;
        const named = points.filter((point) => point.seriesType === "line" && point.value[1] !== null);
        named.sort((a, b) => b.value[1] - a.value[1]);
        return tip(h("b", null, `${x} ${number(points[0]?.value[0])}`), named.slice(0, LINES).map((point) => h("div", null, h("span", { style: `color: ${point.color}` }, "● "), `${point.seriesName}: ${format(point.value[1])}`)), named.length > LINES && h("div", null, `and ${named.length - LINES} more`));
      },
    },
    xAxis: { type: "value", name: x, min: "dataMin", max: "dataMax", minInterval: /round|epoch|step/.test(x) ? 1 : undefined, splitLine: { show: false } },
    // An interval may reach beyond what a share can be.
    yAxis: { type: log ? "log" : "value", name: y, scale: true, min: areShares ? ({ min }) => (min < 0 ? 0 : null) : undefined, max: areShares ? ({ max }) => (max > 1 ? 1 : null) : undefined, axisLabel: { formatter: (value) => number(value) } },
    dataZoom: [{ type: "inside", filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false }],
    series,
  };
}

/** An interval around a curve, as one shape: `band` is `[[x, low, high], ...]`. */
function bandOf(curve, color) {
  return {
    name: curve.name, type: "custom", silent: true, tooltip: { show: false }, z: 1, color, clip: true, encode: { x: 0, y: [1, 2] }, data: curve.band,
    renderItem: (params, api) => {
      if (params.dataIndexInside > 0) return null;
      const lows = curve.band.map(([at, low]) => api.coord([at, low]));
      const highs = curve.band.map(([at, , high]) => api.coord([at, high]));
      return { type: "polygon", shape: { points: [...highs, ...lows.reverse()] }, style: { fill: color, opacity: 0.16 } };
    },
  };
}

/** The look of a heat map: `cells` are `[x, y, value]` by index, `xs` and `ys` the names. */
function heatMap({ xs, ys, cells, xName, yName, valueName, low, high, label, isFraction = false }) {
  const c = colors();
  const values = cells.map((cell) => cell[2]).filter(Number.isFinite);
  const format = isFraction ? fraction : number;
  const [min, max] = [low ?? Math.min(...(values.length ? values : [0])), high ?? Math.max(...(values.length ? values : [1]))];
  return {
    grid: { bottom: 66 },
    tooltip: { formatter: ({ value }) => tip(`${yName} ${ys[value[1]]}, ${xName} ${xs[value[0]]}`, h("b", null, `${valueName}: ${value[3] ?? format(value[2])}`)) },
    xAxis: { type: "category", data: xs, name: xName, splitLine: { show: false } },
    yAxis: { type: "category", data: ys, name: yName, inverse: true, nameLocation: "start", splitLine: { show: false } },
    visualMap: {
      dimension: 2, min, max: max > min ? max : min + 1, calculable: true, orient: "horizontal", left: "center", bottom: 0, itemHeight: 120, itemWidth: 12, precision: 3, textStyle: { color: c.quiet },
      inRange: { color: shades() }, formatter: format,
    },
    series: [{
      type: "heatmap", data: cells, progressive: 4000, itemStyle: { borderWidth: cells.length < 2500 ? 1 : 0, borderColor: c.ground }, emphasis: { itemStyle: { borderColor: c.text, borderWidth: 1 } },
      label: { show: Boolean(label), formatter: ({ value }) => (value[2] ? number(value[2], 3) : ""), fontSize: 10 },
    }],
  };
}

/** Draws a small curve as an inline picture, for a row of a table. */
function sparkline(curve, width = 110, height = 24) {
  if (!curve?.points?.length) return null;
  const points = curve.points;
  const [xs, ys] = [points.map((point) => point[0]), points.map((point) => point[1])];
  const scale = (values, size) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return (value) => (high > low ? ((value - low) / (high - low)) * (size - 4) + 2 : size / 2);
  };
  const [x, y] = [scale(xs, width), scale(ys, height)];
  const path = points.map(([at, value], index) => `${index ? "L" : "M"}${x(at).toFixed(1)} ${(height - y(value)).toFixed(1)}`).join("");
  const drawing = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, class: "spark", role: "img", "aria-label": `${curve.figure} from ${number(ys[0])} to ${number(ys.at(-1))}` });
  drawing.append(svg("path", { d: points.length > 1 ? path : `M2 ${height / 2}h${width - 4}` }));
  return drawing;
}
