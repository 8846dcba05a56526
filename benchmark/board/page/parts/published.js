/** What was published, in tables of their own: it was not run here. */
function drawPublished() {
  const boards = board().published.map((each) => (
    { ...each, rows: each.rows.filter((row) => !state.group || row.group === state.group) }));
  byId("published").replaceChildren(...boards.filter((each) => each.rows.length).map(publishedTable));
}

function publishedTable({ title, remarks, rows }) {
  const names = Object.keys(page.metrics).filter((name) => rows.some((row) => name in row.metrics));
  const others = [...new Set(rows.flatMap((row) => Object.keys(row.other)))];
  const sources = [...new Set(rows.map((row) => row.source))];
  const heads = ["Method", "Perturbations", ...names, ...others, ...(sources.length > 1 ? ["Source"] : [])];
  const heading = (text) => make("th", { scope: "col" }, breakable(text), others.includes(text) ? make("small", {}, " defined otherwise") : "");
  const line = (row) => make("tr", {},
    make("th", { scope: "row" }, row.label),
    make("td", {}, row.group || "all"),
    names.map((name) => make("td", { class: "value" }, score(row.metrics[name]?.[0]))),
    others.map((name) => make("td", { class: "value" }, score(row.other[name]))),
    sources.length > 1 ? make("td", { class: "words" }, `[${sources.indexOf(row.source) + 1}]`) : null);
  return make("section", { class: "published" },
    make("h3", {}, title, make("span", { class: "mark" }, "published, not run here")),
    remarks.map((text) => make("p", { class: "remark" }, text)),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Published: ${title}` },
      make("table", { class: "plain" },
        make("thead", {}, make("tr", {}, heads.map(heading))),
        make("tbody", {}, rows.map(line)))),
    sources.length > 1
      ? make("ol", { class: "sources" }, sources.map((text) => make("li", {}, text)))
      : make("p", { class: "sources" }, sources[0]));
}
