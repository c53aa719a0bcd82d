"use strict";
// A table of which only the rows in sight exist, so that thousands scroll without a pause.

/**
 * Makes a table that scrolls in itself. `columns` are `{ key, title, number, cell(row), sort, class }`; rows come by `sheet.show(rows, order)`.
 * `sorted(key)` is called when a header is pressed.
 */
function sheet({ id, label, columns, sorted, rowAttributes, low = false }) {
  const head = h("tr", null);
  const body = h("tbody", null);
  const table = h("table", { id, "aria-label": label }, h("thead", null, head), body);
  const box = h(`div.sheet${low ? ".low" : ""}`, { tabindex: "0", role: "region", "aria-label": label }, table);
  let [rows, shownColumns, rowHeight] = [[], columns, 0];
  /** The part in sight, in pixels, and the width for which the columns are. */
  let [top, height, settledWidth] = [0, 0, 0];
  /** The rows that exist, by their index. */
  const kept = new Map();
  /** Rows beyond each end of what is in sight, which come after the first picture. */
  const EXTRA = 12;

  const headerOf = (column, by, order) => h(`th${column.number ? ".number" : ""}`,
    { scope: "col", class: column.class, "aria-sort": by === column.key ? (order === "desc" ? "descending" : "ascending") : null },
    column.sort ? h("button", { type: "button", dataset: { sort: column.key }, onclick: () => sorted(column.key) }, column.title) : column.title);

  const line = (row, index) => h("tr", { "aria-rowindex": String(index + 2), ...rowAttributes?.(row) }, shownColumns.map((column) => {
    const value = column.cell(row);
    return h(`td${column.number ? ".number" : ""}`, { class: column.class, title: typeof value === "string" && value.length > 20 ? value : null }, value);
  }));
  const spacer = () => h("tr", { "aria-hidden": "true" }, h("td.spacer", null));
  const [above, below] = [spacer(), spacer()];
  const stretch = (row, count) => {
    row.hidden = count === 0;
    row.firstChild.colSpan = shownColumns.length;
    row.firstChild.style.height = `${count * rowHeight}px`;
  };

  /** Measures the part in sight, before anything is changed: after a change the browser would have to arrange everything before it could answer. */
  const look = () => { [top, height] = [box.scrollTop, box.clientHeight]; };

  /** Draws the rows in sight, and `extra` beyond. Those that stay in sight stay as they are. */
  const drawRows = (extra) => {
    const each = rowHeight || 32;
    const first = Math.max(0, Math.min(rows.length - 1, Math.floor(top / each)) - extra);
    const last = Math.min(rows.length, Math.ceil((top + (height || 600)) / each) + extra);
    for (const [index, row] of kept) {
      if (index < first || index >= last) { row.remove(); kept.delete(index); }
    }
    let next = below;
    for (let index = last - 1; index >= first; index -= 1) {
      let row = kept.get(index);
      if (!row) {
        row = line(rows[index], index);
        kept.set(index, row);
        next.before(row);
      }
      next = row;
    }
    stretch(above, first);
    stretch(below, rows.length - last);
  };

  /** Draws the rows in sight now, and some beyond. */
  const drawMore = () => {
    look();
    drawRows(EXTRA);
  };
  let isWaiting = false;
  /** Does so after the next picture. A tab out of sight has none, so that one is enough however often it is asked for. */
  const soon = () => {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => setTimeout(() => { isWaiting = false; if (box.isConnected) drawMore(); }));
  };

  /** Draws everything anew. */
  const redraw = () => {
    const focused = focus();
    kept.clear();
    settle();
    // A list that has become shorter ends where the browser will scroll to.
    top = Math.min(top, Math.max(0, (rows.length + 1) * rowHeight - height));
    fill(body, above, below);
    // The row that has the focus may be out of sight.
    drawRows(focused ? EXTRA : 0);
    focused?.();
    soon();
  };

  /**
   * Gives each column the width that its longest text needs, in sight or not, and finds the height of a row. Columns then stay as they are when rows
   * come and go, and the browser needn't look at all rows to place one.
   */
  const settle = () => {
    settledWidth = box.clientWidth;
    table.style.tableLayout = "auto";
    if (!box.isConnected || !rows.length) return;
    for (const header of head.children) header.style.width = "";
    const lines = samples().map((row) => line(row, 0));
    // As high as all rows, so that the place to which it was scrolled is kept.
    stretch(above, rows.length);
    body.replaceChildren(above, ...lines);
    const widths = [...head.children].map((header) => header.getBoundingClientRect().width);
    rowHeight = lines[0].getBoundingClientRect().height;
    // Texts of as many letters differ a little in width.
    [...head.children].forEach((header, index) => { header.style.width = `${widths[index] && widths[index] + 4}px`; });
    table.style.tableLayout = "fixed";
  };

  /** Returns rows that need the most room: in each column the one with the longest text, as far as it is looked for. */
  const samples = () => {
    const found = new Set([rows[0]]);
    // To write each of very many numbers takes too long; texts are there. Of the numbers, the least and the largest are among those that are written.
    const LOOKED_AT = 200;
    const step = Math.max(1, Math.ceil(rows.length / LOOKED_AT));
    for (const { sort, cell, number } of shownColumns) {
      let [longest, which] = [0, null];
      const weigh = (row, text) => { if (typeof text === "string" && text.length > longest) [longest, which] = [text.length, row]; };
      let [least, most] = [rows[0], rows[0]];
      for (let index = 0; index < rows.length; index += 1) {
        const [row, key] = [rows[index], sort?.(rows[index])];
        if (!number) { weigh(row, key); continue; }
        if (key < sort?.(least)) least = row;
        if (key > sort?.(most)) most = row;
        if (index % step === 0) weigh(row, cell(row));
      }
      if (number) [least, most].forEach((row) => weigh(row, cell(row)));
      if (which) found.add(which);
    }
    return [...found];
  };

  /** Returns a function that focuses again what is focused now in a row, if that row is drawn again; null if nothing is. */
  const focus = () => {
    const row = document.activeElement?.closest("tr[aria-rowindex]");
    if (!row || !body.contains(row)) return null;
    const of = (one) => [...one.querySelectorAll("a, button, input, select")];
    const [at, name] = [of(row).indexOf(document.activeElement), JSON.stringify(row.dataset)];
    return () => of([...kept.values()].find((one) => JSON.stringify(one.dataset) === name) ?? above)[at]?.focus({ preventScroll: true });
  };
  // What is cut off is said where the pointer is.
  box.addEventListener("mouseover", ({ target }) => {
    const cell = target.closest("td");
    if (cell && !cell.title && cell.scrollWidth > cell.clientWidth) cell.title = cell.textContent;
  });
  let isScrolled = false;
  box.addEventListener("scroll", () => {
    if (isScrolled) return;
    isScrolled = true;
    requestAnimationFrame(() => { isScrolled = false; drawMore(); });
  }, { passive: true });
  // Columns of another width may have rows of another height.
  new ResizeObserver(() => {
    const before = height;
    look();
    if (box.clientWidth !== settledWidth) redraw();
    else if (height !== before) drawRows(EXTRA);
  }).observe(box);

  box.show = (all, { by, order } = {}, columnsNow = columns) => {
    [rows, shownColumns] = [all, columnsNow];
    look();
    // Fewer rows than before may end above what is in sight.
    if (top > all.length * rowHeight) box.scrollTop = top = 0;
    table.setAttribute("aria-rowcount", String(all.length + 1));
    // The header that was pressed keeps the focus.
    const pressed = head.contains(document.activeElement) ? document.activeElement.dataset.sort : undefined;
    fill(head, shownColumns.map((column) => headerOf(column, by, order)));
    if (pressed) head.querySelector(`[data-sort="${CSS.escape(pressed)}"]`)?.focus();
    redraw();
  };
  return box;
}

/** The collator, made when it is needed first: that takes longer than many comparisons. */
let collator = null;

/** Orders texts as people do, numbers in them by their size. */
function byText(a, b) {
  collator ??= new Intl.Collator("en", { numeric: true });
  return collator.compare(a, b);
}

/** Sorts rows by a value of each; absent ones come last whatever the order. */
function inOrder(rows, value, order) {
  const sign = order === "desc" ? -1 : 1;
  const isAbsent = (key) => key === null || key === undefined || Number.isNaN(key);
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : byText(String(a), String(b)));
  const keyed = rows.map((row) => [value(row), row]);
  keyed.sort(([a], [b]) => (isAbsent(a) - isAbsent(b)) || (isAbsent(a) ? 0 : sign * compare(a, b)));
  return keyed.map(([, row]) => row);
}
