// Curves of the runs that are shown, with Plotly: a colour for each setting, a line for each run or the mean over seeds.
const plot = { axis: "turn", lines: "seeds" };
const OPTIONS = { displayModeBar: false, responsive: true, showTips: false };
const FEW = 30; // points of a curve, up to which each is marked
const UNITS = [[7200, 3600, "h"], [180, 60, "min"], [0, 1, "s"]];

function metrics() {
  const names = new Set(D.curves.flatMap((of_run) => Object.keys(of_run)));
  const first = `score/${D.score}`;
  return [...names].sort((a, b) => (b === first) - (a === first) || group_order(a) - group_order(b) || a.localeCompare(b));
}

function group_order(name) {
  return ["score/", "loss/", "logits/"].findIndex((start) => name.startsWith(start)) + 1 || 9;
}

function wide(name) {
  const values = D.curves.flatMap((of_run) => of_run[name]?.y ?? []);
  const least = Math.min(...values);
  return least > 0 && Math.max(...values) / least > 20;
}

function time_unit(runs, name) {
  if (plot.axis !== "seconds") return [1, plot.axis];
  const largest = Math.max(...runs.flatMap((i) => D.curves[i][name].seconds.slice(-1)));
  const [, unit, label] = UNITS.find(([least]) => largest >= least);
  return [unit, `wall time, ${label}`];
}

function draw_curves() {
  const name = $("metric").value;
  const there = visible_runs().filter((i) => D.curves[i][name]?.[plot.axis]);
  $("tip").hidden = true;
  $("plot").hidden = !there.length;
  draw_legend(there);
  if (!there.length) return;
  const [unit, label] = time_unit(there, name);
  const groups = [...new Set(there.map((i) => D.runs[i].group))];
  const lines = plot.lines === "seeds"
    ? groups.flatMap((group) => mean_of(group, members(group, there), name, unit))
    : there.map((i) => line_of(D.runs[i].group, D.curves[i][name][plot.axis], D.curves[i][name].y, unit, caption(i)));
  Plotly.react($("plot"), lines, layout(label), OPTIONS);
}

function line_of(group, times, y, unit, said) {
  return {
    x: times.map((time) => time / unit),
    y,
    mode: y.length <= FEW ? "lines+markers" : "lines",
    line: { color: colour(group), width: 1.5 },
    marker: { size: 5 },
    hoverinfo: "none", // the tip says it
    meta: said,
  };
}

function mean_of(group, runs, name, unit) {
  const { times, mean, low, high } = over_seeds(runs, name, plot.axis);
  const said = runs.length > 1 ? `${D.groups[group].label}, mean of ${runs.length} seeds` : caption(runs[0]);
  const line = line_of(group, times, mean, unit, said);
  if (runs.length === 1) return [line];
  const edge = { ...line, mode: "lines", line: { width: 0 }, hoverinfo: "skip" };
  return [{ ...edge, y: low }, { ...edge, y: high, fill: "tonexty", fillcolor: `${colour(group)}30` }, line];
}

function layout(label) {
  const style = getComputedStyle(document.documentElement);
  const [text, line] = ["--text", "--line"].map((name) => style.getPropertyValue(name).trim());
  const axis = { gridcolor: line, linecolor: line, zeroline: false, automargin: true };
  return {
    font: { family: "system-ui, sans-serif", size: 12, color: text },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 48, r: 12, t: 8, b: 38 },
    xaxis: { ...axis, title: { text: label, standoff: 6 }, tickformat: "," },
    yaxis: { ...axis, type: $("log").checked ? "log" : "linear", tickformat: "~g" },
    hovermode: "closest",
    hoverdistance: 40,
    dragmode: window.matchMedia("(pointer: coarse)").matches ? false : "zoom", // a finger scrolls the page
    showlegend: false,
  };
}

function point_out({ event, points: [{ data, y }] }) {
  const tip = $("tip");
  const frame = $("plot").getBoundingClientRect();
  tip.hidden = false;
  tip.textContent = `${data.meta}: ${short(y)}`;
  tip.style.left = `${Math.max(0, Math.min(event.clientX - frame.left + 12, frame.width - tip.offsetWidth))}px`;
  tip.style.top = `${event.clientY - frame.top + 14}px`;
  fade((i) => $("plot").data[i].meta !== data.meta);
}

function let_go() {
  $("tip").hidden = true;
  fade(() => false);
}

function fade(others) {
  document.querySelectorAll("#plot .scatterlayer .trace").forEach((line, i) => (line.style.opacity = others(i) ? 0.25 : 1));
}

function draw_legend(there) {
  const groups = [...new Set([...there].sort(by_rank).map((i) => D.runs[i].group))];
  $("legend").replaceChildren(
    ...groups.map((g) => element("span", {}, element("span", { class: "dot", style: `background:${colour(g)}` }), D.groups[g].label)),
  );
}

function set_up_curves() {
  $("metric").append(...metrics().map((name) => element("option", { value: name }, name)));
  if (!$("metric").value) $("curves").hidden = true;
  $("log").checked = wide($("metric").value);
  $("metric").addEventListener("change", () => {
    $("log").checked = wide($("metric").value);
    draw_curves();
  });
  $("log").addEventListener("change", draw_curves);
  switches("axis", (chosen) => {
    plot.axis = chosen;
    draw_curves();
  });
  switches("lines", (chosen) => {
    plot.lines = chosen;
    draw_curves();
  });
  $("lines").hidden = D.groups.every((one) => one.seeds.length < 2);
  Plotly.newPlot($("plot"), [], layout(""), OPTIONS);
  $("plot").on("plotly_hover", point_out);
  $("plot").on("plotly_unhover", let_go);
}
