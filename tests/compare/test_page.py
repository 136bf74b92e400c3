"""The page, driven in a real browser where there is one."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs

from browser import find_chromium, run_in_page
from fake_runs import write_fake_run, write_fake_sweep
from gantry.compare.comparison import compare_runs
from gantry.compare.data_sets import compare_by_data_set
from gantry.compare.find_runs import read_runs
from gantry.compare.page.page import render_page
from gantry.compare.page.page_data import find_latest_turns, make_page_data, select_image_turns
from gantry.runs.summary import write_summary

browser = pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")

STEPS = """
const cells = (n) => [...document.querySelectorAll(".table tbody tr")].map((row) => row.cells[n].textContent);
const type = async (name, value, kind) => {
  const node = document.querySelector(`.${name}`);
  node.value = value;
  node.dispatchEvent(new Event(kind));
  await pause();
};
const levels = () => [...document.querySelectorAll(".grid img")].map((image) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d");
  context.drawImage(image, 5, 5, 1, 1, 0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data[0];
});
const loaded = () => Promise.all([...document.querySelectorAll(".grid img")].map((image) => image.decode()));
const chart = document.querySelector(".plot");

result.ranked = cells(3);
result.losses = cells(4);
document.querySelector('[data-key="last/fd_digits"] button').click();
document.querySelector('[data-key="last/fd_digits"] button').click();
result.worst_first = cells(2);
document.querySelector('[data-view="runs"]').click();
result.runs = cells(0).length;
await type("filter", "dcgan seed=2", "input");
result.filtered = cells(4);
result.tiles = document.querySelectorAll(".grid figure").length;
result.legend = document.querySelector(".legend").children.length;
result.count = document.querySelector(".count").textContent;
await type("filter", "", "input");
const pick = document.querySelector('[data-column="loss"]');
pick.value = "hinge";
pick.dispatchEvent(new Event("change"));
result.picked = cells(5);
pick.value = "";
pick.dispatchEvent(new Event("change"));
await loaded();
result.late = levels();
await type("slider", "0", "input");
await loaded();
result.early = levels();
result.turn = document.querySelector(".turn").textContent;
document.querySelector(".grid button").click();
result.enlarged = document.getElementById("large").open;
result.large_before = document.querySelector("#large p").textContent;
const key = new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true });
document.getElementById("large").dispatchEvent(key);
result.large_after = document.querySelector("#large p").textContent;
document.getElementById("large").click();
result.closed = !document.getElementById("large").open;
result.means = chart.data.map((curve) => [curve.meta, curve.y.at(-1), curve.fill ?? ""]);
document.querySelector('[data-lines="runs"]').click();
result.axes = [];
for (const axis of ["kimg", "seconds", "turn"]) {
  document.querySelector(`[data-axis="${axis}"]`).click();
  result.axes.push([chart.layout.xaxis.title.text, chart.data[0].x.at(-1), chart.data.length]);
}
result.colours = new Set(chart.data.map((curve) => curve.line.color)).size;
const area = document.querySelector(".plot .nsewdrag");
const point = document.querySelectorAll(".plot .scatterlayer .trace")[1].querySelectorAll(".point")[2];
const tip = document.querySelector(".tip");
const mouse = async (kind, target, hidden) => {
  const { x, y } = target.getBoundingClientRect();
  area.dispatchEvent(new MouseEvent(kind, { clientX: x + 2, clientY: y + 2, bubbles: true }));
  for (let i = 0; i < 40 && tip.hidden !== hidden; i++) await pause();
};
await mouse("mousemove", point, false);
result.tip = tip.textContent;
result.faded = document.querySelectorAll('.plot .trace[style*="opacity: 0.25"]').length;
await mouse("mouseout", point, true);
result.tip_gone = tip.hidden;
await type("metric", "loss/D", "change");
result.other = chart.data[0].y;
result.scales = [chart.layout.yaxis.type];
document.querySelector(".log").click();
result.scales.push(chart.layout.yaxis.type);
result.text_before = chart.layout.font.color;
result.before = document.documentElement.dataset.theme;
document.getElementById("theme").click();
result.after = document.documentElement.dataset.theme;
result.text_after = chart.layout.font.color;
result.wide = document.documentElement.scrollWidth > window.innerWidth;
result.told_by = document.querySelector(".filter").getBoundingClientRect().top;
"""


def write(folder: Path, *folders: Path) -> Path:
    """The page of some runs."""
    result = read_runs([str(one) for one in folders])
    path = folder / "compare.html"
    comparison = compare_by_data_set(result.runs, result.unreadable)
    path.write_text(render_page(comparison, "from a test", pictures=12), encoding="utf-8")
    return path


@pytest.mark.slow  # a busy machine keeps a browser waiting
@browser
def test_a_reader_sorts_filters_and_slides(tmp_path: Path) -> None:
    path = write(tmp_path, write_fake_sweep(tmp_path / "sweep"))
    got = run_in_page(path, STEPS, "--window-size=1280,900")
    assert got["said"] == []
    assert got["ranked"] == ["dcgan", "dcgan", "mlp", "mlp"]
    assert got["losses"] == ["hinge", "nonsaturating"] * 2
    assert [cell.split(" ")[0] for cell in got["worst_first"]] == ["45.15", "41.15", "25.15", "21.15"]
    assert (got["runs"], got["filtered"]) == (8, ["dcgan", "dcgan"])
    assert (got["tiles"], got["legend"], got["count"]) == (2, 2, "2 of 8")
    assert got["picked"] == ["hinge"] * 4
    assert got["late"] == pytest.approx([240] * 8, abs=4)
    assert got["early"] == pytest.approx([10] * 8, abs=4)
    assert got["turn"] == "turn 0"
    assert (got["enlarged"], got["closed"]) == (True, True)
    assert (", turn 0 " in got["large_before"], ", turn 50 " in got["large_after"]) == (True, True)
    assert len(got["means"]) == 12  # for each setting its lowest, its highest and its mean
    output = "model=mlp loss=hinge, mean of 2 seeds"
    assert got["means"][:3] == [[output, 40.1, ""], [output, 40.2, "tonexty"], [output, pytest.approx(40.15), ""]]
    assert got["axes"] == [["kimg", 6.4, 8], ["wall time, s", 20, 8], ["turn", 100, 8]]
    assert got["colours"] == 4
    assert got["tip"] == "model=mlp loss=hinge seed=2: 40.2"
    assert (got["faded"], got["tip_gone"]) == (7, True)
    assert got["other"] == [2, 1.5, 1]
    assert got["scales"] == ["linear", "log"]
    assert {got["before"], got["after"]} == {"light", "dark"}
    assert got["text_before"] != got["text_after"]
    assert not got["wide"]
    assert got["told_by"] < 900  # the best, why, and the table begin on the first screen


@pytest.mark.slow  # a busy machine keeps a browser waiting
@browser
def test_a_page_of_whatever_there_is_has_no_errors(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "a", "model=<b>&amp;</script>", fd=3.0, pictures=())
    write_fake_run(tmp_path / "b", "model=$x{{data}}", done=None, pictures=(0, 70))
    got = run_in_page(write(tmp_path, tmp_path), "result.text = document.querySelector('.table').textContent")
    assert got["said"] == []
    assert "<b>&amp;</script>" in got["text"]
    assert "$x{{data}}" in got["text"]


@pytest.mark.slow  # a busy machine keeps a browser waiting
@browser
def test_a_phone_shows_all_of_it_without_scrolling_sideways(tmp_path: Path) -> None:
    write(tmp_path, write_fake_sweep(tmp_path / "sweep"))
    frame = tmp_path / "phone.html"
    frame.write_text(
        '<html><head></head><body><iframe src="compare.html" width="400" height="800"></iframe></body></html>'
    )
    script = """
    const inner = frames[0].document;
    result.wide = inner.documentElement.scrollWidth;
    const chart = inner.querySelector(".plot");
    result.chart = [chart._fullLayout.width, chart.clientWidth];
    document.querySelector("iframe").width = 360;
    await new Promise((done) => setTimeout(done, 500));
    result.narrower = [chart._fullLayout.width, chart.clientWidth, inner.documentElement.scrollWidth];
    """
    got = run_in_page(frame, script, "--allow-file-access-from-files")
    assert got["said"] == []
    assert got["wide"] <= 400
    assert got["chart"][0] == got["chart"][1] < 400
    assert got["narrower"][0] == got["narrower"][1] < got["chart"][0]
    assert got["narrower"][2] <= 360


HOSTILE_TEXTS = [
    "</script><script>window.canary = 1</script>",
    "<img src=x onerror=window.canary=1>",
    '"><svg onload=window.canary=1>',
    "javascript:window.canary=1",
    "{{data}} <!--<script>",
    "__proto__",
]


def write_hostile_runs(folder: Path) -> Path:
    """Two runs whose names, keys, values, tags, scores, protocols and reasons are all hostile."""
    for i, text in enumerate(HOSTILE_TEXTS):
        config = {"data": {"name": text, text: i}, "tags": [text], "notes": text, "metrics": {"monitor": text}}
        name = text.replace("/", "\u2044")
        run = write_fake_run(folder / f"{name}{i}", "model=mlp", config=config, measured={"real": text, text: text})
        entry = {"turn": 100, "kimg": 6.4, "protocol": {"extractor": text, "scores": {text: {text: i}}, text: text}}
        entry["scores"] = {text: 1.0 + i, "fd_digits": 2.0 + i}
        write_summary(run, {"report": {"best": entry, "last": entry}, "turns": 100})
        (run / "metrics.csv").write_text(f'turn,"score/{text.replace(chr(34), chr(34) * 2)}"\n1,2\n')
    failed = folder / "failed"
    failed.mkdir()
    (failed / "job.json").write_text(json.dumps({"failed": HOSTILE_TEXTS[0], "overrides": [f"x={HOSTILE_TEXTS[1]}"]}))
    (folder / "<b>unreadable").mkdir()
    (folder / "<b>unreadable" / "config.yaml").write_text("a: <script>window.canary=1</script>: [")
    return folder


class Elements(HTMLParser):
    """The names of all elements, and their attributes that run or load something."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.active: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.active += [(k, v) for k, v in attrs if k.startswith("on") or k in ("src", "href", "srcdoc", "action")]


