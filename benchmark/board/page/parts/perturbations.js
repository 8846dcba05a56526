/** The scores per perturbation of a board, unpacked when a row is opened first: (rows, metrics, perturbations). */
async function scoresOf(of) {
  of.unpacked ??= unpackHalves(of.scores.values);
  return of.unpacked;
}

/** The scores of one row in one metric. */
function slice(of, values, row, metric) {
  const shown = of.rows.filter((each) => each.status === "finished");
  const n = of.scores.labels.length;
  const start = (shown.indexOf(row) * page.headline.length + page.headline.indexOf(metric)) * n;
  return values.subarray(start, start + n);
}

/** A table of what a row scored on each perturbation, the best first, beside the baseline and the limit. */
async function perturbationTable(row) {
  const of = board();
  const values = await scoresOf(of);
  const place = make("div", {});
  let metric = page.headline.includes(state.sort) ? state.sort : page.headline[0];
  const draw = () => place.replaceChildren(perturbationRows(of, values, row, metric));
  draw();
  return make("div", {},
    select("Metric", "perturbation-metric", page.headline.map((name) => [name, name]), metric, (name) => {
      metric = name;
      draw();
    }),
    place);
}

function perturbationRows(of, values, row, metric) {
  const own = slice(of, values, row, metric);
  const others = {
    baseline: of.rows.find((each) => each.kind === "anchor" && each.method === page.baseline),
    bound: of.rows.find((each) => each.kind === "bound"),
  };
  const beside = Object.entries(others).filter(([, each]) => each && each !== row)
    .map(([kind, each]) => [kind, slice(of, values, each, metric)]);
  const sign = page.metrics[metric].better || 1;
  const order = [...own.keys()].filter((i) => !Number.isNaN(own[i])).sort((a, b) => sign * (own[b] - own[a]));
  const all = [own, ...beside.map(([, each]) => each)].flatMap((each) => order.map((i) => each[i])).filter(isNumber);
  const margin = (Math.max(...all) - Math.min(...all) || 1) * 0.03;
  const [low, high] = [Math.min(...all.map((v) => v * sign)) - margin, Math.max(...all.map((v) => v * sign)) + margin];
  const on = { low, high, sign };
  const head = [["Perturbation"], ["Group", "group"], ["Score"], ...beside.map(([kind]) => [kind, "beside"]), [""]];
  const heading = ([text, kind]) => make("th", { scope: "col", class: kind }, text ? breakable(text) : hidden("drawn"));
  const lineOf = (i) => {
    const marks = Object.fromEntries(beside.filter(([, each]) => isNumber(each[i])).map(([kind, each]) => [`--at-${kind}`, place(on, each[i])]));
    return make("tr", {},
      make("th", { scope: "row" }, of.scores.labels[i]),
      make("td", { class: "group" }, of.scores.groups[i]),
      make("td", { class: "value" }, score(own[i])),
      beside.map(([, each]) => make("td", { class: "value beside" }, score(each[i]))),
      make("td", { class: "drawn" }, plot([own[i], null, null], on, marks)));
  };
  const undefinedIn = own.length - order.length;
  return make("div", {},
    make("div", { class: "scroll" , tabindex: "0", role: "region", "aria-label": "Scores of each perturbation" },
      make("table", { class: "perturbations" },
        make("thead", {}, make("tr", {}, head.map(heading))),
        make("tbody", {}, order.map(lineOf)))),
    make("p", { class: "remark" }, "Drawn: this row as a dot, the baseline dashed, the limit as a line; further right is better."),
    undefinedIn ? make("p", {}, `Undefined or not tested: ${plural(undefinedIn, "perturbation")}.`) : "");
}
