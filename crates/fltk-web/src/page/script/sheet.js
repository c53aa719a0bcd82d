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
  /** The rows that exist, by their index. */
  const kept = new Map();
  /** Rows beyond each end of what is in sight. */
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

  const drawRows = (force) => {
    measure();
    const first = Math.max(0, Math.min(rows.length - 1, Math.floor(box.scrollTop / (rowHeight || 32))) - EXTRA);
    const last = Math.min(rows.length, Math.ceil((box.scrollTop + (box.clientHeight || 600)) / (rowHeight || 32)) + EXTRA);
    const focused = force ? focus() : null;
    if (force) {
      kept.clear();
      fill(body, above, below);
    }
    // Rows that stay in sight stay as they are.
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
    focused?.();
  };

  /** Takes the height of a row that is there. */
  const measure = () => {
    if (!rowHeight && box.isConnected) rowHeight = [...kept.values()][0]?.getBoundingClientRect().height ?? 0;
  };

  /**
   * Gives each column the width that its longest text needs, in sight or not. Columns then stay as they are when rows come and go, and the browser
   * needn't look at all rows to place one.
   */
  const settle = () => {
    if (!box.isConnected || !rows.length) return;
    table.style.tableLayout = "auto";
    for (const header of head.children) header.style.width = "";
    const widest = new Set();
    for (const column of shownColumns) {
      if (column.number || !column.sort) continue;
      let [most, which] = [0, null];
      for (const row of rows) {
        const text = column.sort(row);
        if (typeof text === "string" && text.length > most) [most, which] = [text.length, row];
      }
      if (which) widest.add(which);
    }
    const added = [...widest].map((row) => line(row, 0));
    body.append(...added);
    const widths = [...head.children].map((header) => header.getBoundingClientRect().width);
    added.forEach((row) => row.remove());
    [...head.children].forEach((header, index) => { header.style.width = `${widths[index]}px`; });
    table.style.tableLayout = "fixed";
  };

  /** Returns a function that focuses again what is focused now in a row, if that row is drawn again; null if nothing is. */
  const focus = () => {
    const row = document.activeElement?.closest("tr[aria-rowindex]");
    if (!row || !body.contains(row)) return null;
    const of = (one) => [...one.querySelectorAll("a, button, input, select")];
    const [at, name] = [of(row).indexOf(document.activeElement), JSON.stringify(row.dataset)];
    return () => of([...kept.values()].find((one) => JSON.stringify(one.dataset) === name) ?? above)[at]?.focus({ preventScroll: true });
  };
  let isWaiting = false;
  box.addEventListener("scroll", () => {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => { isWaiting = false; drawRows(false); });
  }, { passive: true });
  let width = 0;
  new ResizeObserver(() => {
    // Rows of another width may have another height.
    if (box.clientWidth !== width) {
      rowHeight = 0;
      settle();
    }
    width = box.clientWidth;
    drawRows(false);
  }).observe(box);

  box.show = (all, { by, order } = {}, columnsNow = columns) => {
    [rows, shownColumns] = [all, columnsNow];
    // Fewer rows than before may end above what is in sight.
    if (box.scrollTop > all.length * rowHeight) box.scrollTop = 0;
    table.setAttribute("aria-rowcount", String(all.length + 1));
    // The header that was pressed keeps the focus.
    const pressed = head.contains(document.activeElement) ? document.activeElement.dataset.sort : undefined;
    fill(head, shownColumns.map((column) => headerOf(column, by, order)));
    if (pressed) head.querySelector(`[data-sort="${CSS.escape(pressed)}"]`)?.focus();
    drawRows(true);
    settle();
  };
  return box;
}

/** Orders texts as people do, numbers in them by their size. One collator for all: making one takes longer than many comparisons. */
const COLLATOR = new Intl.Collator("en", { numeric: true });

/** Sorts rows by a value of each; absent ones come last whatever the order. */
function inOrder(rows, value, order) {
  const sign = order === "desc" ? -1 : 1;
  const isAbsent = (key) => key === null || key === undefined || Number.isNaN(key);
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : COLLATOR.compare(String(a), String(b)));
  const keyed = rows.map((row) => [value(row), row]);
  keyed.sort(([a], [b]) => (isAbsent(a) - isAbsent(b)) || (isAbsent(a) ? 0 : sign * compare(a, b)));
  return keyed.map(([, row]) => row);
}
