"""Work in batches: kept in shards, resumed, refused when it is not this run's; killed and shared among workers."""

import logging
import os
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
from fdistill.artifacts.batch_store import BatchStore
from fdistill.artifacts.files import read_json, write_parquet
from fdistill.artifacts.provenance import COST
from fdistill.artifacts.records import SUFFIX
from fdistill.data.schemas import SPLIT
from fdistill.models.checkpoints import save
from fdistill.runtime import interruption
from fdistill.runtime.distributed import Ranks
from fdistill.sampling import offline
from fdistill.sampling.sampler import SamplingConfig
from snake import ROOT

SIZES = [3, 3, 3, 3, 1]
IDENTITY = {"model": "m" * 64, "seed": 1, "text": {"max_source_tokens": 8}}


def fail():
    raise ZeroDivisionError


class Work:
    """Batches of rows, and which of them were worked on; the one with number `stop_at` ends the run."""

    def __init__(self, stop_at=None, end=fail):
        self.stop_at, self.end, self.done = stop_at, end, []

    def __call__(self, number):
        if number == self.stop_at:
            self.end()
        self.done.append(number)
        return [([number, i], 0.1 * number, f"ș{i}", float("nan") if i > 5 else None) for i in range(SIZES[number])]


def as_json(batches):
    return [[list(row) for row in batch] for batch in batches]


EXPECTED = as_json(map(Work(), range(len(SIZES))))


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(batch_store, "INPUTS_PER_FILE", 6)


@pytest.fixture
def cut_off(tmp_path, small):
    """The folder of a run that ended in batch 3, by an error that nobody expects."""
    with pytest.raises(ZeroDivisionError):
        BatchStore(tmp_path / "kept", IDENTITY).run("work", SIZES, Work(stop_at=3))
    return tmp_path / "kept"


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix != COST)


def test_batches_in_order_with_and_without_a_folder(tmp_path, small):
    assert as_json(BatchStore().run("work", SIZES, Work())) == EXPECTED
    kept = BatchStore(tmp_path / "kept", IDENTITY)
    assert as_json(kept.run("work", SIZES, Work())) == EXPECTED
    assert names(kept.folder) == ["work-00000000.json", "work-00000002.json", "work-00000004.json"]
    kept.remove()
    assert not kept.folder.exists()


def test_a_run_goes_on_where_the_last_shard_ended(cut_off, caplog):
    work = Work()
    with caplog.at_level(logging.INFO):
        assert as_json(BatchStore(cut_off, IDENTITY).run("work", SIZES, work)) == EXPECTED
    assert work.done == [2, 3, 4]
    assert "work: 6 of 13 inputs were finished by an interrupted run" in caplog.text
    assert as_json(BatchStore(cut_off, IDENTITY).run("other work", SIZES, other := Work())) == EXPECTED
    assert other.done == [0, 1, 2, 3, 4]


def test_a_shard_is_closed_after_a_while_too(tmp_path, monkeypatch):
    monkeypatch.setattr(batch_store, "SECONDS_PER_FILE", 0.0)
    with pytest.raises(ZeroDivisionError):
        BatchStore(tmp_path, IDENTITY).run("work", SIZES, Work(stop_at=2))
    assert names(tmp_path) == ["work-00000000.json", "work-00000001.json"]


def flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [flip, lambda content: content[:-1], lambda content: b"", lambda content: b"\xff\n{}", lambda content: b"\n" * 9],
    ids=["bit", "cut", "empty", "other", "lines"],
)
def test_a_damaged_shard_is_not_used(cut_off, damage, caplog):
    path = cut_off / "work-00000000.json"
    path.write_bytes(damage(path.read_bytes()))
    work = Work()
    assert as_json(BatchStore(cut_off, IDENTITY).run("work", SIZES, work)) == EXPECTED
    assert work.done == [0, 1, 2, 3, 4]
    assert f"{path} is damaged" in caplog.text


@pytest.mark.parametrize("key", IDENTITY)
def test_a_shard_of_another_run_is_not_used(cut_off, key, caplog):
    work = Work()
    assert as_json(BatchStore(cut_off, IDENTITY | {key: "other"}).run("work", SIZES, work)) == EXPECTED
    assert work.done == [0, 1, 2, 3, 4]
    assert f"work-00000000.json belongs to another run ({key})" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_told_to_stop_it_keeps_what_is_done(tmp_path, number, caplog):
    handler = signal.getsignal(number)
    work = Work(stop_at=2, end=lambda: os.kill(os.getpid(), number))
    with pytest.raises(SystemExit) as error:
        BatchStore(tmp_path, IDENTITY).run("work", SIZES, work)
    assert error.value.code == interruption.STATUS and signal.getsignal(number) is handler
    assert "9 of 13" in caplog.text
    assert as_json(BatchStore(tmp_path, IDENTITY).run("work", SIZES, rest := Work())) == EXPECTED
    assert work.done == [0, 1, 2] and rest.done == [3, 4]


def test_workers_share_the_batches(tmp_path, monkeypatch):
    """Each one's part, without the others; the same shards serve any number of workers."""
    monkeypatch.setattr(Ranks, "all_gather", lambda self, part: {number: [] for number in range(len(SIZES))} | part)
    for rank, numbers in enumerate([[0, 2, 4], [1, 3]]):
        got = BatchStore(tmp_path, IDENTITY, Ranks(rank, 2)).run("work", SIZES, work := Work())
        assert work.done == numbers
        assert as_json(got) == [EXPECTED[i] if i in numbers else [] for i in range(len(SIZES))]
    monkeypatch.undo()
    assert as_json(BatchStore(tmp_path, IDENTITY).run("work", SIZES, work := Work())) == EXPECTED and not work.done


# --- draws that depend on their batch alone


