"""Every stage, killed at random moments of its life and run again, ends with the bytes of one that was left alone."""

import random
import signal
import time
from collections import Counter
from pathlib import Path

import killing
import pytest
from chain import Study
from fdistill.artifacts.records import SUFFIX

STAGES = ["prepare", *Study(Path()).stages(lambda path: path)]
KILLS = 4  # of each stage
TRIED, SURVIVED = Counter(), Counter()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    killing.warm_up()
    return Study(tmp_path_factory.mktemp("study")).make()


def contents(folder):
    """What a run has left, but for records, whose times differ, and for the workspaces of killed writers, hidden."""
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    hidden = {path for path in files if path.parts[0].startswith(".")}
    return {path: (folder / path).read_bytes() for path in files if path not in hidden and not path.match(f"*{SUFFIX}")}


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_random_moments(study, stage, tmp_path):
    def started(folder):
        """The stage with its outputs in `folder`, in a process of its own."""
        script, *arguments = study.command(stage, lambda path: tmp_path / folder / path.name)
        return killing.start(script, arguments, tmp_path / "log")

    def finish(folder):
        process = started(folder)
        process.join()
        assert process.exitcode == 0, (tmp_path / "log").read_text()
        return contents(tmp_path / folder)

    began = time.monotonic()
    expected = finish("untouched")
    seconds, chance = time.monotonic() - began, random.Random(stage)
    assert expected
    for _ in range(20):
        kills = killing.signal_after(started("killed"), chance.uniform(0, seconds), signal.SIGKILL)
        TRIED[stage] += kills
        left = contents(tmp_path / "killed")
        assert left.items() <= expected.items()  # each file whole, or not there at all
        if TRIED[stage] == KILLS:
            break
    assert finish("killed") == expected
    SURVIVED[stage] += KILLS
    print(f"{stage}: survived {SURVIVED[stage]} of {TRIED[stage]} kills")
