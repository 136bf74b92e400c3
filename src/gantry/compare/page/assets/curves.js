// Curves of the visible runs, with Plotly: a colour for each setting, a line for each run or the mean over seeds.
const OPTIONS = { displayModeBar: false, responsive: true, showTips: false };
const FEW_POINTS = 30; // of a curve, up to which each is marked
const MOST_SETTINGS = 10; // that have curves at first
const UNITS = [[7200, 3600, "h"], [180, 60, "min"], [0, 1, "s"]];

function make_curves(view) {
  const { D, find } = view;
  const plot = { axis: "turn", lines: "seeds" };

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

  function draw() {
    const name = find("metric").value;
    const all = view.visible_runs().filter((i) => D.curves[i][name]?.[plot.axis]).sort(view.by_rank);
    const groups = view.first("curves", [...new Set(all.map((i) => D.runs[i].group))], MOST_SETTINGS, "settings");
    const there = all.filter((i) => groups.includes(D.runs[i].group));
    find("tip").hidden = true;
    find("plot").hidden = !there.length;
    draw_legend(groups);
    if (!there.length) return;
    const [unit, label] = time_unit(there, name);
    const lines = plot.lines === "seeds"
      ? groups.flatMap((group) => mean_of(group, members(D, group, there), name, unit))
      : there.map((i) => line_of(D.runs[i].group, D.curves[i][name][plot.axis], D.curves[i][name].y, unit, view.caption(i)));
    Plotly.react(find("plot"), lines, layout(label), OPTIONS);
  }

  function line_of(group, times, y, unit, caption) {
    return {
      x: times.map((time) => time / unit),
      y,
      mode: y.length <= FEW_POINTS ? "lines+markers" : "lines",
      line: { color: view.colour(group), dash: view.dash(group), width: 1.5 },
      marker: { size: 5 },
      hoverinfo: "none", // the tip has it
      meta: caption,
    };
  }

  function mean_of(group, runs, name, unit) {
    const { times, mean, low, high } = over_seeds(D, runs, name, plot.axis);
    const caption = runs.length > 1 ? `${D.groups[group].label}, mean of ${runs.length} seeds` : view.caption(runs[0]);
    const line = line_of(group, times, mean, unit, caption);
    if (runs.length === 1) return [line];
    const edge = { ...line, mode: "lines", line: { width: 0 }, hoverinfo: "skip" };
    return [{ ...edge, y: low }, { ...edge, y: high, fill: "tonexty", fillcolor: `${view.colour(group)}30` }, line];
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
      yaxis: { ...axis, type: find("log").checked ? "log" : "linear", tickformat: "~g" },
      hovermode: "closest",
      hoverdistance: 40,
      dragmode: window.matchMedia("(pointer: coarse)").matches ? false : "zoom", // a finger scrolls the page
      showlegend: false,
    };
  }

  function point_out({ event, points: [{ data, y }] }) {
    const tip = find("tip");
    const frame = find("plot").getBoundingClientRect();
    tip.hidden = false;
    tip.textContent = `${data.meta}: ${short(y)}`;
    tip.style.left = `${Math.max(0, Math.min(event.clientX - frame.left + 12, frame.width - tip.offsetWidth))}px`;
    tip.style.top = `${event.clientY - frame.top + 14}px`;
    fade((i) => find("plot").data[i].meta !== data.meta);
  }

  function let_go() {
    find("tip").hidden = true;
    fade(() => false);
  }

  function fade(others) {
    const lines = find("plot").querySelectorAll(".scatterlayer .trace");
    lines.forEach((line, i) => (line.style.opacity = others(i) ? 0.25 : 1));
  }

  function draw_legend(groups) {
    const swatch = (g) => `border-top-color:${view.colour(g)};border-top-style:${BORDERS[view.dash(g)]}`;
    find("legend").replaceChildren(
      ...groups.map((g) => element("span", {}, element("span", { class: "swatch", style: swatch(g) }), D.groups[g].label)),
    );
  }

  find("metric").append(...metrics().map((name) => element("option", { value: name }, name)));
  if (!find("metric").value) find("curves").hidden = true;
  find("log").checked = wide(find("metric").value);
  find("metric").addEventListener("change", () => {
    find("log").checked = wide(find("metric").value);
    draw();
  });
  find("log").addEventListener("change", draw);
  view.switches("axis", (chosen) => {
    plot.axis = chosen;
    draw();
  });
  view.switches("lines", (chosen) => {
    plot.lines = chosen;
    draw();
  });
  find("lines").hidden = D.groups.every((one) => one.seeds.length < 2);
  Plotly.newPlot(find("plot"), [], layout(""), OPTIONS);
  find("plot").on("plotly_hover", point_out);
  find("plot").on("plotly_unhover", let_go);
  return draw;
}
