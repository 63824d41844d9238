"""The page in a browser that finds no network: everything is drawn, on a telephone too, by day and by night."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --enable-logging=stderr --virtual-time-budget=30000 --dump-dom "
    "--window-size=1600,1000"
)
# A window has a least width that a frame inside it has not; the frame is asked again and again what it shows.
FRAME = """<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<iframe style="width: {width}px; height: 900px; border: 0" srcdoc="{page}"></iframe><pre id="found"></pre>
<script>
const inner = document.querySelector("iframe");
setInterval(() => {{
  const page = inner.contentDocument, root = page.documentElement;
  const drawings = [...page.querySelectorAll(".drawing")];
  if (!page.querySelector(".drawing text")) return;
  const marks = ".scatterlayer .trace path, .barlayer .point path, .heatmaplayer image";
  document.querySelector("#found").textContent = JSON.stringify({{
    drawings: drawings.length,
    drawn: drawings.filter((one) => one.querySelector(".main-svg") && one.querySelector(marks)).length,
    widest: Math.max(root.scrollWidth, ...drawings.map((one) => one.getBoundingClientRect().right)),
    clipped: Math.max(...[...page.querySelectorAll(".leaderboard")].map(
      (one) => one.parentElement.scrollWidth - one.parentElement.clientWidth)),
    requests: inner.contentWindow.performance.getEntriesByType("resource").map((entry) => entry.name),
    paper: getComputedStyle(root).backgroundColor,
    ink: getComputedStyle(page.querySelector(".drawing text")).fill,
    first: page.querySelector(".leaderboard tbody th").textContent.trim(),
  }});
}}, 200);
</script>"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
Anirec = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def page(anirec_in: Callable[..., Anirec], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("page")
    anirec = anirec_in(folder)
    small = ["dataset=demo_ratings", "dataset.source.n_users=150", "dataset.source.n_items=60", "trainer=cpu"]
    anirec("run", "-m", *small, "model=popularity,bias", "seed=1,2")
    anirec("run", "-m", *small, "model=svd", "model.n_factors=5,20", "model.lr=0.01,0.03", "trainer.max_epochs=4")
    anirec("compare", "outputs", "--html", "page.html")
    return (folder / "page.html").read_text()


def opened(page: str, folder: Path, *, width: int = 1400, dark: bool = False, script: str = "") -> dict[str, Any]:
    """What the browser shows, and what it complains about."""
    page = page.replace("</body>", f"<script>{script}</script></body>")
    (folder / "frame.html").write_text(FRAME.format(width=width, page=html.escape(page)))
    options = [
        *OPTIONS.split(),
        f"--user-data-dir={folder / 'profile'}",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
    ]
    command = [str(BROWSER), *options, (folder / "frame.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout)
    assert found, done.stderr[-2000:]
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return {**json.loads(html.unescape(found[1])), "complaints": complaints}


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (1000, False), (390, True)])
def test_everything_is_drawn_and_nothing_is_fetched(page: str, tmp_path: Path, width: int, dark: bool) -> None:
    found = opened(page, tmp_path, width=width, dark=dark)
    assert found["complaints"] == []
    assert found["requests"] == []
    assert found["drawn"] == found["drawings"] >= 8
    assert found["widest"] <= width, "a page is not to be pushed sideways"
    assert found["clipped"] <= 0, "a table is not to be scrolled to be read"
    brightness = [sum(map(int, re.findall(r"\d+", found[name])[:3])) for name in ("paper", "ink")]
    assert (brightness[0] < brightness[1]) == dark, "plots and page change together"


def test_a_click_on_a_heading_sorts(page: str, tmp_path: Path) -> None:
    assert not opened(page, tmp_path)["first"].endswith("popularity")
    worst_first = "const rmse = document.querySelectorAll('.leaderboard thead button')[1]; rmse.click(); rmse.click();"
    assert opened(page, tmp_path, script=worst_first)["first"].endswith("popularity")


def test_links_lead_nowhere_but_into_the_page(page: str) -> None:
    elements = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", elements) == []
