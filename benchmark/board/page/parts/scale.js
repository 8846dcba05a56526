/** Mean, bounds and counts of a metric in a row, as the choices have it; undefined where there are none. */
function estimate(row, metric) {
  if (state.group) return row.groups?.[state.group]?.[metric];
  return (state.scaled ? row.scaled : row.metrics)?.[metric];
}

/** 1 where more is better, -1 where less is; scaled scores are all turned. */
function better(metric) {
  return state.scaled && !state.group ? 1 : page.metrics[metric].better;
}

/**
 * The axis of a metric: whatever is better lies further right. It spans all rows but those that are much worse
 * than the worst of the simple baselines, which would squeeze everybody else; they are drawn at its end.
 */
function axis(metric, rows) {
  const sign = better(metric) || 1;
  const estimates = rows.map((row) => [row, estimate(row, metric)]).filter(([, each]) => isNumber(each?.[0]));
  const ends = (each) => [each[0], each[1] ?? each[0], each[2] ?? each[0]].map((value) => value * sign);
  const all = estimates.flatMap(([, each]) => ends(each));
  if (!all.length) return { low: 0, high: 1, sign };
  const simple = estimates.filter(([row]) => row.kind === "anchor").flatMap(([, each]) => ends(each));
  const high = Math.max(...all);
  let low = Math.min(...all);
  if (simple.length) {
    const worst = Math.min(...simple);
    low = Math.max(low, worst - Math.max(high - worst, Number.EPSILON) / 2);
  }
  const margin = (high - low || Math.abs(high) || 1) * 0.04;
  return { low: low - margin, high: high + margin, sign };
}

/** Where a value lies on an axis, in percent; at the end if beyond. */
function place(on, value) {
  const share = (value * on.sign - on.low) / (on.high - on.low);
  return `${(Math.min(1, Math.max(0, share)) * 100).toFixed(2)}%`;
}

function isBeyond(on, value) {
  return value * on.sign < on.low;
}

function isNumber(value) {
  return typeof value === "number" && !Number.isNaN(value);
}

/** The lines of a column: what simple rows and the limit score. */
function lines(metric, rows, on) {
  const found = {};
  for (const row of rows) {
    const value = estimate(row, metric)?.[0];
    if (!isNumber(value)) continue;
    if (row.kind === "bound") found["--at-bound"] ??= place(on, value);
    if (row.kind === "anchor" && row.method === page.baseline) found["--at-baseline"] ??= place(on, value);
    if (row.kind === "anchor" && row.method === "no_change") found["--at-no-change"] ??= place(on, value);
  }
  return found;
}
