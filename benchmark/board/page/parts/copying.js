/** The table as text for a paper, with the line that says where it is from. */
function drawCopying() {
  const old = byId("copying").querySelector("details");
  const text = make("textarea", { id: "copied", rows: 8, readonly: true, "aria-label": "The table as text" });
  const put = (content) => {
    text.value = content;
    text.select();
    navigator.clipboard?.writeText(content).then(() => say("Copied."), () => say("Selected; copy it."));
  };
  const button = (name, write) => make("button", { type: "button", id: `copy-${name}`, click: () => put(write(paperTable())) }, name);
  byId("copying").replaceChildren(board().rows.some((row) => row.kind !== "unfinished")
    ? make("details", { class: "notes", open: old?.open }, make("summary", {}, "Copy this table"),
      make("p", {}, button("Markdown", asMarkdown), " ", button("LaTeX", asLatex)), text)
    : "");
}

/** What the table shows now, in its order: headings, lines, and where they are from. */
function paperTable() {
  const rows = sorted(board().rows.filter((row) => row.kind !== "unfinished"));
  const text = (found) => (isNumber(found?.[0]) ? score(found[0]) + (between(found) ? ` [${between(found)}]` : "") : "–");
  return {
    head: ["Rank", "Method", ...state.metrics, "Mean rank"],
    lines: [...rows.filter((row) => row.kind === "bound"), ...rows.filter((row) => row.kind !== "bound")].map((row) =>
      [row.rank ?? "–", row.label, ...state.metrics.map((name) => text(estimate(row, name))), isNumber(row.mean_rank[0]) ? row.mean_rank[0].toFixed(2) : "–"].map(String)),
    source: citation(),
  };
}

function citation() {
  const { dataset, split, digest, seeds, citation: of } = board();
  const narrowed = state.group ? `, perturbations of ${state.group}` : "";
  const scale = state.scaled && !state.group ? "; scaled: 0 is the train mean, 1 the limit" : "";
  return `Data set ${dataset}${of ? ` (${of.trim().replace(/\.$/, "")})` : ""}, split ${split}, ${plural(seeds.length, "seed")}${narrowed}; data ${digest.slice(0, 12)}. `
    + `Means over test perturbations with 95% bootstrap intervals${scale}; perturbation-benchmark ${page.version}.`;
}

function asMarkdown({ head, lines, source }) {
  const line = (cells) => `| ${cells.map((cell) => cell.replace(/\|/g, "\\|")).join(" | ")} |`;
  return [line(head), line(head.map((_, i) => (i === 1 ? "---" : "---:"))), ...lines.map(line), "", source, ""].join("\n");
}

function asLatex({ head, lines, source }) {
  const signs = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "−": "$-$", "–": "--" };
  const escaped = (text) => text.replace(/[\\~^−–&%$#_{}]/g, (sign) => signs[sign] ?? `\\${sign}`);
  const line = (cells) => `${cells.map(escaped).join(" & ")} \\\\`;
  return ["\\begin{table}", "\\centering", `\\begin{tabular}{rl${"r".repeat(head.length - 2)}}`, "\\hline", line(head), "\\hline", ...lines.map(line),
    "\\hline", "\\end{tabular}", `\\caption{${escaped(source)}}`, "\\end{table}", ""].join("\n");
}
