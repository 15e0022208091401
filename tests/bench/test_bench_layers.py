"""Inference time as a linear function of layers: the models that are timed, the fit, the script and the table."""

import csv
import io
import json
import runpy
import sys

import numpy as np
import pytest
import tiny
import torch
import warm
from fdistill.artifacts.files import read_json, write_json
from fdistill.bench import layers
from fdistill.data.batches import label_batch, source_batch
from fdistill.evaluation import published
from fdistill.evaluation.tables import layers_table
from fdistill.evaluation.tables.formats import to_csv
from fdistill.evaluation.tables.markdown import to_markdown
from fdistill.models.students import init_student
from fdistill.runtime.errors import UserError
from paper_tables import rows_of
from snake import ROOT


def section(family):
    stacks = ("decoder",) if family == "gpt2" else ("encoder", "decoder")
    teacher = {"init": "scratch", "vocab_size": 300, "config": tiny.CONFIGS[family]}
    return {"family": family, "teacher": teacher, "student": dict.fromkeys(stacks, 1)}


@pytest.mark.parametrize("family", ["bart", "t5", "gpt2"])
def test_the_models_are_different_and_the_first_is_the_full_one(family):
    model, depths = layers.random_models(section(family), 5, 3, "cpu")
    full = {name: tiny.CONFIGS[family][stack.size_key] for name, stack in model.family.stacks.items()}
    assert depths[0] == full and len({tuple(one.values()) for one in depths}) == 5
    assert all(1 <= count <= layers.DEEPEST for one in depths for count in one.values())
    assert layers.random_models(section(family), 5, 3, "cpu")[1] == depths
    if len(full) == 2:
        assert layers.random_models(section(family), 5, 4, "cpu")[1] != depths
    everything = layers.random_models(section(family), 1000, 3, "cpu")[1]
    assert len(everything) == layers.DEEPEST ** len(full)
    with pytest.raises(UserError, match=r"--models: 2 models do not determine a line.*; give [34] or more"):
        layers.random_models(section(family), 2, 3, "cpu")


@pytest.mark.parametrize("family", ["bart", "t5", "gpt2"])
def test_a_model_with_layers_left_out_is_the_model_of_the_first_layers(family):
    whole = tiny.checkpoint(family, **dict.fromkeys(tiny.LAYER_KEYS[family], 3))
    depths = dict(zip(whole.model.family.stacks, (1, 2) if family != "gpt2" else (2,), strict=True))
    cut = init_student(whole, {stack: list(range(count)) for stack, count in depths.items()})
    cut.model.module.eval()
    sources, targets = tiny.random_pairs(whole, 3)
    source, labels = source_batch(whole.model, sources), label_batch(targets, "cpu")
    before = tiny.logits(whole, source, labels)
    with torch.no_grad(), layers.with_layers(whole.model, depths):
        torch.testing.assert_close(tiny.logits(whole, source, labels), tiny.logits(cut, source, labels))
        logits, state = whole.model.start(whole.model.encode(source))
        expected, other = cut.model.start(cut.model.encode(source))
        for _ in range(2):
            torch.testing.assert_close(logits, expected)
            token = logits.argmax(-1, keepdim=True)
            logits, expected = whole.model.step(token, state), cut.model.step(token, other)
    torch.testing.assert_close(tiny.logits(whole, source, labels), before)


def entries(seconds, grid):
    return [{"layers": {"encoder": e, "decoder": d}, "seconds": {"forward": seconds(e, d)}} for e, d in grid]


GRID = [(12, 12), (12, 1), (1, 12), (3, 5), (7, 2), (6, 6), (9, 3), (2, 8)]


def test_the_fit_finds_an_exact_line():
    fit = layers.fit(entries(lambda e, d: 0.5 + 0.02 * e + 0.06 * d, GRID), "forward")
    full = 0.5 + 12 * 0.08
    assert fit["seconds"] == pytest.approx({"constant": 0.5, "encoder": 0.02, "decoder": 0.06})
    assert fit["full_seconds"] == pytest.approx(full) and fit["r2"] == pytest.approx(1)
    assert fit["percent"]["decoder"]["value"] == pytest.approx(100 * 0.06 / full)
    assert fit["percent"]["encoder"]["interval"] == pytest.approx([100 * 0.02 / full] * 2)
    assert fit["ratio"]["value"] == pytest.approx(3)


