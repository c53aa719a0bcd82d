"use strict";
// The view of all streams.

async function viewStreams(main, { signal }) {
  const list = h("div", null);
  let latest = "";
  const load = () => api("streams", signal);
  const show = (answer) => {
    const now = JSON.stringify(answer);
    if (now === latest) return;
    latest = now;
    const streams = inOrder(answer, (stream) => Date.parse(stream.started_at), "desc");
    const states = (stream) => (stream.states ? Object.entries(stream.states).map(([state, count]) => [h(`span.is-${state}`, null, `${count} ${state}`), " "]) : NONE);
    fill(list, streams.length === 0
      ? h("p.notice.calm", null, "There are no streams yet. `fltk run examples/stream.yaml` makes one.")
      : h("div.wide-table", null, plainTable(["stream", "experiment", "started", "jobs", "states", ""], streams.map((stream) => [
        h("a", { href: to(["streams", stream.stream]), dataset: { stream: stream.stream } }, stream.stream), stream.experiment, moment(stream.started_at), stream.jobs ?? "", h("span", null, states(stream)),
        stream.is_orchestrated ? h("span.badge.is-running", null, "running") : "",
      ]), { id: "streams" })));
  };
  fill(main, h("div.head", null, h("h1", null, "Streams")), h("p.quiet", null, "A stream is jobs that arrive over time and wait for their place."), list);
  show(await load());
  follow(() => "live", signal, sparing(load, show, signal));
}