def test_shards_of_other_batches_are_not_used(tmp_path, caplog):
    """Batch number n means the same rows, or it is done again."""
    made = tiny.checkpoint("bart")
    sources, _ = tiny.random_pairs(made, 30)
    ids = [str(i) for i in range(30)]

    def sampled(batch_size, shards):
        return offline.sample_sequences(made.model, ids, sources, SamplingConfig(6), 1, batch_size, 1, shards)["tokens"]

    expected = sampled(10, BatchStore())
    assert sampled(10, BatchStore(tmp_path, IDENTITY)) == expected
    assert sampled(lambda longest: 60 // longest, BatchStore(tmp_path, IDENTITY)) == expected
    assert "belongs to another run (batches)" in caplog.text


def test_a_sample_does_not_depend_on_how_many_are_drawn():
    made = tiny.checkpoint("bart")
    sources, _ = tiny.random_pairs(made, 10)
    ids = [str(i) for i in range(10)]
    one, three = (offline.sample_sequences(made.model, ids, sources, SamplingConfig(6), n, 4, seed=1) for n in (1, 3))
    assert one["tokens"] == three["tokens"][::3] and one["log_prob"] == three["log_prob"][::3]


def test_samples_over_a_split_follow_the_models_distribution():
    """The first tokens drawn for one source over 200 batches, against their exact probabilities."""
    made, count = tiny.checkpoint("bart"), 1600
    source = tiny.random_pairs(made, 1)[0][0]
    columns = offline.sample_sequences(made.model, ["x"] * count, [source] * count, SamplingConfig(2), 1, 8, seed=1)
    sampled = [tokens[0] for tokens in columns["tokens"]]
    exact = tiny.reference_log_probs(made.model, source, [0])[0].exp().tolist()
    for token, p in enumerate(exact):
        assert abs(sampled.count(token) / count - p) < 4 * (p * (1 - p) / count) ** 0.5 + 1e-9


# --- whole scripts: killed at any moment, and several workers

INPUTS = 200
KILLS = 4  # of each stage
COMMON = ["--device=cpu", "--seed=3", "--max-source-tokens=16", "--max-target-tokens=12", "--batch-size=16"]
SAMPLE = ["--split=split.parquet", "--teacher=teacher"]
STAGES = {
    "ancestral": ["sample_teacher", "--samples=OUTPUT", *SAMPLE, "--per-input=2"],
    "beam_sample": ["sample_teacher", "--samples=OUTPUT", *SAMPLE, "--mode=beam_sample", "--num-beams=3"],
    "generate": ["generate", "--generations=OUTPUT", "--model=student", "--test=split.parquet", "--max-new-tokens=10"],
    "risk": [
        "risk", "--risk=OUTPUT", "--student=student", "--teacher=teacher", "--test=split.parquet", "--task=t",
        "--teacher-samples=expected.ancestral.parquet", "--method=m", "--engine=ctranslate2",
    ],
}  # fmt: skip


def named(kind, stage):
    return f"{kind}.{stage}.{'json' if stage == 'risk' else 'parquet'}"


def command(stage, output):
    script, *arguments = STAGES[stage]
    arguments = [argument.replace("OUTPUT", output) for argument in arguments]
    return script, [*arguments, *COMMON, f"--shards=shards.{stage}"]


def script_of_small_shards(*call):
    """A script whose shards are smaller."""
    batch_store.INPUTS_PER_FILE = 32
    warm.script(*call)


def start(stage, output, folder):
    return warm.start(script_of_small_shards, *command(stage, output), str(folder), log=folder / "log")


def finish(stage, output, folder):
    process = start(stage, output, folder)
    process.join()
    assert process.exitcode == 0, (folder / "log").read_text()
    assert not (folder / f"shards.{stage}").exists()
    return (folder / output).read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models, a split, and what each stage gives when nothing interrupts it."""
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
def test_killed_at_random_moments_the_result_is_the_same(stage, folder):
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
        if output.exists():  # whole, or not there at all
            assert output.read_bytes() == expected
            output.unlink()
    assert finish(stage, output.name, folder) == expected
    assert "inputs were finished by an interrupted run" in (folder / "log").read_text()
    print(f"{stage}: survived {kills} of {kills} kills")


def by_torchrun(script, arguments, folder):
    """Two workers as the workflow starts them."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    path = ROOT / f"workflow/scripts/{script}.py"
    done = subprocess.run([*launch, path, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def by_forks(script, arguments, folder):
    """Two workers of the same environment, which need not import torch first."""
    log = folder / f"{script}.two.log"
    ranks = killing.start_ranks(script, arguments, log, folder=folder)
    for rank in ranks:
        rank.join()
    assert [rank.exitcode for rank in ranks] == [0, 0], log.read_text()
    return log.read_text()


@pytest.mark.parametrize(
    ("stage", "run_two"), [("ancestral", by_torchrun), ("beam_sample", by_forks), ("generate", by_forks)]
)
def test_two_workers_give_the_bytes_of_one(stage, run_two, folder):
    """They go on from what one worker left when it was killed."""
    kept, left = folder / f"shards.{stage}", []
    while not left:  # it has ended before it was killed, on a busy machine
        process = start(stage, named("two", stage), folder)
        while process.is_alive() and not list(kept.glob("*.json")):
            time.sleep(0.001)
        process.kill()
        process.join()
        left = list(kept.glob("*.json"))
    said = run_two(*command(stage, named("two", stage)), folder)
    assert "inputs were finished by an interrupted run" in said
    assert (folder / named("two", stage)).read_bytes() == (folder / named("expected", stage)).read_bytes()
    assert not kept.exists()
    record = read_json(folder / (named("two", stage) + SUFFIX))
    assert record["attempts"] == 2
