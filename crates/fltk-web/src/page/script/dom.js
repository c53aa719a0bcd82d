"use strict";
// Elements. Texts from records are only ever text nodes and attribute values, never markup.

/** Makes an element: `h("a.quiet", { href: "#" }, "text", child)`. Listeners are attributes such as `onclick`; null children are left out. */
function h(kind, attributes, ...children) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "class") element.classList.add(...value.split(" ").filter(Boolean));
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

/** Replaces what is in an element. */
function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** Makes an element of SVG. */
function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Makes a plain table of texts; columns of numbers are aligned on the right. */
function plainTable(header, rows, attributes) {
  const isNumber = header.map((_, column) => rows.length > 0 && rows.every((row) => row[column] === null || row[column] === "" || typeof row[column] === "number"));
  const cell = (tag, value, column) => h(`${tag}${isNumber[column] ? ".number" : ""}`, tag === "th" ? { scope: "col" } : null, value instanceof Node ? value : shown(value));
  return h("table", attributes,
    h("thead", null, h("tr", null, header.map((text, column) => cell("th", text, column)))),
    h("tbody", null, rows.map((row) => h("tr", null, row.map((value, column) => cell("td", value, column))))));
}

/** Saves a text or a blob as a file. */
function save(name, content, type) {
  const blob = content instanceof Blob ? content : new Blob([content], { type });
  const link = h("a", { href: URL.createObjectURL(blob), download: name.replace(/[^\w.-]+/g, "_").slice(0, 120) });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Returns rows as comma-separated values (RFC 4180). Texts that a spreadsheet would take for formulas get an apostrophe. */
function csv(header, rows) {
  const field = (value) => {
    let text = value === null || value === undefined ? "" : value instanceof Node ? value.textContent : String(value);
    if (typeof value !== "number" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [header, ...rows].map((row) => row.map(field).join(",")).join("\r\n") + "\r\n";
}
