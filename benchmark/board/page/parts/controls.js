/** Above the short answer: which data, which split, which perturbations. */
function drawControls() {
  const names = [...new Set(page.boards.map((each) => each.dataset))];
  const splits = page.boards.map((each, index) => [index, each]).filter(([, each]) => each.dataset === board().dataset);
  const { groups, contexts } = board();
  const narrow = (label, id, all, names) => select(label, id, [["", all], ...names.map((name) => [name, name])],
    names.includes(state.group) ? state.group : "", (group) => {
      change({ group, scaled: false });
      announce();
    });
  const toDataset = (name) => {
    change({ board: page.boards.findIndex((each) => each.dataset === name) });
    announce();
  };
  byId("controls").replaceChildren(
    select("Data set", "dataset", names.map((name) => [name, datasetLabel(name)]), board().dataset, toDataset),
    select("Split", "split", splits.map(([index, each]) => [index, boardName(each)]), state.board, (index) => {
      change({ board: Number(index) });
      announce();
    }),
    narrow("Perturbations", "group", "all test perturbations", groups),
    contexts.length ? narrow("Context", "context", "mean over all contexts", contexts) : "",
    make("p", { class: "about" }, board().title ? `${board().title}. ` : "", aboutBoard()),
  );
}

function datasetLabel(name) {
  const ran = page.boards.some((each) => each.dataset === name && each.rows.length);
  return ran ? name : `${name} (published only)`;
}

function aboutBoard() {
  const { rows, scores, seeds } = board();
  if (!rows.length) return "Not run here.";
  const ranked = rows.filter((row) => row.rank !== null).length;
  const tested = scores.labels.length;
  return `${plural(ranked, "ranked row")}, ${plural(tested, "test perturbation")}, ${plural(seeds.length, "seed")}.`;
}

/** Above the table: which rows, which columns. */
function drawTableControls() {
  if (!board().rows.length) {
    byId("table-controls").replaceChildren();
    return;
  }
  const sortings = columns().map((each) => [each.key, each.title]);
  const find = make("input", {
    id: "filter", type: "search", placeholder: "part of a name", value: state.filter, autocomplete: "off",
    input: (event) => {
      state.filter = event.target.value;
      drawTable();
      announce();
    },
  });
  byId("table-controls").replaceChildren(
    make("label", { class: "field", for: "filter" }, make("span", {}, "Find a method"), find),
    make("div", { class: "sorting" },
      select("Sort by", "sort", sortings, state.sort, (sort) => { change({ sort, down: false }); announce(); }),
      checkbox("worst first", "down", state.down, (down) => { change({ down }); announce(); })),
    checkbox("Scale: train mean = 0, limit = 1", "scaled", state.scaled, (scaled) => change({ scaled, group: "" }),
      "Further right is better, and scores of different metrics can be compared"),
    checkbox("Print the intervals", "printed", state.printed, (printed) => change({ printed })),
    chooser(),
  );
}

/** Which metrics have a column, family by family. */
function chooser() {
  const present = new Set(board().rows.flatMap((row) => Object.keys(row.metrics)));
  for (const each of board().published) for (const row of each.rows) Object.keys(row.metrics).forEach((name) => present.add(name));
  const names = Object.keys(page.metrics).filter((name) => present.has(name));
  const families = Map.groupBy
    ? Map.groupBy(names, (name) => page.metrics[name].family)
    : names.reduce((all, name) => all.set(page.metrics[name].family, [...(all.get(page.metrics[name].family) ?? []), name]), new Map());
  const old = byId("metrics");
  return make("details", { id: "metrics", class: "chooser", open: old?.open },
    make("summary", {}, `Metrics (${state.metrics.length} of ${names.length})`),
    make("div", { class: "families" }, [...families].map(([family, members]) =>
      make("fieldset", {}, make("legend", {}, family), members.map(metricBox)))));
}

function metricBox(name) {
  const choose = (checked) => {
    const chosen = checked ? [...state.metrics, name] : state.metrics.filter((each) => each !== name);
    const metrics = Object.keys(page.metrics).filter((each) => chosen.includes(each));
    const first = (each) => !page.headline.includes(each);
    change({ metrics: metrics.sort((a, b) => first(a) - first(b)) });
    byId(`metric-${name}`).focus();
  };
  return checkbox(name, `metric-${name}`, state.metrics.includes(name), choose, page.metrics[name].formula);
}

function drawLegend() {
  const item = (kind, text) => make("li", {}, make("span", { class: `sample ${kind}`, "aria-hidden": "true" }), text);
  const rows = board().rows;
  const has = (test) => rows.some(test);
  byId("legend").replaceChildren(...(rows.length ? [
    item("estimate", "mean with 95% interval; further right is better"),
    has((row) => row.kind === "anchor" && row.method === page.baseline)
      ? item("baseline", `${page.baseline}: the same guess for every perturbation`) : "",
    has((row) => row.kind === "anchor" && row.method === "no_change") ? item("no-change", "no_change: nothing happens") : "",
    has((row) => row.kind === "bound")
      ? item("bound", "limit: a model that knew the true means") : "",
    make("li", {}, make("b", { class: "best" }, "bold"), " best, ", make("b", { class: "level" }, "≈"), " not told apart from it",
      uneven() ? ", over the seeds that all rows have" : ""),
  ] : []));
}

/** Whether some ranked row has seeds that another lacks. */
function uneven() {
  const { rows, verdict } = board();
  return rows.some((row) => row.rank !== null && row.seeds.length !== verdict.seeds.length);
}