def test_hostile_texts_make_no_element(tmp_path: Path) -> None:
    plain, hostile = Elements(), Elements()
    plain.feed(write(tmp_path, write_fake_sweep(tmp_path / "sweep")).read_text(encoding="utf-8"))
    hostile.feed(write(tmp_path, write_hostile_runs(tmp_path / "hostile")).read_text(encoding="utf-8"))
    assert set(hostile.names) <= {*plain.names, "tr", "td", "th", "table", "details", "summary", "ul", "li"}
    assert hostile.names.count("script") == plain.names.count("script") == 3
    assert hostile.active == plain.active == [("href", "data:,")]


@pytest.mark.slow  # a busy machine keeps a browser waiting
@browser
def test_hostile_texts_run_nothing_and_are_shown(tmp_path: Path) -> None:
    path = write(tmp_path, write_hostile_runs(tmp_path / "hostile"))
    script = """
    document.querySelector('[data-view="runs"]').click();
    document.querySelector(".grid button")?.click();
    for (const select of document.querySelectorAll("select")) select.dispatchEvent(new Event("change"));
    await pause();
    result.canary = window.canary ?? 0;
    result.text = document.body.textContent;
    result.links = document.querySelectorAll("a").length;
    """
    got = run_in_page(path, script)
    assert (got["said"], got["canary"], got["links"]) == ([], 0, 0)
    assert all(text in got["text"] for text in HOSTILE_TEXTS)


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    text = write(tmp_path, write_fake_sweep(tmp_path / "sweep")).read_text(encoding="utf-8")
    assert text.count(get_plotlyjs()) == 1
    assert "</script" not in get_plotlyjs()
    text = text.replace(get_plotlyjs(), "")
    assert re.findall(r"""(?:src|href)=["'](?!data:)[^"']*|url\((?!data:)[^)]*|@import""", text) == []
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    assert len(json.loads(data.group(1))[0]["runs"]) == 8
    assert len(text) < 400_000


