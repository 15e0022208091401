"""The benchmark's scripts: they write what they measured, and name what is missing and why."""

import json
import runpy
import sys

import pytest
import tiny
from fdistill.artifacts.files import write_json
from fdistill.bench import steps
from fdistill.bench.workload import AS_IN_TEXT, FULL
from fdistill.config import load
from fdistill.sampling.cache_kinds import STATES, TOPK
from snake import ROOT, snakemake
from workloads import METHODS


def run(monkeypatch, script, *arguments):
    monkeypatch.setattr(steps, "peak_memory", lambda run, device: run() and 2**20)  # profiling takes seconds
    monkeypatch.setattr(sys, "argv", [f"{script}.py", *arguments])
    runpy.run_path(str(ROOT / f"workflow/scripts/{script}.py"), run_name="__main__")


def test_the_script_writes_what_it_measured_and_names_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    teacher = {"init": "scratch", "vocab_size": 300, "config": tiny.CONFIGS["gpt2"]}
    model = {"family": "gpt2", "teacher": teacher, "student": {"decoder": 1}}
    run(
        monkeypatch, "bench", "--model", json.dumps(model), "--methods", json.dumps({"js": METHODS["js"]}), "--seed=1",
        "--device=cpu", "--max-source-tokens=8", "--max-target-tokens=8", "--learning-rate=1e-3", "--epochs=1",
        "--batch-size=4", "--accumulation=2", "--repeats=2", "--top-k=5",
        f"--json={tmp_path}/b.json", f"--table={tmp_path}/b.md",
    )  # fmt: skip
    content = json.loads((tmp_path / "b.json").read_text())
    text = (tmp_path / "b.md").read_text()
    assert [(entry["lengths"], entry["method"]) for entry in content["measured"]] == [
        (lengths, method) for lengths in (FULL, AS_IN_TEXT) for method in ("js", steps.ON_POLICY)
    ]
    assert "batch 4, source 8, target 8" in text and content["machine"]["name"] in text
    for entry in content["measured"]:
        assert f"{1000 * entry['steps']['plain']['seconds']['median']:,.1f}" in text
        assert f"{entry['steps']['plain']['times_ours']['median']:.2f}" in text
    js, on_policy = content["measured"][2:]
    for title, name in {"states": steps.CACHED[STATES], "topk": steps.CACHED[TOPK]}.items():
        assert f"| this project, {title} " in text and name not in on_policy["steps"]
        assert f"{js['caches'][name]['bytes_per_token']:,.0f} bytes per token of the teacher's samples" in text
        assert f"this project, {title} {js['losses'][name]:.6f}" in text
    assert "top-k 5" in text and "TRL: n/a, as trl is not installed; python -m pip install -e '.[bench]'" in text


def test_the_script_of_the_loss_writes_what_it_measured(tmp_path, monkeypatch):
    run(
        monkeypatch, "bench_loss", "--methods", json.dumps(METHODS), "--positions", "8", "16", "--vocabulary=30",
        "--width=8", "--repeats=1", "--seed=1", "--device=cpu", f"--json={tmp_path}/b.json", f"--table={tmp_path}/b.md",
    )  # fmt: skip
    content = json.loads((tmp_path / "b.json").read_text())
    assert [entry["positions"] for entry in content["measured"]] == [8, 16] * 3
    text = (tmp_path / "b.md").read_text()
    assert "vocabulary 30, width 8" in text and "Liger: n/a, as its kernels need a GPU." in text


def test_the_script_of_growth_writes_what_it_measured(tmp_path, monkeypatch):
    study = load({"tasks": ["dialogue"], "methods": ["predistill", "js"], "seeds": [1]}, [], ROOT)
    task = study.task("dialogue")
    task["text"] |= {"max_source_tokens": 8, "max_target_tokens": 8}
    task["model"]["teacher"] |= {"vocab_size": 300, "config": tiny.CONFIGS["gpt2"]}
    for section in task["training"].values():
        section["batch_size"] = 4
    methods = {name: study.method(name) for name in ("predistill", "js", "gkd")}
    arguments = (
        "bench_growth", "--tasks", json.dumps({"dialogue": task}), "--methods", json.dumps(methods),
        "--terms", json.dumps(METHODS["js"]), "--examples", "1000", "--devices", "2", "1", "--seeds", "2",
        "--repeats=1", "--seed=1", "--device=cpu", f"--json={tmp_path}/b.json", f"--table={tmp_path}/b.md",
    )  # fmt: skip
    write_json(tmp_path / "other.json", {"splits": {"train": 1000, "test": 50}, "lineage": {"task": "dart"}})
    with pytest.raises(SystemExit, match=r"other\.json: belongs to another task than this run"):
        run(monkeypatch, *arguments, "--manifests", f"dialogue={tmp_path}/other.json")
    with pytest.raises(SystemExit, match="--manifests: dialogue is missing"):
        run(monkeypatch, *arguments)
    write_json(tmp_path / "manifest.json", {"splits": {"train": 50, "dev": 7, "test": 9}})
    run(monkeypatch, *arguments, "--study-seeds", "3", "--manifests", f"dialogue={tmp_path}/manifest.json")
    content = json.loads((tmp_path / "b.json").read_text())
    grown = {(step["what"], step["size"]) for step in content["steps"]}
    assert {("target length", 2), ("batch", 4), ("vocabulary", 4800)} < grown and len(grown) == 9
    assert all(seconds > 0 for seconds in content["costs"]["dialogue"].values())
    (study,) = content["study"]
    assert study["seconds"]["1"] > study["seconds"]["2"] >= study["longest_chain"]
    text = (tmp_path / "b.md").read_text()
    assert f"{study['longest_chain'] / 3600:,.2f}" in text and "By simulation, not measured" in text
    cost, planned = content["costs"]["dialogue"], content["plan"]
    seconds = (cost["generate"] + cost["risk"]) * 9 * len(methods) * 3 + cost["teacher/generate"] * 9
    assert planned["stages"]["generate"]["dialogue"] == pytest.approx(seconds)
    assert planned["stages"]["js"]["dialogue"] == pytest.approx(
        cost["js"] * 50 * task["training"]["distill"]["epochs"] * 3
    )
    assert "Training and test examples: dialogue 50 and 9; seeds: 3." in text


def test_the_target_measures_every_task_of_the_study(tmp_path):
    shown = snakemake("-n", "--configfile", ROOT / "config/four_tasks.yaml", "--", "bench", directory=tmp_path).stdout
    for name in (
        "data_to_text",
        "summarisation",
        "en_ro",
        "dialogue",
        "loss",
        "growth",
        "data_to_text.offline",
        "dialogue.offline",
    ):
        assert f"results/bench/{name}.json" in shown
