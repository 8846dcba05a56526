/** What training costs beside what it comes to, and what more of the training data would buy. */
const SIZE = { width: 340, height: 230, left: 48, right: 16, top: 10, bottom: 36 };
const LEAST_SECONDS = 0.001;

function drawCosts() {
  const { rows, costs } = board();
  const timed = (costs ?? []).filter((line) => line.points.some((point) => point.share === 1 && isNumber(point.seconds)));
  const curves = (costs ?? []).filter((line) => line.points.some((point) => point.share !== 1));
  const parts = [];
  if (timed.length > 1) {
    const untimed = rows.filter((row) => row.kind !== "bound" && row.kind !== "unfinished").length - timed.length;
    parts.push(chartSection("What it costs", "Processor seconds of training, on a scale of powers of ten, beside what it comes to; further up is "
      + `better. A line joins budgets of the same method.${untimed ? ` Not drawn: ${plural(untimed, "row")} whose processor time was not recorded.` : ""}`,
      timed, "processor seconds", (point) => (point.share === 1 && isNumber(point.seconds) ? Math.log10(Math.max(point.seconds, LEAST_SECONDS)) : null),
      (x) => score(10 ** x)));
  }
  if (curves.length) {
    parts.push(chartSection("Learning curves", "What comes of a part of the training perturbations; further up is better.",
      curves, "part of the training perturbations", (point) => (point.budget === 1 ? point.share : null), (x) => percent(x)));
  }
  byId("costs").replaceChildren(...parts);
}

function chartSection(title, text, lines, across, xOf, tick) {
  const { rows } = board();
  return make("section", {}, make("h3", {}, title), make("p", { class: "remark" }, text),
    make("div", { class: "charts" }, page.headline.map((name, metric) => chart(name, metric, lines, across, xOf, tick))),
    make("ol", { class: "key" }, lines.map((line) => make("li", {}, rows[line.row].label))));
}

/** One metric: dots with the number that the key has. */
function chart(name, metric, lines, across, xOf, tick) {
  const sign = page.metrics[name].better || 1;
  const drawn = lines.map((line, index) => ({ number: index + 1, row: board().rows[line.row], points: line.points
    .map((point) => ({ ...point, x: xOf(point), y: point.means[metric] })).filter((point) => isNumber(point.x) && isNumber(point.y)) }))
    .filter((line) => line.points.length);
  const all = drawn.flatMap((line) => line.points);
  if (!all.length) return "";
  const scaleOf = (values, from, to) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const margin = (high - low || Math.abs(high) || 1) * 0.06;
    return [(value) => from + ((value - low + margin) / (high - low + 2 * margin)) * (to - from), low, high];
  };
  const [x, xLow, xHigh] = scaleOf(all.map((point) => point.x), SIZE.left, SIZE.width - SIZE.right);
  const [y, yLow, yHigh] = scaleOf(all.map((point) => point.y * sign), SIZE.height - SIZE.bottom, SIZE.top);
  const floor = SIZE.height - SIZE.bottom;
  const label = (at, text, anchor = "middle") => vector("text", { ...at, "text-anchor": anchor }, text);
  return make("figure", { class: "chart" }, make("figcaption", {}, breakable(name)),
    vector("svg", { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: "img", "aria-label": `${name} by ${across}` },
      vector("path", { class: "axis", d: `M${SIZE.left} ${SIZE.top}V${floor}H${SIZE.width - SIZE.right}` }),
      [...new Set([yLow, yHigh])].map((at) => label({ x: SIZE.left - 5, y: y(at) + 4 }, score(at * sign), "end")),
      [...new Set([xLow, xHigh])].map((at) => label({ x: x(at), y: floor + 15 }, tick(at))),
      label({ x: (SIZE.left + SIZE.width - SIZE.right) / 2, y: SIZE.height - 4 }, across),
      drawn.map((line) => vector("path", { class: "budgets", d: line.points.map((point, i) => `${i ? "L" : "M"}${x(point.x)} ${y(point.y * sign)}`).join("") })),
      drawn.flatMap((line) => line.points.map((point) => dot(line, point, x(point.x), y(point.y * sign)))),
      numbers(drawn.map((line) => ({ text: line.number, x: x(line.points.at(-1).x), y: y(line.points.at(-1).y * sign) })))));
}

function dot(line, point, cx, cy) {
  const part = [point.budget === 1 ? "" : `${point.budget} x the training`, point.share === 1 ? "" : percent(point.share)].filter(Boolean).join(", ");
  const title = `${line.number}. ${line.row.label}${part ? ` (${part})` : ""}: ${score(point.y)}${isNumber(point.seconds) ? `, ${duration(point.seconds)}` : ""}`;
  return vector("circle", { cx, cy, r: part ? 3 : 4.5, class: line.row.kind }, vector("title", {}, title));
}

/** Numbers beside their dots, moved down where one would lie on another. */
function numbers(labels) {
  const placed = [];
  for (const each of labels.sort((a, b) => a.y - b.y)) {
    let y = each.y + 4;
    for (const other of placed) if (Math.abs(other.x - each.x) < 16 && y - other.y < 11) y = other.y + 11;
    placed.push({ ...each, y });
  }
  return placed.map(({ text, x, y }) => vector("text", { x: x + 8, y, class: "number-of" }, String(text)));
}
