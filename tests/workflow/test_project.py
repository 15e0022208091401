"""What the project says of itself: the lock, the scripts' help; its pages are in test_docs.py."""

import re

import pytest
import warm
import yaml
from snake import ROOT

SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))


def test_the_lock_pins_everything_and_conda_has_the_same():
    lines = [line for line in (ROOT / "envs/requirements.txt").read_text().splitlines() if line and line[0] != "#"]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+", line) for line in lines)  # no +cpu either
    conda = yaml.safe_load((ROOT / "envs/fdistill.yaml").read_text())["dependencies"][-1]["pip"]
    assert conda == [line for line in lines if not line.startswith("pip==")]
    wanted = re.findall(r"^([a-z][\w-]*)", (ROOT / "envs/requirements.in").read_text(), re.M)
    assert {name.lower() for name in wanted} <= {line.split("==")[0].lower() for line in lines}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_explains_itself_and_refuses_without_a_traceback(path):
    shown = warm.run_script(path.stem, "--help")
    assert shown.returncode == 0 and len(shown.stdout.splitlines()) > 4
    refused = warm.run_script(path.stem, "--no-such-flag")
    assert refused.returncode == 2 and "Traceback" not in refused.stdout


def test_every_rule_has_a_script_of_its_stage():
    rules = "\n".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    used = set(re.findall(r'script\("(\w+)"\)', rules))
    by_hand = {"infer"}  # what one uses a model by, after the workflow
    assert used | by_hand == {path.stem for path in SCRIPTS} and not used & by_hand
