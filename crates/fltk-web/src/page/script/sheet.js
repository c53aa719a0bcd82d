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
  let [rows, shownColumns, from, to, rowHeight] = [[], columns, -1, -1, 0];
  /** Rows beyond each end of what is in sight. */
  const EXTRA = 12;

  const headerOf = (column, by, order) => h(`th${column.number ? ".number" : ""}`,
    { scope: "col", class: column.class, "aria-sort": by === column.key ? (order === "desc" ? "descending" : "ascending") : null },
    column.sort ? h("button", { type: "button", dataset: { sort: column.key }, onclick: () => sorted(column.key) }, column.title) : column.title);

  const line = (row, index) => h("tr", { "aria-rowindex": String(index + 2), ...rowAttributes?.(row) }, shownColumns.map((column) => {
    const value = column.cell(row);
    return h(`td${column.number ? ".number" : ""}`, { class: column.class, title: typeof value === "string" && value.length > 20 ? value : null }, value);
  }));
  const spacer = (count) => count > 0 && h("tr", { "aria-hidden": "true" }, h("td.spacer", { colspan: String(shownColumns.length), style: `height: ${count * rowHeight}px` }));

  const drawRows = (force) => {
    const first = Math.max(0, Math.floor(box.scrollTop / (rowHeight || 32)) - EXTRA);
    const last = Math.min(rows.length, Math.ceil((box.scrollTop + (box.clientHeight || 600)) / (rowHeight || 32)) + EXTRA);
    const isCovered = first >= from - EXTRA && last <= to + EXTRA && Math.abs(first - from) < EXTRA / 2 && Math.abs(last - to) < EXTRA / 2;
    if (!force && isCovered) return;
    [from, to] = [first, last];
    fill(body, spacer(first), rows.slice(first, last).map((row, index) => line(row, first + index)), spacer(rows.length - last));
    if (!rowHeight && box.isConnected) {
      rowHeight = body.querySelector("tr[aria-rowindex]")?.getBoundingClientRect().height ?? 0;
      if (rowHeight) drawRows(true);
    }
  };
  let isWaiting = false;
  box.addEventListener("scroll", () => {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => { isWaiting = false; drawRows(false); });
  }, { passive: true });
  new ResizeObserver(() => { rowHeight = 0; drawRows(true); }).observe(box);

  box.show = (all, { by, order } = {}, columnsNow = columns) => {
    [rows, shownColumns] = [all, columnsNow];
    table.setAttribute("aria-rowcount", String(all.length + 1));
    // The header that was pressed keeps the focus.
    const pressed = head.contains(document.activeElement) ? document.activeElement.dataset.sort : undefined;
    fill(head, shownColumns.map((column) => headerOf(column, by, order)));
    if (pressed) head.querySelector(`[data-sort="${CSS.escape(pressed)}"]`)?.focus();
    drawRows(true);
  };
  return box;
}

/** Sorts rows by a value of each; absent ones come last whatever the order. */
function inOrder(rows, value, order) {
  const sign = order === "desc" ? -1 : 1;
  const isAbsent = (key) => key === null || key === undefined || Number.isNaN(key);
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));
  const keyed = rows.map((row) => [value(row), row]);
  keyed.sort(([a], [b]) => (isAbsent(a) - isAbsent(b)) || (isAbsent(a) ? 0 : sign * compare(a, b)));
  return keyed.map(([, row]) => row);
}
