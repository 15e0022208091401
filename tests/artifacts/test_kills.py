"""Every stage that is killed at random moments and run again writes the same bytes as an uninterrupted one."""

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
    """Return the bytes of each file of a run.

    Left out are records, whose times differ, and the hidden workspaces of killed writers.
    """
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    hidden = {path for path in files if path.parts[0].startswith(".")}
    return {path: (folder / path).read_bytes() for path in files if path not in hidden and not path.match(f"*{SUFFIX}")}


@pytest.mark.parametrize("stage", STAGES)
def test_stages_killed_at_random_moments(study, stage, tmp_path):
    def start(folder):
        """Start the stage in a process of its own, with its outputs in `folder`."""
        script, *arguments = study.command(stage, lambda path: tmp_path / folder / path.name)
        return killing.start(script, arguments, tmp_path / "log")

    def finish(folder):
        """Run the stage to its end; return the bytes of its outputs."""
        process = start(folder)
        process.join()
        assert process.exitcode == 0, (tmp_path / "log").read_text()
        return contents(tmp_path / folder)

    began = time.monotonic()
    expected = finish("uninterrupted")
    seconds, chance = time.monotonic() - began, random.Random(stage)
    assert expected
    for _ in range(20):
        killed = killing.signal_after(start("killed"), chance.uniform(0, seconds), signal.SIGKILL)
        TRIED[stage] += killed
        remaining = contents(tmp_path / "killed")
        assert remaining.items() <= expected.items()  # each file is complete, if it exists
        if TRIED[stage] == KILLS:
            break
    assert finish("killed") == expected
    SURVIVED[stage] += KILLS
    print(f"{stage}: survived {SURVIVED[stage]} of {TRIED[stage]} kills")
