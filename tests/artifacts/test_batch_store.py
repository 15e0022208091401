"""Work in batches: finished batches are stored, resumed from, and refused when they belong to another run."""

import logging
import os
import signal

import pytest
from fdistill.artifacts import batch_store
from fdistill.artifacts.batch_store import BatchStore
from fdistill.artifacts.provenance import COST
from fdistill.runtime import interruption
from fdistill.runtime.distributed import Ranks

SIZES = [3, 3, 3, 3, 1]
IDENTITY = {"model": "m" * 64, "seed": 1, "text": {"max_source_tokens": 8}}


def fail():
    raise ZeroDivisionError


class Rows:
    """Compute batches of rows and list their numbers in `done`; batch `stop_at` calls `end` first."""

    def __init__(self, stop_at=None, end=fail):
        self.stop_at, self.end, self.done = stop_at, end, []

    def __call__(self, number):
        if number == self.stop_at:
            self.end()
        self.done.append(number)
        return [([number, i], 0.1 * number, f"ș{i}", float("nan") if i > 5 else None) for i in range(SIZES[number])]


def as_json(batches):
    return [[list(row) for row in batch] for batch in batches]


EXPECTED = as_json(map(Rows(), range(len(SIZES))))


@pytest.fixture
def small_files(monkeypatch):
    monkeypatch.setattr(batch_store, "INPUTS_PER_FILE", 6)


@pytest.fixture
def interrupted(tmp_path, small_files):
    """The folder of a run that an unexpected error ended in batch 3."""
    with pytest.raises(ZeroDivisionError):
        BatchStore(tmp_path / "kept", IDENTITY).run("work", SIZES, Rows(stop_at=3))
    return tmp_path / "kept"


def names(folder):
    """The names of the stored files."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != COST)


def test_batches_in_order_with_and_without_a_folder(tmp_path, small_files):
    assert as_json(BatchStore().run("work", SIZES, Rows())) == EXPECTED
    store = BatchStore(tmp_path / "kept", IDENTITY)
    assert as_json(store.run("work", SIZES, Rows())) == EXPECTED
    assert names(store.folder) == ["work-00000000.json", "work-00000002.json", "work-00000004.json"]
    store.remove()
    assert not store.folder.exists()


def test_a_run_resumes_after_the_last_stored_batches(interrupted, caplog):
    rows = Rows()
    with caplog.at_level(logging.INFO):
        assert as_json(BatchStore(interrupted, IDENTITY).run("work", SIZES, rows)) == EXPECTED
    assert rows.done == [2, 3, 4]
    assert "work: 6 of 13 inputs were finished by an interrupted run" in caplog.text
    assert as_json(BatchStore(interrupted, IDENTITY).run("other work", SIZES, other := Rows())) == EXPECTED
    assert other.done == [0, 1, 2, 3, 4]


def test_a_file_is_closed_after_a_time_too(tmp_path, monkeypatch):
    monkeypatch.setattr(batch_store, "SECONDS_PER_FILE", 0.0)
    with pytest.raises(ZeroDivisionError):
        BatchStore(tmp_path, IDENTITY).run("work", SIZES, Rows(stop_at=2))
    assert names(tmp_path) == ["work-00000000.json", "work-00000001.json"]


def flip_bit(content):
    """Return the content with one bit of its middle byte changed."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        flip_bit,
        lambda content: content[:-1],
        lambda content: b"",
        lambda content: b"\xff\n{}",
        lambda content: b"\n" * 9,
    ],
    ids=["bit", "cut", "empty", "other", "lines"],
)
def test_a_damaged_file_is_not_used(interrupted, damage, caplog):
    path = interrupted / "work-00000000.json"
    path.write_bytes(damage(path.read_bytes()))
    rows = Rows()
    assert as_json(BatchStore(interrupted, IDENTITY).run("work", SIZES, rows)) == EXPECTED
    assert rows.done == [0, 1, 2, 3, 4]
    assert f"{path} is damaged" in caplog.text


@pytest.mark.parametrize("key", IDENTITY)
def test_a_file_of_another_run_is_not_used(interrupted, key, caplog):
    rows = Rows()
    assert as_json(BatchStore(interrupted, IDENTITY | {key: "other"}).run("work", SIZES, rows)) == EXPECTED
    assert rows.done == [0, 1, 2, 3, 4]
    assert f"work-00000000.json belongs to another run ({key})" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stores_finished_batches(tmp_path, number, caplog):
    handler = signal.getsignal(number)
    rows = Rows(stop_at=2, end=lambda: os.kill(os.getpid(), number))
    with pytest.raises(SystemExit) as error:
        BatchStore(tmp_path, IDENTITY).run("work", SIZES, rows)
    assert error.value.code == interruption.STATUS and signal.getsignal(number) is handler
    assert "9 of 13" in caplog.text
    assert as_json(BatchStore(tmp_path, IDENTITY).run("work", SIZES, rest := Rows())) == EXPECTED
    assert rows.done == [0, 1, 2] and rest.done == [3, 4]


def test_ranks_share_the_batches(tmp_path, monkeypatch):
    """Each rank runs its part alone; the same stored batches serve any number of ranks."""
    monkeypatch.setattr(Ranks, "all_gather", lambda self, part: {number: [] for number in range(len(SIZES))} | part)
    for rank, numbers in enumerate([[0, 2, 4], [1, 3]]):
        batches = BatchStore(tmp_path, IDENTITY, Ranks(rank, 2)).run("work", SIZES, rows := Rows())
        assert rows.done == numbers
        assert as_json(batches) == [EXPECTED[i] if i in numbers else [] for i in range(len(SIZES))]
    monkeypatch.undo()
    assert as_json(BatchStore(tmp_path, IDENTITY).run("work", SIZES, rows := Rows())) == EXPECTED and not rows.done
