// The table: a row for each setting or for each run, sorted by any column, filtered by words and by values.
const MOST_ROWS = 12; // that are visible at first
const MOST_PICKS = 4; // menus of values,
const MOST_VALUES = 12; // each of so many at most

function make_table(view) {
  const { D, find } = view;
  const order = { key: "rank", down: false };
  const opened = new Set(); // rows whose folders and commands are visible
  const state = { rows: "groups", more: false };

  function columns() {
    const groups = state.rows === "groups";
    const ranked = { key: "rank", title: "#", number: true, of: (row) => row.rank };
    const name = groups
      ? { key: "name", title: "run", of: (row) => (row.names.length > 1 ? `${row.names[0]} and ${row.names.length - 1} more` : row.names[0]) }
      : { key: "name", title: "run", of: (row) => row.name };
    const seeds = groups
      ? { key: "seeds", title: "seeds", of: (row) => row.seeds.join(", ") }
      : { key: "seed", title: "seed", of: (row) => row.seed };
    const [first, ...others] = D.scores;
    const main = D.main.map(setting);
    const few = others.length <= 2;
    const rest = [
      ...D.columns.map((_, i) => i).filter((i) => !D.main.includes(i)).map(setting),
      ...(few ? [] : others.flatMap(numbers_of)),
    ];
    return [
      ranked,
      ...(first ? numbers_of(first) : []),
      ...main,
      seeds,
      ...(few ? others.flatMap(numbers_of) : []),
      { key: "seconds", title: "time", number: true, of: (row) => row.seconds, written: duration },
      { key: "protocol", title: "protocol", of: (row) => row.protocol },
      { key: "status", title: "status", of: (row) => row.status },
      name,
      ...rest.map((column) => ({ ...column, folded: true })),
    ];
  }

  function setting(i) {
    return { key: `value ${D.columns[i]}`, title: D.columns[i], of: (row) => row.values[i] };
  }

  function numbers_of(score) {
    return ["best", "last"].map((place) => {
      const key = `${place}/${score}`;
      const of = (row) => row.numbers[key]?.[0] ?? null;
      const better = D.directions[score];
      return { key, title: `${score} ${place}`, number: true, of, better, half: (row) => row.numbers[key] };
    });
  }

  function rows() {
    const visible = view.visible_runs();
    if (state.rows === "runs") {
      return visible.map((i) => {
        const { values, rank } = D.groups[D.runs[i].group];
        return { ...D.runs[i], id: `run ${i}`, values, rank, runs: [D.runs[i]] };
      });
    }
    const members = D.groups.map(() => []);
    for (const i of visible) members[D.runs[i].group].push(D.runs[i]);
    return D.groups
      .map((one, g) => ({ ...one, group: g, id: `group ${g}`, runs: members[g], names: members[g].map((run) => run.name) }))
      .filter((row) => row.runs.length);
  }

  function compare(column) {
    const numeric = (value) => value !== "" && Number.isFinite(Number(value));
    return (a, b) => {
      const [x, y] = [column.of(a), column.of(b)];
      const gone = (value) => value === null || value === undefined || value === "";
      if (gone(x) || gone(y)) return gone(x) - gone(y);
      const sign = order.down ? -1 : 1;
      if (numeric(x) && numeric(y)) return sign * (Number(x) - Number(y));
      return sign * String(x).localeCompare(String(y));
    };
  }

  function heading(column) {
    const sorted = order.key === column.key ? (order.down ? "descending" : "ascending") : null;
    const click = () => {
      order.down = order.key === column.key ? !order.down : column.better === -1; // the best first
      order.key = column.key;
      draw();
    };
    const better = { 1: "less is better", "-1": "more is better" }[column.better];
    const note = better ? [element("small", {}, better)] : [];
    const attributes = { class: column.number ? "number" : null, "aria-sort": sorted, "data-key": column.key };
    return element("th", attributes, element("button", { onclick: click }, column.title), ...note);
  }

  function cell(column, row, first) {
    const value = column.of(row);
    const kind = column.number ? "number" : column.key === "status" ? "status" : null;
    if (column.half) {
      const [mean, half] = column.half(row) ?? [null, null];
      const spread = half === null ? [] : [element("span", { class: "half" }, ` ± ${short(Number(half.toPrecision(2)))}`)];
      return element("td", { class: kind }, short(mean), ...spread);
    }
    const written = column.written ? column.written(value) : value ?? "";
    return element("td", { class: kind }, ...(first ? [opener(row), view.dot(row.group)] : []), String(written));
  }

  function opener(row) {
    const open = opened.has(row.id);
    const click = () => {
      if (!opened.delete(row.id)) opened.add(row.id);
      draw();
    };
    const attributes = { class: "opener", onclick: click, "aria-expanded": String(open), "aria-label": "folders and commands" };
    return element("button", attributes, open ? "▾" : "▸");
  }

  function origin(row, width) {
    const lines = row.runs.map((run) => element("p", {}, element("b", {}, run.folder), element("code", {}, run.command)));
    return element("tr", { class: "origin" }, element("td", { colspan: width }, element("div", {}, ...lines)));
  }

  function draw() {
    const every = columns();
    const all = every.filter((column) => state.more || !column.folded);
    const by = every.find((column) => column.key === order.key) ?? every[0];
    const sorted = rows().sort(compare(by));
    const seen = view.first("table", sorted, MOST_ROWS, state.rows === "groups" ? "settings" : "runs");
    find("table").tHead.replaceChildren(element("tr", {}, ...all.map(heading)));
    find("table").tBodies[0].replaceChildren(
      ...seen.flatMap((row) => {
        const cells = all.map((column, i) => cell(column, row, i === 0));
        const line = element("tr", { class: row.rank === 1 ? "best" : null }, ...cells);
        return opened.has(row.id) ? [line, origin(row, all.length)] : [line];
      }),
    );
    const total = state.rows === "groups" ? D.groups.length : D.runs.length;
    find("count").textContent = sorted.length === total ? "" : `${sorted.length} of ${total}`;
    const folded = every.filter((column) => column.folded).length;
    find("more").hidden = !folded;
    find("more").setAttribute("aria-pressed", String(state.more));
    find("more").textContent = `${folded} more column${folded === 1 ? "" : "s"}`;
  }

  function add_picks() {
    const values = (i) => [...new Set(D.groups.map((group) => group.values[i]))].sort();
    const some = D.main.filter((i) => values(i).length > 1 && values(i).length <= MOST_VALUES).slice(0, MOST_PICKS);
    for (const i of some) {
      const key = D.columns[i];
      const options = [element("option", { value: "" }, `${key}: all`), ...values(i).map((v) => element("option", { value: v }, v))];
      const pick = element("select", { "aria-label": key, "data-column": key }, ...options);
      pick.addEventListener("change", () => {
        view.picks[i] = pick.value;
        view.redraw();
      });
      find("picks").append(pick);
    }
  }

  find("filter").addEventListener("input", (event) => {
    view.words = event.target.value;
    view.redraw();
  });
  find("more").addEventListener("click", () => {
    state.more = !state.more;
    draw();
  });
  view.switches("view", (chosen) => {
    state.rows = chosen;
    draw();
  });
  add_picks();
  return draw;
}
