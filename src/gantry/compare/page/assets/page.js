// What all parts of the page share: elements, how numbers are written, colours, and the view of one data set.
const COLOURS = ["#3b7ddd", "#e0672b", "#2a9d5c", "#a564d3", "#c79a14", "#d6457f", "#1fa3a8", "#7d8794", "#8d6e4f", "#6c7ae0"];
const DASHES = ["solid", "dash", "dot"]; // a line style for each time that the colours are used up
const BORDERS = { solid: "solid", dash: "dashed", dot: "dotted" }; // the same in the legend

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

// The section `root` of one data set and its data `D`: which rows are visible, in which colours. The parts of the
// section add `redraw`.
function make_view(root, D) {
  const view = { root, D, words: "", picks: {}, unfolded: new Set() };
  const rank = (g) => D.groups[g].rank ?? 1e9;
  const order = D.groups.map((_, g) => g).sort((a, b) => rank(a) - rank(b) || a - b);
  const place = new Map(order.map((g, i) => [g, i])); // the best settings have the most distinct colours

  view.find = (name) => root.querySelector(`.${name}`);
  view.colour = (g) => COLOURS[place.get(g) % COLOURS.length];
  view.dash = (g) => DASHES[Math.floor(place.get(g) / COLOURS.length) % DASHES.length];
  view.by_rank = (a, b) => place.get(D.runs[a].group) - place.get(D.runs[b].group) || a - b;
  view.dot = (g) => element("span", { class: "dot", style: `background:${view.colour(g)}` });

  function passes(text, group) {
    const words = view.words.toLowerCase().split(/\s+/).filter(Boolean);
    const picked = Object.entries(view.picks).every(([i, value]) => value === "" || D.groups[group].values[i] === value);
    return picked && words.every((word) => text.toLowerCase().includes(word));
  }

  function text_of_run(i) {
    const run = D.runs[i];
    const { label, values, status } = D.groups[run.group];
    const settings = D.columns.map((key, k) => `${key}=${values[k]}`).join(" ");
    return `${run.name} ${label} ${settings} ${run.status} ${status} seed=${run.seed} protocol=${run.protocol}`;
  }

  view.visible_runs = () => D.runs.map((_, i) => i).filter((i) => passes(text_of_run(i), D.runs[i].group));

  view.caption = (i) => {
    const run = D.runs[i];
    return D.columns.length ? `${D.groups[run.group].label} seed=${run.seed}` : `${run.name} seed=${run.seed}`;
  };

  // The first of many items, and a button that shows the others.
  view.first = (part, items, most, noun) => {
    const button = root.querySelector(`.all[data-part="${part}"]`);
    const all = view.unfolded.has(part) || items.length <= most;
    button.hidden = items.length <= most;
    button.textContent = all ? `the best ${most} only` : `all ${items.length} ${noun}`;
    return all ? items : items.slice(0, most);
  };

  view.switches = (name, act) => {
    const buttons = root.querySelectorAll(`[data-${name}]`);
    for (const button of buttons) {
      button.addEventListener("click", () => {
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
        act(button.dataset[name]);
      });
    }
  };

  for (const button of root.querySelectorAll(".all")) {
    button.addEventListener("click", () => {
      const { part } = button.dataset;
      if (!view.unfolded.delete(part)) view.unfolded.add(part);
      view.redraw();
    });
  }
  return view;
}
