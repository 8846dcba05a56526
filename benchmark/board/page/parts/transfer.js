/** What was learned in some contexts and is tested in another: a map of scores for each metric. */
function drawTransfer() {
  const { contexts, rows } = board();
  const shown = contexts.length ? rows.filter((row) => row.transfer?.length) : [];
  byId("transfer").replaceChildren(shown.length ? make("section", {},
    make("h3", {}, "Transfer between contexts"),
    make("p", { class: "remark" }, "A column is the context that is tested, a line a method and the contexts whose perturbations it "
      + "was trained on. Control cells of the tested context are always given. The mean counts every context alike. The darker, "
      + "the better; the best method of a column is bold."),
    make("div", { class: "maps" }, page.headline.map((name) => transferMap(name, shown)))) : "");
}

/** One metric. The numbers are in the cells, so that nothing is said by colour alone. */
function transferMap(name, rows) {
  const sign = better(name) || 1;
  const columns = board().contexts.map((each) => each.replace(/^in /, ""));
  const lines = rows.flatMap((row) => row.transfer.map((each) => ({ row, trained: each.trained,
    cells: [...columns.map((context) => each.tested[context]?.[name]), each.mean[name]] })));
  const worth = (cell) => (isNumber(cell?.[0]) ? sign * cell[0] : -Infinity);
  const isBound = (line) => line.row.kind === "bound";
  lines.sort((a, b) => isBound(b) - isBound(a) || worth(b.cells.at(-1)) - worth(a.cells.at(-1)));
  const all = lines.filter((line) => !isBound(line)).flatMap((line) => line.cells.map(worth)).filter(Number.isFinite);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const best = [...columns, "mean"].map((_, column) => Math.max(...lines.filter((line) => !isBound(line)).map((line) => worth(line.cells[column]))));
  const trainings = [...new Set(lines.filter((line) => !isBound(line)).map((line) => line.trained))];
  const cell = (found, column, line) => (isNumber(found?.[0])
    ? make("td", {
      class: `${isBound(line) ? "bound" : "tested"} ${!isBound(line) && worth(found) === best[column] ? "best" : ""}`,
      "--share": isBound(line) ? null : `${Math.round((100 * (worth(found) - low)) / (high - low || 1))}%`,
      title: between(found) ? `95% interval ${between(found)}` : null,
    }, score(found[0]))
    : make("td", { class: "none" }, "–"));
  return make("figure", { class: "map" },
    make("figcaption", {}, breakable(name), make("small", {}, ` ${sign > 0 ? "higher" : "lower"} is better`
      + (trainings.length === 1 ? `; all trained on ${trainings[0]}` : ""))),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${name} in each context` },
      make("table", { class: "plain" },
        make("thead", {},
          make("tr", {}, make("td", {}), make("th", { scope: "colgroup", colspan: columns.length + 1 }, "tested in")),
          make("tr", {}, make("th", { scope: "col" }, "Method"), [...columns, "mean"].map((text) => make("th", { scope: "col" }, text)))),
        make("tbody", {}, lines.map((line) => make("tr", {},
          make("th", { scope: "row" }, breakable(line.row.label),
            trainings.length > 1 && !isBound(line) ? make("small", {}, `trained on ${line.trained}`) : ""),
          line.cells.map((found, column) => cell(found, column, line))))))));
}
