/** The columns of the table: how each is called, sorted and filled. */
function columns() {
  const rows = board().rows;
  const tuned = rows.some((row) => row.trials > 0);
  const refused = rows.some((row) => row.fallbacks > 0);
  return [
    column("rank", "Rank", "By the mean rank over the headline metrics", (row) => row.rank, rankCell, 0),
    column("label", "Method", "Open a row for all that is known of it", (row) => row.label, null, 0),
    ...state.metrics.map(metricColumn),
    column("mean_rank", "Mean rank", "Over the headline metrics, with its 95% interval",
      (row) => row.mean_rank?.[0], meanRankCell, 0),
    column("seeds", "Seeds", "Random divisions into training and test perturbations",
      (row) => row.seeds?.length, seedsCell, 1),
    ...(refused ? [column("fallbacks", "Refused", "Perturbations that it could not predict; the train mean is scored there",
      (row) => row.fallbacks, fallbacksCell, 0)] : []),
    column("seconds", "Time", "Mean time of a run: fit, predict and score",
      (row) => row.seconds, (row) => duration(row.seconds), 0),
    ...(tuned ? [column("trials", "Tuned", "Configurations that were tried before, and the time that took",
      (row) => row.trials, tunedCell, 1)] : []),
  ];
}

/** `better`: 1 where the first click sorts the largest first. */
function column(key, title, hint, value, cell, better) {
  return { key, title, hint, value, cell, better, isMetric: false };
}

function metricColumn(name) {
  const about = page.metrics[name];
  const hint = about.question ? `${about.question}. ${about.formula}` : about.formula;
  return { ...column(name, name, hint, (row) => estimate(row, name)?.[0], null, better(name)), isMetric: true };
}

function rankCell(row) {
  return row.rank === null || row.rank === undefined ? "–" : String(row.rank);
}

function meanRankCell(row) {
  const [mean, low, high] = row.mean_rank ?? [];
  if (!isNumber(mean)) return "–";
  return [mean.toFixed(2), isNumber(low) ? make("small", {}, ` ${low.toFixed(1)}–${high.toFixed(1)}`) : ""];
}

function seedsCell(row) {
  const lacking = row.kind !== "unfinished" && row.rank !== undefined && row.whole === false;
  return [String(row.seeds?.length ?? "–"), lacking ? make("abbr", { title: "lacks seeds of this board" }, "*") : ""];
}

function fallbacksCell(row) {
  if (row.kind === "bound" || row.kind === "unfinished") return "";
  return row.fallbacks ? `${row.fallbacks} (${percent(1 - row.coverage)})` : "0";
}

function tunedCell(row) {
  return row.trials ? [plural(row.trials, "trial"), make("small", {}, ` ${duration(row.tuning_seconds)}`)] : "";
}

/** Sort rows by the chosen column; what has no value comes last either way. */
function sorted(rows) {
  const by = columns().find((each) => each.key === state.sort) ?? columns()[0];
  const direction = (by.better === 1 ? -1 : 1) * (state.down ? -1 : 1);
  const lacks = (value) => value === null || value === undefined || Number.isNaN(value);
  return [...rows].sort((a, b) => {
    const [x, y] = [by.value(a), by.value(b)];
    if (lacks(x) || lacks(y)) return lacks(x) - lacks(y);
    return direction * (typeof x === "string" ? x.localeCompare(y) : x - y);
  });
}
