/** A metric of a row: its number, and where it lies among the others. */
function metricCell(row, name, on, marks) {
  const found = estimate(row, name);
  const label = { role: "cell", class: "metric", "data-label": name };
  if (!isNumber(found?.[0])) {
    return make("td", label, make("span", { class: "number none" }, found ? "undefined" : "–"));
  }
  const tested = !state.group && !state.scaled;
  const isBest = tested && row.best_in?.includes(name);
  const isLevel = tested && row.level_in?.includes(name);
  const missing = found[4] ? make("abbr", { title: `undefined for ${plural(found[4], "score")}, left out` }, `†${found[4]}`) : "";
  const number = make("span", { class: `number ${isBest ? "best" : ""}` }, score(found[0]),
    isLevel ? make("span", { class: "level", title: "not told apart from the best" }, "≈", hidden(" not told apart from the best")) : "",
    isBest ? hidden(" best") : "", missing);
  const interval = between(found);
  const printed = interval && make("span", { class: state.printed ? "interval" : "hidden" }, state.printed ? interval : `, 95% interval ${interval}`);
  return make("td", label, number, printed, plot(found, on, marks));
}

/** A mean and its interval on an axis, with the lines of the column. */
function plot(found, on, marks) {
  const [mean, low, high] = found;
  const ends = isNumber(low) ? [place(on, low), place(on, high)].sort((a, b) => parseFloat(a) - parseFloat(b)) : null;
  return make("span", {
    class: `plot ${isBeyond(on, mean) ? "beyond" : ""} ${ends ? "" : "bare"}`,
    "aria-hidden": "true",
    "--at": place(on, mean),
    "--from": ends?.[0],
    "--to": ends?.[1],
    ...marks,
  });
}

/** What a row has to be known for at first sight. */
function badges(row) {
  const found = [];
  const badge = (kind, text, title) => found.push(make("span", { class: `mark ${kind}`, title }, text));
  if (row.kind === "bound") badge("bound", "no method", row.method === "limit"
    ? "What a model that knew the true means would score" : "What one half of the real cells scores as a prediction of the other half");
  if (row.kind === "anchor") badge("anchor", "simple baseline", "On every board, to hold the others against");
  if (row.kind === "submitted") badge("submitted", "submitted", "Its predictions were made elsewhere");
  if (row.kind === "unfinished") badge("bad", row.status, row.reason);
  if (row.trials > 0) badge("tuned", row.label === row.method ? "tuned: default kept" : "tuned", `${plural(row.trials, "configuration")} tried in ${duration(row.tuning_seconds)}`);
  if (row.overlap > 0) badge("bad", "tuned on test", `${plural(row.overlap, "test perturbation")} had a say in its configuration`);
  if (row.fallbacks > 0) badge("warn", `${row.fallbacks} refused`, "Perturbations that it could not predict; the train mean is scored in their place");
  if (row.outdated?.length) badge("warn", "older metrics", `Scored with an older version of ${row.outdated.join(", ")}`);
  if (row.kind !== "unfinished" && row.kind !== "bound" && row.rank === null) badge("warn", "unranked", row.reason);
  return found;
}
