"""The figure of scores by the student's size: lines, order of the sizes, the teacher, what is missing, and refusals."""

import json
import re
from xml.etree import ElementTree

import pytest
from chain import run
from fdistill.artifacts.files import write_json
from fdistill.evaluation.figures import scores_by_size
from fdistill.evaluation.figures.drawing import COLOURS
from fdistill.runtime.errors import UserError

SYSTEMS = {"teacher": "Teacher", "kl": "KL", "js": "JS"}
SIZES = {None: {"encoder": 2, "decoder": 1}, "e3d1": {"encoder": 3, "decoder": 1}, "e1d1": {"encoder": 1, "decoder": 1}}
SVG = "{http://www.w3.org/2000/svg}"


def metrics_file(folder, system, **means):
    """Write a `metrics.json` with an interval of ± 1 around each mean."""
    entries = {
        key: {"title": key.upper(), "direction": "higher", "mean": mean, "std": None, "seeds": {"1": mean}}
        | {"interval": None if mean is None else [mean - 1, mean + 1], "signature": "s", "missing": None}
        for key, mean in means.items()
    }
    place = {"task": "t", "method": system}
    write_json(folder / f"{system}.json", place | {"n_inputs": 400, "metrics": entries, "lineage": place})
    return folder / f"{system}.json"


def students(folder, **changed):
    """The files of two methods in three sizes, and of the teacher."""
    means = {
        "teacher": 50.0,
        "kl": 20.0,
        "kl-e3d1": 30.0,
        "kl-e1d1": 10.0,
        "js": 21.0,
        "js-e3d1": 31.0,
        "js-e1d1": 11.0,
    }
    return [metrics_file(folder, system, bleu=mean) for system, mean in (means | changed).items()]


def texts(path):
    return ["".join(node.itertext()) for node in ElementTree.parse(path).iter(f"{SVG}text")]


def heights(path, colour):
    """The points of the drawn lines of a colour, from left to right, as heights above the figure's lower edge."""
    lines = []
    for node in ElementTree.parse(path).iter(f"{SVG}path"):
        if f"stroke: {colour.lower()}" in node.get("style", "") and "stroke-width: 1.2" in node.get("style", ""):
            points = [tuple(map(float, point)) for point in re.findall(r"[ML] (\S+) (\S+)", node.get("d"))]
            lines.append([(x, -y) for x, y in points])
    return lines


