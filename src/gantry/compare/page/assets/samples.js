// What all generators make of the same latents at the turn of the slider.
let enlarged = null;

function picture(i, step) {
  const { shown: at, turns, data } = D.pictures[i];
  return at[step] === null ? null : { turn: turns[at[step]], url: data[at[step]] };
}

function tile(i, step) {
  const { turn, url } = picture(i, step);
  const late = turn === D.turns[step] ? [] : [element("span", { class: "late" }, ` (turn ${turn.toLocaleString("en")})`)];
  const image = element("img", { src: url, alt: `samples of ${caption(i)} at turn ${turn}` });
  const dot = element("span", { class: "dot", style: `background:${colour(D.runs[i].group)}` });
  const button = element("button", { onclick: () => enlarge(i), "aria-label": `enlarge ${caption(i)}` }, image);
  return element("figure", { "data-run": i }, button, element("figcaption", {}, dot, caption(i), ...late));
}

function draw_samples() {
  const step = Number($("slider").value);
  if (!D.turns.length) return;
  $("turn").textContent = `turn ${D.turns[step].toLocaleString("en")}`;
  const there = visible_runs().filter((i) => picture(i, step)?.url).sort(by_rank);
  $("grid").replaceChildren(...there.map((i) => tile(i, step)));
  if (enlarged !== null) show_large();
}

function enlarge(i) {
  enlarged = i;
  show_large();
  $("large").showModal();
}

function show_large() {
  const found = picture(enlarged, Number($("slider").value));
  if (!found) return;
  const image = document.querySelector("#large img");
  image.src = found.url;
  image.alt = `samples of ${caption(enlarged)}`;
  document.querySelector("#large p").textContent = `${caption(enlarged)}, turn ${found.turn.toLocaleString("en")} (arrow keys: other turns)`;
}

function move(steps) {
  $("slider").value = Number($("slider").value) + steps;
  draw_samples();
}

function set_up_samples() {
  $("samples").hidden = !D.turns.length;
  $("slider").max = Math.max(0, D.turns.length - 1);
  $("slider").value = $("slider").max;
  $("slider").addEventListener("input", draw_samples);
  $("large").addEventListener("click", () => $("large").close());
  $("large").addEventListener("close", () => (enlarged = null));
  $("large").addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (steps) move(steps);
  });
}

set_up_table();
set_up_curves();
set_up_samples();
redraw();
