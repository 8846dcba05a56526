const LEADS = {
  clear: ["Clear lead", "clear"],
  shared: ["Shared lead", "shared"],
  single: ["Lead in one seed", "shared"],
  untested: ["Too few to test", "open"],
  alone: ["No rival", "open"],
  unknown: ["Undefined", "open"],
};

/** The short answer: one sentence on the ranks, and a card for each headline metric. */
function drawVerdict() {
  const { verdict, rows } = board();
  const cards = verdict.metrics.map((each) => (state.group ? groupCard(each, rows) : card(each, rows)));
  byId("answer").replaceChildren(
    make("p", { class: "summary" }, make("strong", {}, verdict.summary[0]), ` ${verdict.summary.slice(1).join(" ")}`),
    make("div", { class: "cards" }, cards),
  );
}

function card(about, rows) {
  const best = about.row === null ? null : rows[about.row];
  const [text, kind] = LEADS[about.lead];
  return make("article", { class: `card ${kind}` },
    make("h3", {}, about.question),
    best && winner(best),
    best && value(about.metric, best, rows, (row) => meanOver(row, about.metric, board().verdict.seeds)),
    make("p", { class: "badge" }, text),
    about.sentences.map((sentence) => make("p", {}, sentence)),
    sortButton(about.metric));
}

/** Within a group nothing is tested: the best mean, and its interval. */
function groupCard(about, rows) {
  const ranked = rows.filter((row) => row.rank !== null && isNumber(estimate(row, about.metric)?.[0]));
  const sign = page.metrics[about.metric].better || 1;
  const merit = (row) => estimate(row, about.metric)[0] * sign;
  const best = ranked.reduce((one, other) => (one && merit(one) >= merit(other) ? one : other), null);
  if (!best) return card({ ...about, row: null, lead: "unknown", sentences: ["It is undefined in this group."] }, rows);
  const found = estimate(best, about.metric);
  return make("article", { class: "card open" },
    make("h3", {}, about.question),
    winner(best),
    value(about.metric, best, rows, (row) => estimate(row, about.metric)?.[0]),
    make("p", { class: "badge" }, "Best mean"),
    make("p", {}, between(found) ? `95% interval ${between(found)}.` : `${plural(found[3], "score")}: too few for an interval.`,
      " Differences are tested over all groups together."),
    sortButton(about.metric));
}

function winner(row) {
  return make("p", { class: "winner" }, row.label, row.kind === "anchor" ? badges(row).slice(0, 1) : "");
}

/** What the best row scores, beside the baseline and the limit, to hold it against. */
function value(metric, best, rows, of) {
  const beside = [
    [page.baseline, rows.find((row) => row.kind === "anchor" && row.method === page.baseline)],
    ["limit", rows.find((row) => row.kind === "bound")],
  ].filter(([, row]) => row && row !== best && isNumber(of(row)));
  const direction = { 1: "more is better", "-1": "less is better", 0: "" }[page.metrics[metric].better];
  const held = [direction, ...beside.map(([name, row]) => `${name} ${score(of(row))}`)];
  return make("p", { class: "value" }, breakable(metric), " ", make("b", {}, score(of(best))),
    make("small", {}, held.filter(Boolean).join(" · ")));
}

/** Mean of a row over some seeds; null where it lacks one. */
function meanOver(row, metric, seeds) {
  const found = seeds.map((seed) => row.runs.find((run) => run.seed === seed)?.means[metric]);
  return found.every(isNumber) && found.length ? found.reduce((sum, each) => sum + each, 0) / found.length : null;
}

function sortButton(metric) {
  const act = () => {
    change({ sort: metric, down: false, metrics: state.metrics.includes(metric) ? state.metrics : [...state.metrics, metric] });
    byId("board-title").scrollIntoView({ block: "start" });
  };
  return make("button", { type: "button", class: "link", click: act }, `Sort the table by ${metric}`);
}
