// Samples of all generators from the same latents, at the turn of the slider.
const MOST_TILES = 8; // that are visible at first
let enlarged = null; // { move, forget } of the section whose picture is enlarged

function make_samples(view) {
  const { D, find } = view;
  let large = null; // the run whose picture is enlarged

  function picture(i, step) {
    const { shown: at, turns, data } = D.pictures[i];
    return at[step] === null ? null : { turn: turns[at[step]], url: data[at[step]] };
  }

  function tile(i, step) {
    const { turn, url } = picture(i, step);
    const late = turn === D.turns[step] ? [] : [element("span", { class: "late" }, ` (turn ${turn.toLocaleString("en")})`)];
    const image = element("img", { src: url, alt: `samples of ${view.caption(i)} at turn ${turn}` });
    const button = element("button", { onclick: () => enlarge(i), "aria-label": `enlarge ${view.caption(i)}` }, image);
    const caption = element("figcaption", {}, view.dot(D.runs[i].group), view.caption(i), ...late);
    return element("figure", { "data-run": i }, button, caption);
  }

  function draw() {
    const step = Number(find("slider").value);
    if (!D.turns.length) return;
    find("turn").textContent = `turn ${D.turns[step].toLocaleString("en")}`;
    const there = view.visible_runs().filter((i) => picture(i, step)?.url).sort(view.by_rank);
    find("grid").replaceChildren(...view.first("samples", there, MOST_TILES, "runs").map((i) => tile(i, step)));
    if (large !== null) show_large();
  }

  function enlarge(i) {
    large = i;
    enlarged = { move, forget: () => (large = null) };
    show_large();
    document.getElementById("large").showModal();
  }

  function show_large() {
    const found = picture(large, Number(find("slider").value));
    if (!found) return;
    const image = document.querySelector("#large img");
    image.src = found.url;
    image.alt = `samples of ${view.caption(large)}`;
    const keys = `${view.caption(large)}, turn ${found.turn.toLocaleString("en")} (arrow keys: other turns)`;
    document.querySelector("#large p").textContent = keys;
  }

  function move(steps) {
    find("slider").value = Number(find("slider").value) + steps;
    draw();
  }

  find("samples").hidden = !D.turns.length;
  find("slider").max = Math.max(0, D.turns.length - 1);
  find("slider").value = find("slider").max;
  find("slider").addEventListener("input", draw);
  return draw;
}
