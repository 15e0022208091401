"""What the project says of itself: the lock, the README, the scripts' help."""

import re

import pytest
import warm
import yaml
from fdistill.losses.objectives import Objective
from snake import ROOT

README = (ROOT / "README.md").read_text()
SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))


def test_the_lock_pins_everything_and_conda_has_the_same():
    lines = [line for line in (ROOT / "envs/requirements.txt").read_text().splitlines() if line and line[0] != "#"]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+", line) for line in lines)  # no +cpu either
    conda = yaml.safe_load((ROOT / "envs/fdistill.yaml").read_text())["dependencies"][-1]["pip"]
    assert conda == [line for line in lines if not line.startswith("pip==")]
    wanted = re.findall(r"^([a-z][\w-]*)", (ROOT / "envs/requirements.in").read_text(), re.M)
    assert {name.lower() for name in wanted} <= {line.split("==")[0].lower() for line in lines}


def test_every_path_that_the_readme_names_is_there():
    named = re.findall(r"`((?:config|workflow|profiles|envs|rules|tests)/[\w/.]*)`", README)
    assert len(named) > 8
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_readmes_method_is_one():
    [entry] = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", README, re.S) if "terms:" in block]
    [method] = entry.values()
    assert Objective.from_config(method["terms"]).sequences == ("teacher_samples",)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_explains_itself_and_refuses_without_a_traceback(path):
    shown = warm.run_script(path.stem, "--help")
    assert shown.returncode == 0 and len(shown.stdout.splitlines()) > 4
    refused = warm.run_script(path.stem, "--no-such-flag")
    assert refused.returncode == 2 and "Traceback" not in refused.stdout


def test_every_rule_has_a_script_of_its_stage():
    rules = "\n".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    used = set(re.findall(r'script\("(\w+)"\)', rules))
    assert used == {path.stem for path in SCRIPTS}


def test_no_target_stands_where_snakemake_takes_it_for_a_configuration_file():
    texts = [README, *(path.read_text() for part in ("docs", "config") for path in (ROOT / part).glob("*.[my]*"))]
    given = [each for text in texts for each in re.findall(r"snakemake [^`#\n]*--configfile ([^`#\n]*)", text)]
    assert len(given) >= 5
    for arguments in given:
        files = re.split(r" -", arguments)[0].split()
        assert files and all((ROOT / name).is_file() for name in files), arguments
