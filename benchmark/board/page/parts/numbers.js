/** A score with the digits that matter; "–" where there is none. */
function score(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size < 1e-9) return "0.0000";
  if ((size < 0.0005 || size >= 1e6)) return minus(value.toExponential(1));
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : size >= 0.1 ? 3 : 4;
  return minus(value.toFixed(digits));
}

/** The end of an axis, in few letters: two digits of how long it is. */
function tick(value, length) {
  const digits = Math.max(0, 1 - Math.floor(Math.log10(length || 1)));
  return minus(String(Number(value.toFixed(Math.min(digits, 20)))));
}

function signed(value) {
  return value > 0 ? `+${score(value)}` : score(value);
}

function minus(text) {
  return text.replace(/-/g, "−");
}

function between([, low, high]) {
  return low === null || low === undefined ? "" : `${score(low)} to ${score(high)}`;
}

function percent(value) {
  return value === null || value === undefined ? "–" : `${Math.floor(value * 100)}%`;
}

/** Seconds as people say them. */
function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 100) return `${score(seconds)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function pValue(p) {
  if (p === null || p === undefined) return "no test";
  return p < 0.001 ? "p < .001" : `p = ${p < 0.1 ? p.toPrecision(2) : p.toFixed(2)}`;
}

function plural(n, one, many = `${one}s`) {
  return `${n} ${n === 1 ? one : many}`;
}
