// The table: a row for each setting or for each run, sorted by any column, filtered by words and by values.
const order = { key: "rank", down: false };

function columns() {
  const groups = shown.view === "groups";
  const ranked = { key: "rank", title: "#", number: true, of: (row) => row.rank };
  const name = { key: "name", title: "run", of: (row) => row.name };
  const values = D.columns.map((key, i) => ({ key: `value ${key}`, title: key, of: (row) => row.values[i] }));
  const [deciding, others] = [D.scores.slice(0, 1).flatMap(numbers_of), D.scores.slice(1).flatMap(numbers_of)];
  const seeds = groups
    ? { key: "seeds", title: "seeds", of: (row) => row.seeds.join(", ") }
    : { key: "seed", title: "seed", of: (row) => row.seed };
  const rest = [
    { key: "seconds", title: "time", number: true, of: (row) => row.seconds, written: duration },
    { key: "protocol", title: "protocol", of: (row) => row.protocol },
    { key: "status", title: "status", of: (row) => row.status },
  ];
  return [ranked, ...deciding, ...(groups ? [] : [name]), ...values, seeds, ...others, ...rest];
}

function numbers_of(score) {
  return ["best", "last"].map((place) => {
    const key = `${place}/${score}`;
    const of = (row) => row.numbers[key]?.[0] ?? null;
    return { key, title: `${score} ${place}`, number: true, of, half: (row) => row.numbers[key] };
  });
}

function rows() {
  if (shown.view === "groups") {
    const there = new Set(visible_runs().map((i) => D.runs[i].group));
    return D.groups.map((one, i) => ({ ...one, group: i })).filter((row) => there.has(row.group));
  }
  return visible_runs().map((i) => {
    const group = D.groups[D.runs[i].group];
    return { ...D.runs[i], values: group.values, rank: group.rank };
  });
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
    order.down = order.key === column.key ? !order.down : false;
    order.key = column.key;
    draw_table();
  };
  const attributes = { class: column.number ? "number" : null, "aria-sort": sorted, "data-key": column.key };
  return element("th", attributes, element("button", { onclick: click }, column.title));
}

function cell(column, row, first) {
  const value = column.of(row);
  const kind = column.number ? "number" : column.key === "status" ? "status" : null;
  if (column.half) {
    const [mean, half] = column.half(row) ?? [null, null];
    const spread = half === null ? [] : [element("span", { class: "half" }, ` ± ${short(Number(half.toPrecision(2)))}`)];
    return element("td", { class: kind }, short(mean), ...spread);
  }
  const dot = first ? [element("span", { class: "dot", style: `background:${colour(row.group)}` })] : [];
  const written = column.written ? column.written(value) : value ?? "";
  return element("td", { class: kind }, ...dot, String(written));
}

function draw_table() {
  const all = columns();
  const by = all.find((column) => column.key === order.key) ?? all[0];
  const sorted = rows().sort(compare(by));
  document.querySelector("#table thead").replaceChildren(element("tr", {}, ...all.map(heading)));
  document.querySelector("#table tbody").replaceChildren(
    ...sorted.map((row) =>
      element("tr", { class: row.rank === 1 ? "best" : null }, ...all.map((column, i) => cell(column, row, i === 0))),
    ),
  );
  const total = shown.view === "groups" ? D.groups.length : D.runs.length;
  $("count").textContent = sorted.length === total ? "" : `${sorted.length} of ${total}`;
}

function set_up_table() {
  $("filter").addEventListener("input", (event) => {
    shown.words = event.target.value;
    redraw();
  });
  D.columns.forEach((key, i) => {
    const values = [...new Set(D.groups.map((group) => group.values[i]))].sort();
    const options = [element("option", { value: "" }, `${key}: all`), ...values.map((v) => element("option", { value: v }, v))];
    const pick = element("select", { "aria-label": key, "data-column": key }, ...options);
    pick.addEventListener("change", () => {
      shown.picks[i] = pick.value;
      redraw();
    });
    $("picks").append(pick);
  });
  switches("view", (chosen) => {
    shown.view = chosen;
    draw_table();
  });
}
