"""Checkpoints of training: when they are saved, which are kept, and which are refused."""

import errno
import json
import os
import signal
import time
from pathlib import Path

import pytest
import tiny
import torch
from fdistill.artifacts.provenance import COST
from fdistill.runtime.interruption import Stopped
from fdistill.training import state as state_module
from fdistill.training.state import TrainingCheckpoints, code_identity, weights_identity

IDENTITY = {"seed": 1, "training": {"learning_rate": 0.1, "epochs": 2}}


def save(folder, numbers, minutes=0, identity=IDENTITY):
    checkpoints = TrainingCheckpoints(folder, identity, minutes)
    for number in numbers:
        checkpoints.save_if_due(lambda number=number: {"number": number}, f"step {number}")
    return checkpoints


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != COST)


def test_the_newest_two_are_kept_and_the_newest_is_used(tmp_path):
    checkpoints = save(tmp_path / "kept", range(5))
    assert len(names(tmp_path / "kept")) == 2
    assert TrainingCheckpoints(tmp_path / "kept", IDENTITY).latest() == {"number": 4}
    assert save(tmp_path / "kept", [5]).latest() == {"number": 5}  # a resumed run continues the numbers
    assert len(names(tmp_path / "kept")) == 2
    checkpoints.clear()
    assert not (tmp_path / "kept").exists()


def test_they_are_saved_at_intervals(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    checkpoints = TrainingCheckpoints(tmp_path, IDENTITY, minutes=15)
    for minute in range(50):
        now[0] = 60.0 * minute
        checkpoints.save_if_due(lambda minute=minute: {"minute": minute}, "")
    assert names(tmp_path) == ["000002", "000003"]
    assert checkpoints.latest() == {"minute": 45}
    never = TrainingCheckpoints(tmp_path / "never", IDENTITY, minutes=None)
    now[0] = 1e9
    never.save_if_due(dict, "")
    assert not (tmp_path / "never").exists() and never.latest() is None


def test_they_take_no_more_than_a_share_of_the_time(tmp_path, monkeypatch):
    """Each takes a minute to write: they are 50 minutes apart, not 15."""
    now, saved = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    checkpoints = TrainingCheckpoints(tmp_path, IDENTITY, minutes=15)

    def slow_save(state, where):
        saved.append(now[0] / 60)
        now[0] += 60

    monkeypatch.setattr(checkpoints, "_save", slow_save)
    while now[0] < 180 * 60:
        now[0] += 60
        checkpoints.save_if_due(dict, "")
    assert saved == [15, 66, 117, 168]


def test_an_interruption_saves_one_and_ends_the_run(tmp_path):
    with TrainingCheckpoints(tmp_path, IDENTITY, minutes=None) as checkpoints:
        checkpoints.save_if_due(lambda: {"number": 1}, "step 1")
        assert not names(tmp_path)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped):
            checkpoints.save_if_due(lambda: {"number": 2}, "step 2")
    assert checkpoints.latest() == {"number": 2}


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


DAMAGES = [(name, how) for name in ("state.pt", "manifest.json") for how in (cut, flip, empty, Path.unlink)]


@pytest.mark.parametrize(("name", "how"), DAMAGES, ids=lambda x: getattr(x, "__name__", x))
def test_a_damaged_checkpoint_is_named_and_the_previous_one_is_used(tmp_path, caplog, name, how):
    save(tmp_path, [1, 2])
    how(tmp_path / "000002" / name)
    assert TrainingCheckpoints(tmp_path, IDENTITY).latest() == {"number": 1}
    assert any("000002" in line and "not used" in line for line in caplog.messages)
    how(tmp_path / "000001" / name)
    assert TrainingCheckpoints(tmp_path, IDENTITY).latest() is None
    assert save(tmp_path, [3]).latest() == {"number": 3}


@pytest.mark.parametrize(
    ("other", "different"),
    [
        ({"seed": 2}, "seed"),
        ({"training": {"learning_rate": 0.2, "epochs": 2}}, "training.learning_rate"),
        ({"code": "abc"}, "code"),
    ],
)
def test_a_checkpoint_of_another_run_is_not_used(tmp_path, caplog, other, different):
    save(tmp_path, [1])
    caplog.clear()
    assert TrainingCheckpoints(tmp_path, IDENTITY | other).latest() is None
    assert caplog.messages == [f"{tmp_path}/000001: a checkpoint of another run (different: {different}); not used"]


def test_a_checkpoint_runs_no_code(tmp_path, caplog):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "trapped"),))

    save(tmp_path / "kept", [1])
    state, manifest = (tmp_path / "kept/000001" / name for name in ("state.pt", "manifest.json"))
    torch.save({"number": Trap()}, state)
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"sha256": state_module.sha256(state)}))
    assert TrainingCheckpoints(tmp_path / "kept", IDENTITY).latest() is None
    assert "contains more than tensors and numbers" in caplog.text
    assert not (tmp_path / "trapped").exists()


def test_leftovers_of_an_interrupted_write_are_removed(tmp_path):
    save(tmp_path, [1])
    (tmp_path / ".000002.abc" / "000002").mkdir(parents=True)
    assert TrainingCheckpoints(tmp_path, IDENTITY).latest() == {"number": 1}
    assert names(tmp_path) == ["000001"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("file write failed")])
def test_a_full_disk_costs_a_checkpoint_and_not_the_run(tmp_path, caplog, monkeypatch, error):
    checkpoints = save(tmp_path, [1])
    monkeypatch.setattr(torch, "save", lambda *_: (_ for _ in ()).throw(error))
    checkpoints.save_if_due(lambda: {"number": 2}, "step 2")
    assert "no checkpoint saved at step 2" in caplog.text
    assert checkpoints.latest() == {"number": 1} and names(tmp_path) == ["000001"]


def test_identities_follow_weights_and_code(tmp_path):
    one, same, other = (tiny.checkpoint("t5", seed).model.module for seed in (1, 1, 2))
    assert weights_identity(one) == weights_identity(same) != weights_identity(other)
    before = code_identity()
    assert before == code_identity()
    file = Path(state_module.__file__)
    state_module.__file__ = str(tmp_path / "edited.py")
    Path(state_module.__file__).write_text(file.read_text() + "\n")
    try:
        assert code_identity() != before
    finally:
        state_module.__file__ = str(file)