def test_the_intervals_contain_the_truth_as_often_as_they_say():
    """In 95 % of 600 noisy repetitions of a study whose truth is known."""
    noise, full = np.random.default_rng(0), 0.5 + 12 * 0.08
    truth = {"decoder": 100 * 0.06 / full, "encoder": 100 * 0.02 / full, "ratio": 3}
    inside = dict.fromkeys(truth, 0)
    for _ in range(600):
        noisy = entries(lambda e, d: 0.5 + 0.02 * e + 0.06 * d + 0.02 * noise.standard_normal(), GRID)
        fit = layers.fit(noisy, "forward")
        for name, estimate in {**fit["percent"], "ratio": fit["ratio"]}.items():
            low, high = estimate["interval"]
            inside[name] += low <= truth[name] <= high
    assert all(0.92 <= count / 600 <= 0.98 for count in inside.values()), inside


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The files of the script, by family."""
    folder, files = tmp_path_factory.mktemp("layers"), {}
    for family in ("bart", "gpt2"):
        files[family] = folder / f"{family}.json"
        arguments = ["--model", json.dumps(section(family)), "--task", family, "--models=6", "--batch=2", "--repeats=2"]
        arguments += ["--seed=1", "--device=cpu", "--max-source-tokens=8", "--max-target-tokens=6"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["bench_layers.py", *arguments, f"--json={files[family]}"])
            runpy.run_path(str(ROOT / "workflow/scripts/bench_layers.py"), run_name="__main__")
    return files


def test_the_script_writes_its_times_and_their_fit(measured):
    for family, file in measured.items():
        content = read_json(file, {"lineage": {"task": family}, "fits": dict, "models": list})
        assert len(content["models"]) == 6 and content["precision"] == "float32"
        for way, fit in content["fits"].items():
            assert fit == layers.fit(content["models"], way)
            assert all(model["seconds"][way] > 0 for model in content["models"])
            assert (fit["ratio"] is None) == (family == "gpt2")


TASKS = {"bart": "Pairs", "gpt2": "Chat"}


def test_the_table_has_theirs_beside_ours_and_says_why_a_number_is_missing(measured, tmp_path):
    content = read_json(measured["bart"])
    estimate = {"value": 7.5, "interval": [7.0, 8.0]}
    content["fits"]["forward"] |= {"percent": {"decoder": estimate, "encoder": estimate}, "ratio": estimate}
    write_json(tmp_path / "bart.json", content)
    paper = published.read("shleifer_rush_section6_4")
    table = layers_table(measured | {"bart": tmp_path / "bart.json"}, TASKS, paper)
    ((_, _, first, _, third, _, last),) = rows_of(to_markdown(table))
    assert first[:2] == ["Pairs: forward pass", "bart 2-2"] and first[3:6] == ["7.5 ± 0.5", "7.5 ± 0.5", "7.50 ± 0.50"]
    assert third[:2] == ["Chat: forward pass", "gpt2 2"] and third[4:6] == ["n/a", "n/a"]
    assert last == ["Shleifer & Rush 2020", "bart", "n/a", "8", "4", "2", "n/a"]
    assert any("Chat: n/a, as gpt2 has no encoder" in note for note in table.notes)
    assert any("144 %" in note for note in table.notes)
    records = {(row["task"], row["way"], row["estimate"]): row for row in csv.DictReader(io.StringIO(to_csv(table)))}
    assert len(records) == 2 * 2 * 3
    row = records["bart", "forward", "decoder"]
    assert [float(row[key]) for key in ("value", "low", "high", "published")] == [7.5, 7.0, 8.0, 8.0]
    assert records["gpt2", "generate", "encoder"]["value"] == ""
    alone = layers_table(measured, TASKS)
    assert "Shleifer & Rush 2020" not in to_markdown(alone)
    with pytest.raises(UserError, match="no times for task gpt2; give gpt2=FILE"):
        layers_table({"bart": measured["bart"]}, TASKS)


def test_the_tables_script_writes_every_format_and_refuses_another_tasks_times(measured, tmp_path):
    files = [tmp_path / f"layers.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    given = [f"{family}={file}" for family, file in measured.items()]
    arguments = ["layers", "--times", *given, "--tasks", *TASKS, "--compare-with", "paper", "--output", *files]
    done = warm.run_script("tables", *arguments)
    assert done.returncode == 0, done.stdout
    assert all(file.stat().st_size for file in files) and "144" in files[1].read_text()
    arguments[2] = f"bart={measured['gpt2']}"
    assert "another task" in warm.run_script("tables", *arguments).stdout
