/** All boards at a glance: the rank of each method on each data set and split. */
function drawOverview() {
  const boards = page.boards.map((each, index) => ({ ...each, index })).filter((each) => each.rows.some((row) => row.rank !== null));
  if (boards.length < 2) {
    byId("overview").replaceChildren();
    return;
  }
  const ranks = new Map();
  boards.forEach((each, column) => each.rows.filter((row) => row.rank !== null).forEach((row) => {
    if (!ranks.has(row.label)) ranks.set(row.label, []);
    ranks.get(row.label)[column] = row.rank;
  }));
  const counts = boards.map((each) => each.rows.filter((row) => row.rank !== null).length);
  const share = (found) => found.reduce((sum, rank, column) => sum + rank / counts[column], 0) / found.filter(isNumber).length;
  const lines = [...ranks].sort(([, a], [, b]) => share(a) - share(b));
  const cell = (rank, column) => (isNumber(rank)
    ? make("td", { class: "place", "--share": `${Math.round(100 * (1 - (rank - 1) / Math.max(counts[column] - 1, 1)))}%` }, String(rank))
    : make("td", { class: "place none" }, "–"));
  const heading = (each) => make("th", { scope: "col" }, make("button", {
    type: "button", class: "link", click: () => { change({ board: each.index }); announce(); window.scrollTo(0, 0); },
  }, breakable(each.dataset), make("small", {}, boardName(each))));
  byId("overview").replaceChildren(make("h2", {}, "All boards at a glance"),
    make("p", { class: "remark" }, "The rank of each method on each data set and split, by the mean over its boards; ranks of different boards are of different methods."),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Ranks on all boards" }, make("table", { class: "plain ranks" },
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Method"), boards.map(heading))),
      make("tbody", {}, lines.map(([name, found]) => make("tr", {},
        make("th", { scope: "row" }, breakable(name)), boards.map((_, column) => cell(found[column], column)))),
        make("tr", { class: "sum" }, make("th", { scope: "row" }, "ranked rows"), counts.map((count) => make("td", { class: "place" }, String(count))))))));
}
