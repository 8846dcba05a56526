function draw() {
  const focused = document.activeElement?.id;
  drawControls();
  byId("board-title").textContent = board().rows.length ? "All rows" : "Published";
  drawVerdict();
  drawTableControls();
  drawLegend();
  drawTable();
  drawCopying();
  drawTransfer();
  drawPublished();
  drawTrust();
  drawCosts();
  drawOverview();
  drawNotes();
  if (focused) byId(focused)?.focus();
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
  state.board = page.opens;
  recall();
  byId("details").addEventListener("click", (event) => {
    if (event.target === byId("details")) byId("details").close();
  });
  window.addEventListener("hashchange", () => { recall(); draw(); });
  draw();
  document.documentElement.dataset.ready = "yes";
}

start().catch((error) => {
  byId("answer").replaceChildren(make("p", { class: "notice" },
    "This page cannot be drawn here: it needs a browser of 2023 or newer."));
  throw error;
});
