"""Scripts that store batches write the same bytes when they are killed and resumed, and on several ranks."""

import random
import signal
import subprocess
import sys
import time

import killing
import pytest
import tiny
import warm
from fdistill.artifacts import batch_store
from fdistill.artifacts.files import read_json, write_parquet
from fdistill.artifacts.records import SUFFIX
from fdistill.data.schemas import SPLIT
from fdistill.models.checkpoints import save
from snake import ROOT

INPUTS = 200
KILLS = 4  # of each stage
COMMON = ["--device=cpu", "--seed=3", "--max-source-tokens=16", "--max-target-tokens=12", "--batch-size=16"]
SAMPLE = ["--split=split.parquet", "--teacher=teacher"]
STAGES = {
    "ancestral": ["sample_teacher", "--samples=OUTPUT", *SAMPLE, "--per-input=2"],
    "beam_sample": ["sample_teacher", "--samples=OUTPUT", *SAMPLE, "--mode=beam_sample", "--num-beams=3"],
    "generate": ["generate", "--generations=OUTPUT", "--model=student", "--test=split.parquet", "--max-new-tokens=10"],
    "risk": [
        "generate", "--risk=OUTPUT", "--generations=outputs.parquet", "--model=student", "--teacher=teacher",
        "--test=split.parquet", "--task=t", "--teacher-samples=expected.ancestral.parquet", "--method=m",
        "--max-new-tokens=10", "--risk-engine=ctranslate2",
    ],
}  # fmt: skip


def named(kind, stage):
    """The name of an output of a stage."""
    return f"{kind}.{stage}.{'json' if stage == 'risk' else 'parquet'}"


def command(stage, output):
    """The script of a stage, and its arguments."""
    script, *arguments = STAGES[stage]
    arguments = [argument.replace("OUTPUT", output) for argument in arguments]
    return script, [*arguments, *COMMON, f"--shards=shards.{stage}"]


def script_with_small_files(*call):
    """Run a script that stores few inputs per file."""
    batch_store.INPUTS_PER_FILE = 32
    warm.script(*call)


def start(stage, output, folder):
    return warm.start(script_with_small_files, *command(stage, output), str(folder), log=folder / "log")


def finish(stage, output, folder):
    """Run a stage to its end; return the bytes of its output."""
    process = start(stage, output, folder)
    process.join()
    assert process.exitcode == 0, (folder / "log").read_text()
    assert not (folder / f"shards.{stage}").exists()
    return (folder / output).read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models, a split, and the output of each stage without an interruption."""
    folder = tmp_path_factory.mktemp("study")
    for seed, name in enumerate(("teacher", "student")):
        save(tiny.checkpoint("bart", seed), folder / name)
    rng = random.Random(0)
    texts = [" ".join(rng.choices(tiny.LETTERS, k=rng.randint(1, 8))) for _ in range(INPUTS)]
    rows = {"id": [f"x{i}" for i in range(INPUTS)], "group": texts, "source": texts, "references": [[t] for t in texts]}
    write_parquet(folder / "split.parquet", rows, SPLIT)
    for stage in STAGES:
        finish(stage, named("expected", stage), folder)
    (folder / "log").unlink()
    return folder


@pytest.mark.parametrize("stage", STAGES)
def test_kills_at_random_moments_change_no_byte(stage, folder):
    expected = (folder / named("expected", stage)).read_bytes()
    output = folder / named("killed", stage)
    began = time.monotonic()
    assert finish(stage, output.name, folder) == expected
    duration = time.monotonic() - began
    rng, kills = random.Random(stage), 0
    while kills < KILLS:
        process = start(stage, output.name, folder)
        time.sleep(rng.uniform(0, 1) * duration)
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        if output.exists():  # complete, if it exists
            assert output.read_bytes() == expected
            output.unlink()
    assert finish(stage, output.name, folder) == expected
    assert "inputs were finished by an interrupted run" in (folder / "log").read_text()
    print(f"{stage}: survived {kills} of {kills} kills")


def by_torchrun(script, arguments, folder):
    """Run a script on two ranks by torchrun, as the workflow does; return the log."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    path = ROOT / f"workflow/scripts/{script}.py"
    process = subprocess.run([*launch, path, *arguments], cwd=folder, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return process.stderr


def by_forks(script, arguments, folder):
    """Run a script on two forked ranks, which need not import torch; return the log."""
    log = folder / f"{script}.two.log"
    ranks = killing.start_ranks(script, arguments, log, folder=folder)
    for rank in ranks:
        rank.join()
    assert [rank.exitcode for rank in ranks] == [0, 0], log.read_text()
    return log.read_text()


@pytest.mark.parametrize(
    ("stage", "run_two"), [("ancestral", by_torchrun), ("beam_sample", by_forks), ("generate", by_forks)]
)
def test_two_ranks_write_the_bytes_of_one(stage, run_two, folder):
    """They resume from the batches that one rank had stored when it was killed."""
    shards, stored = folder / f"shards.{stage}", []
    while not stored:  # on a busy machine the script may end before it is killed
        process = start(stage, named("two", stage), folder)
        while process.is_alive() and not list(shards.glob("*.json")):
            time.sleep(0.001)
        process.kill()
        process.join()
        stored = list(shards.glob("*.json"))
    log = run_two(*command(stage, named("two", stage)), folder)
    assert "inputs were finished by an interrupted run" in log
    assert (folder / named("two", stage)).read_bytes() == (folder / named("expected", stage)).read_bytes()
    assert not shards.exists()
    record = read_json(folder / (named("two", stage) + SUFFIX))
    assert record["attempts"] == 2
