const FIRST = 150;

/** The bounds, the ranked rows, and what did not finish: each sorted by itself. */
function drawTable() {
  const { rows } = board();
  if (!rows.length) {
    byId("board").replaceChildren();
    return;
  }
  const shown = columns();
  const scored = rows.filter((row) => row.kind !== "unfinished");
  const axes = new Map(state.metrics.map((name) => {
    const on = axis(name, scored);
    return [name, { on, marks: lines(name, scored, on) }];
  }));
  const matching = sorted(rows.filter((row) => row.label.toLowerCase().includes(state.filter.toLowerCase())));
  const bounds = matching.filter((row) => row.kind === "bound");
  const main = matching.filter((row) => row.kind !== "bound" && row.kind !== "unfinished");
  const failed = matching.filter((row) => row.kind === "unfinished");
  const limit = state.all ? main.length : FIRST;
  const table = make("table", { role: "table", class: state.printed ? "printed" : "" },
    make("caption", { class: "hidden" }, `${board().dataset}, split ${boardName(board())}${state.group ? `, ${state.group}` : ""}`),
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, shown.map((each) => heading(each, axes)))),
    body("reference", bounds, shown, axes),
    body("ranked", main.slice(0, limit), shown, axes),
    state.attempts ? body("failed", failed, shown, axes) : "");
  byId("board").replaceChildren(
    make("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Table of all rows" }, table),
    matching.length ? "" : make("p", {}, "No row has that in its name."),
    failed.length ? make("button", { type: "button", class: "attempts", id: "attempts", "aria-expanded": String(state.attempts),
      click: () => { state.attempts = !state.attempts; drawTable(); byId("attempts").focus(); } },
    `${state.attempts ? "Hide" : "Show"} ${plural(failed.length, "attempt")} that came to nothing`) : "",
    main.length > limit
      ? make("button", { type: "button", click: () => { state.all = true; drawTable(); } }, `Show all ${main.length} rows`) : "");
}

function body(kind, rows, shown, axes) {
  return make("tbody", { role: "rowgroup", class: kind }, rows.map((row) => line(row, shown, axes)));
}

/** A heading sorts; the same one again turns the order around. */
function heading(about, axes) {
  const isSorted = state.sort === about.key;
  const descends = (about.better === 1) !== state.down;
  const act = () => {
    change({ sort: about.key, down: isSorted ? !state.down : false });
    document.querySelector(`[data-sort="${CSS.escape(about.key)}"]`).focus();
    announce();
  };
  const ends = axes.get(about.key);
  return make("th", {
    role: "columnheader", scope: "col", class: about.isMetric ? "metric" : about.key,
    "aria-sort": isSorted ? (descends ? "descending" : "ascending") : null,
  },
  make("button", { type: "button", "data-sort": about.key, title: about.hint, click: act },
    about.isMetric ? breakable(about.title) : about.title, make("span", { class: "arrow", "aria-hidden": "true" }, isSorted ? (descends ? "\u00a0▼" : "\u00a0▲") : "")),
  ends && make("span", { class: "ends", "aria-hidden": "true" },
    [ends.on.low, ends.on.high].map((end) => make("span", {}, tick(end * ends.on.sign, ends.on.high - ends.on.low)))));
}

function line(row, shown, axes) {
  const cells = shown.map((each) => {
    if (each.key === "label") return nameCell(row);
    if (each.isMetric) return metricCell(row, each.key, axes.get(each.key).on, axes.get(each.key).marks);
    const content = row.kind === "unfinished" && each.key !== "seeds" ? "" : each.cell(row);
    return make("td", { role: "cell", class: each.key, "data-label": each.title }, content);
  });
  return make("tr", { role: "row", class: `${row.kind} ${row.method === page.baseline ? "zero" : ""}` }, cells);
}

function nameCell(row) {
  const open = () => openDetails(row);
  return make("th", { role: "rowheader", scope: "row", class: "label" },
    make("button", { type: "button", class: "name", "aria-haspopup": "dialog", click: open }, breakable(row.label)),
    badges(row));
}

/** What the table shows now, for those who do not see it. */
function announce() {
  const by = columns().find((each) => each.key === state.sort);
  const n = document.querySelectorAll("#board tbody tr").length;
  say(`${board().dataset}, ${boardName(board())}: ${plural(n, "row")}, sorted by ${by?.title ?? "rank"}${state.down ? ", worst first" : ""}.`);
}
