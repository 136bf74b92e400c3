// What the parts of the page share: the data, which runs are shown, and how numbers are written.
const D = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const COLOURS = ["#3b7ddd", "#e0672b", "#2a9d5c", "#a564d3", "#c79a14", "#d6457f", "#1fa3a8", "#7d8794", "#8d6e4f", "#6c7ae0"];
const colour = (group) => COLOURS[group % COLOURS.length];
const shown = { words: "", picks: {}, view: "groups" };

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

function short(value) {
  if (value === null || value === undefined) return "";
  const size = Math.abs(value);
  return size >= 1e5 || (size < 1e-3 && size > 0) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

function duration(seconds) {
  if (seconds === null) return "";
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  return seconds < 7200 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

function passes(text, group) {
  const words = shown.words.toLowerCase().split(/\s+/).filter(Boolean);
  const picked = Object.entries(shown.picks).every(([i, value]) => value === "" || D.groups[group].values[i] === value);
  return picked && words.every((word) => text.toLowerCase().includes(word));
}

function text_of_group(g) {
  const one = D.groups[g];
  return `${one.label} ${one.status} seed=${one.seeds.join(" seed=")} protocol=${one.protocol}`;
}

function text_of_run(i) {
  const run = D.runs[i];
  return `${run.name} ${D.groups[run.group].label} ${run.status} seed=${run.seed} protocol=${run.protocol}`;
}

function visible_runs() {
  return D.runs.map((_, i) => i).filter((i) => passes(text_of_run(i), D.runs[i].group));
}

function by_rank(a, b) {
  const rank = (i) => D.groups[D.runs[i].group].rank ?? 1e9;
  return rank(a) - rank(b) || D.runs[a].group - D.runs[b].group || a - b;
}

function caption(i) {
  const run = D.runs[i];
  return D.columns.length ? `${D.groups[run.group].label} seed=${run.seed}` : `${run.name} seed=${run.seed}`;
}

function switches(name, act) {
  const buttons = document.querySelectorAll(`[data-${name}]`);
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      act(button.dataset[name]);
    });
  }
}

function redraw() {
  draw_table();
  draw_curves();
  draw_samples();
}

function dark() {
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
}

function dress(theme) {
  document.documentElement.dataset.theme = theme;
}

dress(dark() ? "dark" : "light");
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  dress(dark() ? "dark" : "light");
  draw_curves();
});
$("theme").addEventListener("click", () => {
  dress(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  draw_curves();
});
