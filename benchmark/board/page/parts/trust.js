/** What each metric can tell on these data: known predictions, noise, and how many perturbations tell them apart. */
const TRUST = [
  ["train_mean", "Train mean", "what saying the same of all scores"],
  ["duplicate", "Duplicate", "a positive control: the true mean half way to the control cells"],
  ["bound", "Bound", "the limit of metrics of means, the replicate ceiling of others"],
  ["placed", "Placed", "where the duplicate stands from the train mean, 0, to the bound, 1"],
  ["noise", "Noise", "standard error of a perturbation's score that comes of the real cells"],
  ["sampling", "Sampling", "which part of the variance of scores over perturbations that is"],
  ["told", "Told", "share of perturbations whose bound is two standard errors above the train mean"],
  ["seeds", "Seeds", "standard deviation of a method's mean score over trainings, the median of methods"],
];

function drawTrust() {
  const { trust } = board();
  byId("trust").replaceChildren(trust ? trustTable(trust) : "");
}

function trustTable({ seed, perturbations, metrics }) {
  const names = [...page.headline, ...Object.keys(page.metrics)].filter((name, place, all) =>
    name in metrics && all.indexOf(name) === place);
  const shares = ["placed", "sampling", "told"];
  const shown = (row, key) => (shares.includes(key) ? percent(row[key]) : score(row[key]));
  const line = (name) => make("tr", {},
    make("th", { scope: "row" }, breakable(name)),
    TRUST.map(([key]) => make("td", { class: "value" }, shown(metrics[name], key))));
  return make("details", { class: "notes" },
    make("summary", {}, "Which metric can be trusted here"),
    make("p", { class: "remark" }, `Measured on the ${plural(perturbations, "test perturbation")} of seed ${seed}.`),
    make("ul", {}, TRUST.map(([, title, text]) => make("li", {}, `${title}: ${text}.`))),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "What metrics can tell" },
      make("table", { class: "plain" },
        make("thead", {}, make("tr", {}, ["Metric", ...TRUST.map(([, title]) => title)].map((text) => make("th", { scope: "col" }, text)))),
        make("tbody", {}, names.map(line)))));
}
