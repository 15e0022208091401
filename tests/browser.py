"""Pages in a real browser, Chromium, which tests install when they may."""

import html
import json
import re
import subprocess
from pathlib import Path

import pytest
from debian import Unavailable, install, program

# A frame of a device's width around the page; the script writes what it measures into the frame's parent.
FRAME = """<!DOCTYPE html><meta charset="utf-8"><body style="margin: 0">
<iframe id=f width={width} height=800 style="border: 0" srcdoc="{page}"></iframe>
<pre id=measured></pre><script>
document.getElementById("f").onload = function () {{
  const d = this.contentDocument, root = d.documentElement, all = selector => [...d.querySelectorAll(selector)];
  const shown = {{{measures}}};
  document.getElementById("measured").textContent = JSON.stringify(shown);
}};
</script>"""
# By name, JavaScript expressions over the document d of the page.
MEASURES = {
    "title": "d.title",
    "page": "root.scrollWidth",
    "frame": "root.clientWidth",
    "tables": "all('table').map(t => t.offsetWidth)",
    "boxes": "all('.scroll').map(b => b.scrollWidth)",
    "heights": "all('th.name, td.name').map(c => c.getClientRects().length && c.offsetHeight)",
    "cut": "all('th, td').filter(c => c.scrollWidth > c.clientWidth + 1).length",
    "hacked": "Boolean(window.hacked)",
}


def chromium() -> str:
    """Return the path of the browser; skips the test where it cannot be had."""
    try:
        install(["chromium"], ["chromium"])
    except Unavailable as reason:
        pytest.skip(str(reason))
    return program("chromium")


def measure(page: str, folder: Path, width: int = 390, **more: str) -> dict:
    """Return what `MEASURES` and `more` say of a page that is `width` pixels wide."""
    file = folder / "frame.html"
    measures = ", ".join(f"{name}: {expression}" for name, expression in (MEASURES | more).items())
    file.write_text(FRAME.format(page=html.escape(page), width=width, measures=measures), encoding="utf-8")
    command = [
        chromium(),
        "--headless",
        "--window-size=1600,900",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder / 'profile'}",
    ]
    command += ["--virtual-time-budget=5000", "--dump-dom", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return json.loads(html.unescape(re.search(r"<pre id=\"measured\">(.+?)</pre>", done.stdout, re.S).group(1)))
