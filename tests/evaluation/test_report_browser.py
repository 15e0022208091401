"""The report in a real browser: on a phone and on a laptop nothing is cut off, and texts of any form stay texts."""

import base64
import re

import pytest
from browser import measure
from fdistill.evaluation.report import report_page
from report_files import BLEU, draw_figures, study

HOSTILE = "</title></style><script>parent.hacked = 1</script><img src=x onerror='parent.hacked = 1'> " + "x" * 200
# Boxes that are wider than the page and do not scroll, and focusable areas for those that do.
MEASURES = {
    "wide": "all('main *').filter(e => !e.closest('.scroll') && e.getBoundingClientRect().right > root.clientWidth + 1)"
    ".map(e => e.outerHTML.slice(0, 80))",
    "unreachable": "all('.scroll').filter(b => b.scrollWidth > b.clientWidth && b.tabIndex != 0).length",
    "scrolling": "all('.scroll').filter(b => b.scrollWidth > b.clientWidth).length",
    "pictures": "all('img').map(i => i.naturalWidth)",
}
# Pairs of an SVG file's texts that overlap. A text's box has room around its letters, a formula's even more.
OVERLAPS = """all('svg').flatMap(svg => {
  const boxes = [...svg.querySelectorAll('text')].map(text => {
    const box = text.getBoundingClientRect(), room = 0.22 * Math.min(box.width, box.height);
    return {text: text.textContent, left: box.left + room, right: box.right - room,
            top: box.top + room, bottom: box.bottom - room};
  });
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b => meet(a, b)).map(b => [a.text, b.text]));
})"""
OVERLAPPING = "<svg><text x=10 y=30>one</text><text x=20 y=32>two</text><text x=90 y=30>three</text></svg>"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report of two tasks, the second with texts of any form."""
    tasks, texts = {"d2t": "Data-to-text", "mt": HOSTILE}, {"js": HOSTILE, "copy": HOSTILE}
    files, settings = study(tmp_path_factory.mktemp("study"), tasks=tasks, titles=texts, outputs={"kl": HOSTILE})
    return opened(report_page(files, settings))


def opened(page):
    """The page with everything shown that a click shows."""
    assert page.count("<details>") > 3
    return page.replace("<details>", "<details open>")


@pytest.mark.parametrize("width", [390, 1400])
def test_the_page_fits_and_only_areas_in_it_scroll(page, width, tmp_path):
    shown = measure(page, tmp_path, width=width, **MEASURES)
    assert shown["page"] == shown["frame"] <= width
    assert shown["wide"] == [] and shown["cut"] == 0
    assert shown["scrolling"] and not shown["unreachable"]
    assert not shown["hacked"]


@pytest.mark.parametrize("width", [390, 1400])
def test_ordinary_tables_scroll_on_a_phone_only(width, tmp_path):
    files, settings = study(tmp_path)
    draw_figures(files, settings)
    shown = measure(opened(report_page(files, settings)), tmp_path, width=width, **MEASURES)
    assert shown["page"] == shown["frame"] <= width and shown["wide"] == [] and shown["cut"] == 0
    assert bool(shown["scrolling"]) == (width == 390)
    assert len(shown["pictures"]) == 3 and min(shown["pictures"]) > 300  # each is drawn


def test_labels_in_pictures_stand_apart(tmp_path):
    files, settings = study(tmp_path, BLEU, seeds=3)
    draw_figures(files, settings)
    pictures = re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", report_page(files, settings))
    for name, picture in zip(("risk", "cost", "curves"), pictures, strict=True):
        svg = base64.b64decode(picture).decode()
        shown = measure(svg[svg.index("<svg") :], tmp_path, width=1400, overlaps=OVERLAPS, texts="all('text').length")
        assert shown["texts"] > 10 and shown["overlaps"] == [], name
    assert measure(OVERLAPPING, tmp_path, overlaps=OVERLAPS)["overlaps"] == [["one", "two"]]
