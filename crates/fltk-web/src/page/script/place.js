"use strict";
// Where the reader is: a view and its settings, in the fragment of the URL, so that a link leads to the same picture.

/** Returns `{ parts: ["runs", NAME], query: URLSearchParams }`. */
function here() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const decode = (part) => { try { return decodeURIComponent(part); } catch { return part; } };
  return { parts: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

/** Returns the fragment of a view. */
function to(parts, query) {
  const text = query ? new URLSearchParams(query).toString() : "";
  return `#/${parts.map(segment).join("/")}${text ? `?${text}` : ""}`;
}

/** Changes settings of the view in sight without leaving it: null removes one. */
function change(settings) {
  const { parts, query } = here();
  for (const [name, value] of Object.entries(settings)) {
    if (value === null || value === "" || value === undefined) query.delete(name);
    else query.set(name, value);
  }
  history.replaceState(null, "", to(parts, query));
}
