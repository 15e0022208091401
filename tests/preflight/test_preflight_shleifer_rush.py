"""Preflight of Shleifer & Rush's study, with a hub that has its checkpoints' configurations at their real sizes."""

import os
import re
import subprocess
import sys

import pytest
import shleifer_rush_in_small as small
from loopback_hub import serving
from snake import ROOT

MILLIONS = {  # Shleifer & Rush 2020, Tables 6 and 7: parameters of teachers and students, by task
    "xsum": {"teacher": 406, "student": 255, "student-12-6": 306},
    "xsum_pegasus": {"teacher": 570, "student": 369},
    "cnn_dailymail": {"teacher": 406, "student": 255, "student-12-6": 306},
    "cnn_dailymail_pegasus": {"teacher": 570, "student": 369},
}


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    """The lines of preflight's output."""
    folder = tmp_path_factory.mktemp("preflight")
    overlay = small.write(folder, {"task_overrides": small.sources(folder / "data")})
    files = [ROOT / "config/config.yaml", ROOT / "config/shleifer_rush.yaml", overlay]
    script = ROOT / "workflow/scripts/preflight.py"
    with serving(small.hub(folder / "hub")) as (address, _):
        environment = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(folder / "home"), "HF_TOKEN": ""}
        command = [sys.executable, script, "--results", folder / "results", "--configfile", *files]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.stdout, done.stderr
    return done.stdout.splitlines()


def test_nothing_would_stop_it_but_the_room_on_this_disk(findings):
    assert [line for line in findings if line.startswith("PROBLEM") and "PROBLEM disk: " not in line] == []
    for task in small.TEACHERS:
        for what in ("data", "teacher", "other teacher", "metrics", "GPU memory"):
            assert any(line.startswith(f"ok      {task}: {what}: ") for line in findings), (task, what)


def test_another_teacher_needs_memory_too(findings):
    """It decodes the training split."""
    for task in small.TEACHERS:
        (line,) = [line for line in findings if line.startswith(f"ok      {task}: GPU memory: ")]
        assert 0 < float(re.search(r"\blabel ([\d.]+)", line)[1]) < 80, line


@pytest.mark.parametrize("task", MILLIONS)
def test_the_models_have_the_published_numbers_of_parameters(findings, task):
    (line,) = [line for line in findings if line.startswith(f"ok      {task}: teacher: ")]
    found = dict(re.findall(r"(teacher:|student\S*) ([\d.]+) M", line))
    assert {name.rstrip(":"): float(number) for name, number in found.items()} == pytest.approx(
        MILLIONS[task], rel=0.005
    )
