"""Preflight as a whole: it reports every problem at once, as a library, a script and a target."""

import json
import os
import subprocess
import sys

import yaml
from fdistill.preflight import preflight
from plans import plan
from snake import ROOT, snakemake


def test_every_problem_is_reported_at_once(project, cluster):
    changes = (
        ("metric_options", {"moverscore": {"model": "./nowhere"}}),
        ("metrics", ["bleu4", "moverscore"]),
        ("training.distill.batch_size", 100_000),
    )
    findings = preflight(plan(project, *changes, gpu_memory=40, jobs={"generate": {"slurm_partition": "nope"}}))
    places = {finding.where for finding in findings if finding.problem}
    assert places == {"web: metrics", "web: GPU memory", "SLURM"}


def run(*arguments, **environment):
    command = [sys.executable, ROOT / "workflow/scripts/preflight.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | environment)


def test_the_four_tasks_by_target(tmp_path):
    study = ROOT / "config/four_tasks.yaml"
    done = snakemake("--cores", 1, "--configfile", study, "--", "preflight", directory=tmp_path)
    assert done.stdout.count("trained from scratch") == 4
    assert "PROBLEM" not in done.stdout
    assert "no problem" in (tmp_path / "logs/preflight.log").read_text()


def test_the_papers_study_with_the_hub_down(tmp_path):
    changes = tmp_path / "changes.json"
    changes.write_text(json.dumps({"tasks": ["wmt16_en_ro"]}))
    done = run(
        "--configfile",
        "config/config.yaml",
        "config/paper.yaml",
        "--config",
        changes,
        "--results",
        tmp_path,
        HF_ENDPOINT="http://127.0.0.1:9",
        HF_HOME=str(tmp_path / "hub"),
        http_proxy="http://127.0.0.1:9",
        https_proxy="http://127.0.0.1:9",
    )
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if line.startswith("PROBLEM")]
    assert [line.split()[1:3] for line in lines] == [["wmt16_en_ro:", "data:"], ["wmt16_en_ro:", "teacher:"]]
    assert "wmt/wmt16 is not available" in lines[0]
    assert "source.path" in lines[0]
    assert "google-t5/t5-base is not available" in lines[1]
    assert "model.teacher.init" in lines[1]
    assert "2 of" in done.stderr


def test_paper_study_says_what_gpus_it_is_for():
    assert yaml.safe_load((ROOT / "config/paper.yaml").read_text())["gpu_memory"] == 40
