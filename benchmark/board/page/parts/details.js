/** Everything that is known of a row, in a dialog; closing it leads back to where one was. */
async function openDetails(row) {
  const dialog = byId("details");
  const close = make("button", { type: "button", class: "close", click: () => dialog.close() }, "Close");
  dialog.replaceChildren(
    make("header", {}, make("h2", { id: "details-title", tabindex: "-1" }, row.label, badges(row)), close),
    row.reason ? make("p", { class: "notice" }, `${row.status}: ${row.reason}`) : "",
    facts(row),
    comparisons(row),
    seedTable(row),
    configuration(row),
    digests(row),
  );
  dialog.showModal();
  dialog.scrollTop = 0;
  if (row.status !== "finished") return;
  const scores = make("section", {}, make("h3", {}, "Perturbation by perturbation"));
  dialog.append(scores);
  scores.append(await perturbationTable(row));
}

function facts(row) {
  const known = [
    ["Rank", row.rank === null ? "none" : String(row.rank)],
    ["Mean rank", isNumber(row.mean_rank[0]) ? row.mean_rank[0].toFixed(2) + (isNumber(row.mean_rank[1]) ? ` (${row.mean_rank[1]} to ${row.mean_rank[2]})` : "") : null],
    ["Cells per perturbation", row.kind === "bound" ? null : String(row.cells)],
    ["Samples per cell", row.samples === 1 ? null : String(row.samples)],
    ["Time of a run", row.seconds === null ? null : duration(row.seconds)],
    ["Predicted", row.coverage === null || row.kind === "bound" ? null : percent(row.coverage)],
    ["Refused", row.fallbacks ? plural(row.fallbacks, "perturbation") : null],
    ["Noise of drawing cells, in mse", isNumber(row.sampling_noise) ? row.sampling_noise.toPrecision(2) : null],
    ["Of the uncertainty, from trainings", row.training ? `up to ${percent(row.training)}` : null],
    ["Tuning", row.trials ? `${plural(row.trials, "trial")}, ${duration(row.tuning_seconds)}` : null],
    ["Tuned on test perturbations", row.overlap ? String(row.overlap) : null],
    ["Older metrics", row.outdated.join(", ") || null],
  ].filter(([, value]) => value !== null);
  return make("dl", { class: "facts" }, known.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

/** Against the best row in each headline metric, and against the next lower one. */
function comparisons(row) {
  if (row.rank === null || row.status !== "finished") return "";
  const best = Object.fromEntries(board().rows.flatMap((each) => each.best_in.map((name) => [name, each.label])));
  const lines = page.headline.flatMap((name) => [
    row.behind[name] ? [name, best[name], ", the best", turned(row.behind[name])] : null,
    row.against_next[name] ? [name, row.next, row.best_in.includes(name) ? "; it is the best" : "", row.against_next[name]] : null,
  ]).filter((each) => each && isNumber(each[3][0])).map(([name, other, said, found]) => [name, `${standing(found[0])} ${other}${said}`, found]);
  if (!lines.length) return "";
  return make("section", {}, make("h3", {}, "Does the difference mean anything?"),
    make("p", {}, "Against the best row of each metric, and the next lower one on the board; paired by perturbation, above zero where "
      + "this row is better. p: Wilcoxon's "
      + "signed-rank test, with three seeds or more also over trainings, corrected for all such tests of the board."),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Differences" }, make("table", { class: "plain" },
      make("thead", {}, make("tr", {}, ["Metric", "Difference", "By", "95% interval", "p", "Reading"].map((text) => make("th", { scope: "col" }, text)))),
      make("tbody", {}, lines.map(([name, text, found]) => make("tr", {},
        make("th", { scope: "row" }, name), make("td", {}, text),
        make("td", { class: "value" }, signed(found[0])),
        make("td", { class: "value" }, between(found) || `only ${plural(found[4], "perturbation")}`),
        make("td", { class: "value" }, pValue(found[3])),
        make("td", {}, reading(found))))))));
}

/** A comparison from the other side: what the page has against the best is how far that is ahead. */
function turned([mean, low, high, p, n]) {
  const minusOf = (value) => (isNumber(value) ? -value : value);
  return [minusOf(mean), minusOf(high), minusOf(low), p, n];
}

function standing(difference) {
  return difference > 0 ? "ahead of" : difference < 0 ? "behind" : "level with";
}

/** The test and the interval must both say so, as for the short answer. */
function reading([, low, high, p]) {
  if (p === null) return "not tested";
  return p < page.alpha && low * high > 0 ? "more than chance" : "may be chance";
}

function seedTable(row) {
  const finished = row.status === "finished";
  const linked = row.runs.some((run) => run.report);
  const head = ["Seed", ...(finished ? page.headline : []), "Time", "Memory", "Device", "Started (UTC)", "Run", ...(linked ? ["Report"] : [])];
  const cells = (run) => [
    ...(finished ? page.headline.map((name) => score(run.means[name])) : []),
    duration(run.seconds), isNumber(run.peak_memory_mb) ? `${Math.round(run.peak_memory_mb)} MB` : "–", run.device ?? "–", run.started, run.id.slice(0, 8),
    ...(linked ? [run.report ? make("a", { href: run.report }, "report") : "–"] : []),
  ];
  return make("section", {}, make("h3", {}, "Seed by seed"),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Values of each seed" }, make("table", { class: "plain" },
      make("thead", {}, make("tr", {}, head.map((text) => make("th", { scope: "col" }, breakable(text))))),
      make("tbody", {}, row.runs.map((run) => make("tr", {},
        make("th", { scope: "row" }, String(run.seed)), cells(run).map((text) => make("td", { class: "value" }, text))))))));
}

function configuration(row) {
  const config = row.runs[0].config;
  const entries = Object.entries(config ?? {});
  const said = config === null
    ? "Not known here: the run is older than this entry. The record of the run has it."
    : entries.length ? "" : "It has no hyper-parameters.";
  return make("section", {}, make("h3", {}, "Configuration"), said ? make("p", {}, said) : "",
    make("dl", { class: "config" }, entries.map(([name, value]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, typeof value === "string" ? value : JSON.stringify(value))))));
}

/** What the numbers can be traced by. */
function digests(row) {
  const names = { id: "Run", dataset_digest: "Data", split_digest: "Split", config_digest: "Configuration", source_digest: "Code of the method", method_version: "Version of the method" };
  const lines = row.runs.flatMap((run) => Object.entries(names).filter(([key]) => run[key])
    .map(([key, text]) => make("div", {}, make("dt", {}, `${text}, seed ${run.seed}`), make("dd", {}, make("code", {}, run[key])))));
  return make("details", {}, make("summary", {}, "Runs and digests"), make("dl", { class: "config" }, lines));
}
