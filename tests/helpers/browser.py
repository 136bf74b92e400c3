"""A page in a real browser without a window: any Chromium that the machine has, and no driver but the page itself."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
LISTENER_SCRIPT = """<script>
window.said = [];
for (const kind of ["error", "warn"]) {
  const before = console[kind];
  console[kind] = (...words) => { said.push(words.join(" ")); before(...words); };
}
addEventListener("error", (event) => said.push(String(event.message || event.target.src)), true);
addEventListener("unhandledrejection", (event) => said.push(String(event.reason)));
</script>"""
RUNNER_SCRIPT = """<script>
addEventListener("load", async () => {
  const pause = () => new Promise((done) => setTimeout(done, 50));
  const result = {};
  try { %s } catch (error) { said.push(String(error)); }
  const told = document.createElement("pre");
  told.id = "told";
  told.textContent = JSON.stringify({ ...result, said });
  document.body.append(told);
});
</script>"""


def find_chromium() -> str | None:
    """The path of a Chromium; None where there is none."""
    return next((path for path in map(shutil.which, CHROMIUM_NAMES) if path), None)


def run_in_page(page: Path, script: str, *options: str) -> dict[str, Any]:
    """Run a script in a page that is opened from the disk, without a network.

    What it puts into `result`, and as `said` all errors and warnings of the page and of the script.
    """
    text = page.read_text(encoding="utf-8")
    copy = page.with_name(f"driven-{page.name}")
    copy.write_text(
        text.replace("<head>", f"<head>{LISTENER_SCRIPT}", 1).replace("</body>", f"{RUNNER_SCRIPT % script}</body>")
    )
    command = [find_chromium() or "", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    no_network = "--host-resolver-rules=MAP * ~NOTFOUND"
    profile = f"--user-data-dir={page.parent / 'profile'}"
    more = ["--virtual-time-budget=20000", no_network, profile, *options, copy.resolve().as_uri()]
    done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=180, check=True)
    result = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
    assert result, f"the script did not end: {done.stderr[-2000:]}"
    return dict(json.loads(html.unescape(result.group(1))))
