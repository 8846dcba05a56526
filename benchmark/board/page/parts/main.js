function draw() {
  const focused = document.activeElement?.id;
  drawControls();
  drawVerdict();
  drawTableControls();
  drawLegend();
  drawTable();
  drawPublished();
  drawNotes();
  if (focused) byId(focused)?.focus();
}

/** What was published, in a table of its own: it was not run here. */
function drawPublished() {
  const boards = board().published.map((each) => ({ ...each, rows: each.rows.filter((row) => !state.group || row.group === state.group) }));
  byId("published").replaceChildren(...boards.filter((each) => each.rows.length).map((each) => {
    const names = Object.keys(page.metrics).filter((name) => each.rows.some((row) => name in row.metrics));
    return make("section", { class: "published" },
      make("h3", {}, each.title, make("span", { class: "mark published" }, "published, not run here")),
      each.remarks.map((text) => make("p", {}, text)),
      make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Published: ${each.title}` }, make("table", { class: "plain" },
        make("thead", {}, make("tr", {}, ["Method", "Perturbations", ...names, "Other definitions", "Source"].map((text) => make("th", { scope: "col" }, text)))),
        make("tbody", {}, each.rows.map((row) => make("tr", {},
          make("th", { scope: "row" }, row.label), make("td", {}, row.group || "all"),
          names.map((name) => make("td", { class: "value" }, score(row.metrics[name]?.[0]))),
          make("td", { class: "words" }, Object.entries(row.other).map(([name, value]) => `${name} ${score(value)}`).join(", ")),
          make("td", { class: "words" }, row.source)))))));
  }));
}

function drawNotes() {
  const { notes } = board();
  byId("notes").replaceChildren(notes.length
    ? make("details", { class: "notes", open: true }, make("summary", {}, "What else has to be said"), make("ul", {}, notes.map((text) => make("li", {}, text))))
    : "");
}

async function start() {
  Object.assign(page, await unpackJson(byId("data").textContent));
  byId("footer").replaceChildren(make("p", {}, `Made by perturbation-benchmark ${page.version}. This file holds everything that it shows and loads nothing.`));
  if (!page.boards.length) {
    byId("answer").replaceChildren(make("p", {}, "No run is recorded yet."));
    return;
  }
  recall();
  byId("details").addEventListener("click", (event) => {
    if (event.target === byId("details")) byId("details").close();
  });
  window.addEventListener("hashchange", () => { recall(); draw(); });
  draw();
  document.documentElement.dataset.ready = "yes";
}

start();
