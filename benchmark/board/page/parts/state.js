/** What is shown. The address bar has all of it, so that a view can be sent to somebody. */
const state = {
  board: 0,
  group: "",
  scaled: false,
  printed: false,
  metrics: [],
  filter: "",
  sort: "rank",
  down: false,
  all: false,
  attempts: false,
};

/** Filled once, by `start`. */
const page = { opens: 0, metrics: {}, headline: [], shown: [], boards: [], baseline: "", alpha: 0.05, version: "" };

function board() {
  return page.boards[state.board];
}

function change(changes) {
  Object.assign(state, changes);
  if (state.group && !groupNames(board()).includes(state.group)) state.group = "";
  remember();
  draw();
}

/** The groups, contexts among them, that a board can be narrowed to. */
function groupNames(of) {
  return [...of.groups, ...of.contexts];
}

function boardName(of) {
  const other = of.other_split ? ` (older split ${of.other_split.slice(0, 8)})` : "";
  return of.split + other + (of.context ? `, in ${of.context}` : "");
}

function remember() {
  const { dataset, split } = board();
  const kept = { dataset, split, sort: state.sort, down: state.down ? 1 : "", group: state.group };
  kept.board = state.board;
  kept.scaled = state.scaled ? 1 : "";
  kept.metrics = state.metrics.join() === page.shown.join() ? "" : state.metrics.join();
  const text = new URLSearchParams(Object.entries(kept).filter(([, value]) => value !== "")).toString();
  history.replaceState(null, "", `#${text}`);
}

/** Read the address bar; what it has that is not here is left as it is. */
function recall() {
  state.metrics = [...page.shown];
  const kept = new URLSearchParams(location.hash.slice(1));
  const same = (each) => each.dataset === kept.get("dataset") && each.split === kept.get("split");
  const numbered = page.boards[Number(kept.get("board"))];
  const found = numbered && same(numbered) ? Number(kept.get("board")) : page.boards.findIndex(same);
  if (found >= 0) state.board = found;
  if (groupNames(board()).includes(kept.get("group"))) state.group = kept.get("group");
  const metrics = (kept.get("metrics") ?? "").split(",").filter((name) => name in page.metrics);
  if (metrics.length) state.metrics = metrics;
  state.scaled = kept.has("scaled");
  if (columns().some((column) => column.key === kept.get("sort"))) state.sort = kept.get("sort");
  state.down = kept.has("down");
}