def test_a_line_per_method_rises_with_the_size_whatever_the_order_of_sizes(tmp_path):
    scores_by_size(students(tmp_path), SIZES, SYSTEMS, "Pronunciation", tmp_path / "a.svg")
    shown = texts(tmp_path / "a.svg")
    assert [text for text in shown if text in ("1", "2", "3")] == ["1", "2", "3"]
    assert {"Pronunciation", "encoder layers of the student", "BLEU (higher is better)", *SYSTEMS.values()} <= set(
        shown
    )
    for i in (1, 2):
        line = max(heights(tmp_path / "a.svg", COLOURS[i]), key=len)  # the legend has one too, of two points
        assert len(line) == 3
        (x1, y1), (x2, y2), (x3, y3) = line
        assert x1 < x2 < x3 and y1 < y2 < y3
        assert x2 - x1 == pytest.approx(x3 - x2) and y2 - y1 == pytest.approx(y3 - y2)
    scores_by_size(students(tmp_path), SIZES, SYSTEMS, "Pronunciation", tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_sizes_that_differ_in_two_stacks_or_in_the_copied_layers_are_told_apart(tmp_path):
    sizes = {None: {"encoder": 12, "decoder": 3}, "6-6": {"encoder": 6, "decoder": 6}}
    paths = [metrics_file(tmp_path, system, bleu=1.0) for system in ("kl", "kl-6-6")]
    scores_by_size(paths, sizes, SYSTEMS, "t", tmp_path / "a.svg")
    assert {"6-6", "12-3", "encoder-decoder layers of the student"} <= set(texts(tmp_path / "a.svg"))
    sizes = {None: {"decoder": 3}, "top": {"decoder": [9, 10, 11]}}
    paths = [metrics_file(tmp_path, system, bleu=1.0) for system in ("kl", "kl-top")]
    scores_by_size(paths, sizes, SYSTEMS, "t", tmp_path / "b.svg")
    assert {"3", "[9, 10, 11]", "decoder layers of the student"} <= set(texts(tmp_path / "b.svg"))
    sizes["top"] = {"decoder": {"layers": 3, "choose": "high", "from": "pretrained"}}
    scores_by_size(paths, sizes, SYSTEMS, "t", tmp_path / "c.svg")
    assert {"3", "3 high pretrained"} <= set(texts(tmp_path / "c.svg"))


def test_what_is_missing(tmp_path):
    """A value without a mean has no point; a metric without any value says so; a method may lack a size."""
    paths = students(tmp_path, **{"kl-e3d1": None})[:-1]
    paths[0] = metrics_file(tmp_path, "teacher", bleu=50.0, bleurt=None)
    scores_by_size(paths, SIZES, SYSTEMS, "t", tmp_path / "a.svg")
    assert "n/a: see the main table" in texts(tmp_path / "a.svg")
    assert "BLEURT (higher is better)" in texts(tmp_path / "a.svg")
    assert [len(max(heights(tmp_path / "a.svg", COLOURS[i]), key=len)) for i in (1, 2)] == [2, 2]
    assert not heights(tmp_path / "a.svg", COLOURS[0])  # the teacher's line is another one


def test_an_interval_that_leaves_out_its_mean_is_drawn(tmp_path):
    path = metrics_file(tmp_path, "kl", bleu=20.0)
    content = json.loads(path.read_text())
    content["metrics"]["bleu"]["interval"] = [20.5, 21.0]
    write_json(path, content)
    scores_by_size([path], {None: {"decoder": 1}}, SYSTEMS, "t", tmp_path / "a.svg")
    assert "KL" in texts(tmp_path / "a.svg")


def test_by_script(tmp_path):
    paths = students(tmp_path)
    sizes = {size: layers for size, layers in SIZES.items() if size is not None}
    arguments = ["--student", json.dumps(SIZES[None]), "--student-sizes", json.dumps(sizes)]
    arguments += ["--metrics", *(f"t/{path.stem}={path}" for path in paths), "--title", "Pronunciation"]
    arguments += ["--systems", *(f"{key}={title}" for key, title in SYSTEMS.items())]
    run("figures", "sizes", *arguments, "--output", tmp_path / "a.svg")
    scores_by_size(paths, SIZES, SYSTEMS, "Pronunciation", tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    wrong = [f"t/js-e1d1={paths[0]}" if text.startswith("t/js-e1d1=") else text for text in arguments]
    refused = run("figures", "sizes", *wrong, "--output", tmp_path / "c.svg", fails=True)
    assert "teacher.json: belongs to another method than this run (teacher, not js-e1d1)" in refused


def test_refusals(tmp_path):
    paths, output = students(tmp_path), tmp_path / "a.svg"
    with pytest.raises(
        UserError, match=r"js.json: system 'js' has no title; add it to --systems \(known: teacher, kl\)"
    ):
        scores_by_size(paths, SIZES, {"teacher": "T", "kl": "KL"}, "t", output)
    with pytest.raises(UserError, match=r"kl-e3d1.json: 'e3d1' is no size of --student-sizes; add it, or leave out"):
        scores_by_size(paths, {None: SIZES[None]}, SYSTEMS, "t", output)
    with pytest.raises(UserError, match=r"kl.json: a second file of 'kl'; give one"):
        scores_by_size([*paths, paths[1]], SIZES, SYSTEMS, "t", output)
    with pytest.raises(UserError, match="'e3d1' must have the stacks of --student: encoder, decoder"):
        scores_by_size(paths, SIZES | {"e3d1": {"encoder": 3}}, SYSTEMS, "t", output)
    assert not output.exists()