@pytest.mark.slow  # a busy machine keeps a browser waiting
@browser
def test_each_data_set_has_a_section_and_a_click_sorts_the_best_first(tmp_path: Path) -> None:
    for name, precision in (("low", 0.2), ("high", 0.9), ("middle", 0.5)):
        folder = write_fake_run(tmp_path / "m" / name, "data=mnist", f"model={name}", fd=100 * precision)
        summary = json.loads((folder / "summary.json").read_text())
        summary["report"]["best"]["scores"]["precision"] = precision
        (folder / "summary.json").write_text(json.dumps(summary))
    write_fake_run(tmp_path / "d", "data=digits", "model=mlp")
    script = """
    const [mnist, digits] = document.querySelectorAll(".dataset");
    const sort = (key) => {
      mnist.querySelector(`[data-key="${key}"] button`).click();
      return [...mnist.querySelectorAll(".table tbody tr")].map((row) => row.cells[3].textContent);
    };
    const heading = mnist.querySelector('[data-key="best/precision"]');
    result.names = [mnist, digits].map((part) => part.querySelector("h2").textContent);
    result.open = [mnist.open, digits.open];
    const note = (key) => mnist.querySelector(`[data-key="${key}"] small`).textContent;
    result.notes = ["best/fd_digits", "best/precision"].map(note);
    result.precision = [sort("best/precision"), sort("best/precision")];
    result.distance = [sort("best/fd_digits"), sort("best/fd_digits")];
    mnist.querySelector(".opener").click();
    result.origin = [...mnist.querySelectorAll("tr.origin b, tr.origin code")].map((node) => node.textContent);
    digits.open = true;
    await pause();
    result.rows = digits.querySelectorAll(".table tbody tr").length;
    """
    got = run_in_page(write(tmp_path, tmp_path), script)
    assert got["said"] == []
    assert (got["names"], got["open"]) == (["mnist", "digits"], [True, False])
    assert got["notes"] == ["less is better", "more is better"]
    assert got["precision"] == [["high", "middle", "low"], ["low", "middle", "high"]]
    assert got["distance"] == [["low", "middle", "high"], ["high", "middle", "low"]]
    command = "python src/train.py data=mnist model=high seed=1"
    assert got["origin"] == [str(tmp_path / "m" / "high"), command]
    assert got["rows"] == 1


