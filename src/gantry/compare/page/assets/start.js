// The theme, the enlarged picture, and a view of each section, made when it is opened first.
const views = new Map();

function open_section(root, D) {
  if (!root.open) return;
  if (!views.has(root)) {
    const view = make_view(root, D);
    const parts = [make_table(view), make_curves(view), make_samples(view)];
    view.redraw_curves = parts[1]; // Plotly's colours are no CSS
    view.redraw = () => parts.forEach((draw) => draw());
    views.set(root, view);
  }
  views.get(root).redraw();
}

function dark() {
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
}

function dress(theme) {
  document.documentElement.dataset.theme = theme;
  for (const view of views.values()) if (view.root.open) view.redraw_curves();
}

dress(dark() ? "dark" : "light");
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dress(dark() ? "dark" : "light"));
document.getElementById("theme").addEventListener("click", () => {
  dress(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
});

const large = document.getElementById("large");
large.addEventListener("click", () => large.close());
large.addEventListener("close", () => enlarged?.forget());
large.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (steps) enlarged?.move(steps);
});

const sections = JSON.parse(document.getElementById("data").textContent);
document.querySelectorAll(".dataset").forEach((root, i) => {
  root.addEventListener("toggle", () => open_section(root, sections[i]));
  open_section(root, sections[i]);
});