@pytest.mark.slow  # a busy machine keeps a browser waiting
@browser
def test_a_page_of_many_runs_stays_short(tmp_path: Path) -> None:
    for i in range(40):
        told = (f"model=m{i}", f"loss=l{i % 7}", f"augment=a{i % 3}", *(f"optim.x{k}={i % (k + 2)}" for k in range(9)))
        write_fake_run(tmp_path / f"run{i}", *told, fd=float(i), seed=i % 2)
    write(tmp_path, tmp_path)
    frame = tmp_path / "phone.html"
    frame.write_text(
        '<html><head></head><body><iframe src="compare.html" width="420" height="800"></iframe></body></html>'
    )
    script = """
    const inner = frames[0].document;
    const count = (part) => inner.querySelectorAll(part).length;
    result.height = inner.documentElement.scrollHeight;
    result.width = inner.documentElement.scrollWidth;
    result.first = [count(".table tbody tr"), count(".grid figure"), count(".legend > span"), count(".picks select")];
    for (const button of inner.querySelectorAll(".all")) button.click();
    result.all = [count(".table tbody tr"), count(".grid figure"), count(".legend > span")];
    const styles = [...inner.querySelectorAll(".swatch")].map((node) => node.getAttribute("style"));
    result.styles = new Set(styles.slice(0, 30)).size;
    """
    got = run_in_page(frame, script, "--allow-file-access-from-files")
    assert got["said"] == []
    assert got["height"] < 5000
    assert got["width"] <= 420
    assert got["first"] == [12, 8, 10, 2]  # of losses and augmentations; models are too many for a menu
    assert got["all"] == [40, 40, 40]
    assert got["styles"] == 30


def test_a_number_is_drawn_as_a_scatter_and_a_name_as_bars(tmp_path: Path) -> None:
    for i, lr in enumerate(("1e-4", "1e-3", "1e-2")):
        write_fake_run(tmp_path / f"a{i}", "model=mlp", f"recipe.lr={lr}", fd=float(i))
        write_fake_run(tmp_path / f"b{i}", "model=<i>", f"recipe.lr={lr}", fd=float(i + 10))
    text = write(tmp_path, tmp_path).read_text(encoding="utf-8").replace(get_plotlyjs(), "")
    (scatter,) = re.findall(r'<svg class="scatter".*?</svg>', text, re.DOTALL)
    assert scatter.count("<circle") == 6
    assert "recipe.lr (log scale)" in scatter
    assert text.count('class="effect') == 2
    assert "<i>" not in text.partition("<main>")[2].partition("<script")[0].replace("<i style", "")


def test_rows_without_a_time_lie_between_their_neighbours(tmp_path: Path) -> None:
    write_fake_run(tmp_path / "a", "model=mlp")
    result = read_runs([str(tmp_path)])
    (curves,) = make_page_data(compare_runs(result.runs), 0)["curves"]
    assert curves["score/fd_digits"]["seconds"] == [0.0, 10.0, 20.0]
    assert curves["score/fd_digits"]["y"] == [110.0, 60.0, 10.0]


def test_the_slider_has_a_few_turns_of_all_runs() -> None:
    assert select_image_turns([[0, 10, 20], [0, 15]], 12) == [0, 10, 15, 20]
    assert select_image_turns([range(101)], 3) == [0, 50, 100]
    assert select_image_turns([range(101)], 1) == [0]
    assert select_image_turns([[5]], 0) == []
    assert find_latest_turns([0, 10, 15, 20], [0, 15]) == [0, 0, 15, 15]
    assert find_latest_turns([0, 10], [5]) == [None, 5]
