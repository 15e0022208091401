"""Checkpoints: what is kept, what is refused, and that a run in pieces is the run in one."""

import errno
import json
import os
import signal
import time
from pathlib import Path

import pytest
import test_trainer
import tiny
import torch
from fdistill.artifacts.provenance import COST
from fdistill.runtime.interruption import Stopped
from fdistill.training import state as state_module
from fdistill.training.state import Checkpoints, code_identity, weights_identity

IDENTITY = {"seed": 1, "training": {"learning_rate": 0.1, "epochs": 2}}


def keep(folder, numbers, minutes=0, identity=IDENTITY):
    checkpoints = Checkpoints(folder, identity, minutes)
    for number in numbers:
        checkpoints.keep(lambda number=number: {"number": number}, f"step {number}")
    return checkpoints


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != COST)


def test_the_newest_two_are_kept_and_the_newest_is_used(tmp_path):
    checkpoints = keep(tmp_path / "kept", range(5))
    assert len(names(tmp_path / "kept")) == 2
    assert Checkpoints(tmp_path / "kept", IDENTITY).latest() == {"number": 4}
    assert keep(tmp_path / "kept", [5]).latest() == {"number": 5}  # a run that went on numbers them further
    assert len(names(tmp_path / "kept")) == 2
    checkpoints.clear()
    assert not (tmp_path / "kept").exists()


def test_they_are_kept_by_the_clock(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    checkpoints = Checkpoints(tmp_path, IDENTITY, minutes=15)
    for minute in range(50):
        now[0] = 60.0 * minute
        checkpoints.keep(lambda minute=minute: {"minute": minute}, "")
    assert names(tmp_path) == ["000002", "000003"]
    assert checkpoints.latest() == {"minute": 45}
    never = Checkpoints(tmp_path / "never", IDENTITY, minutes=None)
    now[0] = 1e9
    never.keep(dict, "")
    assert not (tmp_path / "never").exists() and never.latest() is None


def test_they_take_no_more_than_a_share_of_the_time(tmp_path, monkeypatch):
    """Each takes a minute to write: they are 50 minutes apart, not 15."""
    now, kept = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    checkpoints = Checkpoints(tmp_path, IDENTITY, minutes=15)

    def save(state, where):
        kept.append(now[0] / 60)
        now[0] += 60

    monkeypatch.setattr(checkpoints, "_save", save)
    while now[0] < 180 * 60:
        now[0] += 60
        checkpoints.keep(dict, "")
    assert kept == [15, 66, 117, 168]


def test_told_to_stop_it_keeps_one_and_ends(tmp_path):
    with Checkpoints(tmp_path, IDENTITY, minutes=None) as checkpoints:
        checkpoints.keep(lambda: {"number": 1}, "step 1")
        assert not names(tmp_path)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped):
            checkpoints.keep(lambda: {"number": 2}, "step 2")
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
def test_a_damaged_one_is_named_and_the_one_before_is_used(tmp_path, caplog, name, how):
    keep(tmp_path, [1, 2])
    how(tmp_path / "000002" / name)
    assert Checkpoints(tmp_path, IDENTITY).latest() == {"number": 1}
    assert any("000002" in line and "not used" in line for line in caplog.messages)
    how(tmp_path / "000001" / name)
    assert Checkpoints(tmp_path, IDENTITY).latest() is None
    assert keep(tmp_path, [3]).latest() == {"number": 3}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"seed": 2}, "seed"),
        ({"training": {"learning_rate": 0.2, "epochs": 2}}, "training.learning_rate"),
        ({"code": "abc"}, "code"),
    ],
)
def test_one_of_another_run_is_not_used(tmp_path, caplog, other, said):
    keep(tmp_path, [1])
    caplog.clear()
    assert Checkpoints(tmp_path, IDENTITY | other).latest() is None
    assert caplog.messages == [f"{tmp_path}/000001: a checkpoint of another run (not the same: {said}); not used"]


def test_a_checkpoint_runs_no_code(tmp_path, caplog):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "trapped"),))

    keep(tmp_path / "kept", [1])
    state, manifest = (tmp_path / "kept/000001" / name for name in ("state.pt", "manifest.json"))
    torch.save({"number": Trap()}, state)
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"sha256": state_module.sha256(state)}))
    assert Checkpoints(tmp_path / "kept", IDENTITY).latest() is None
    assert "holds more than numbers" in caplog.text
    assert not (tmp_path / "trapped").exists()


def test_what_a_cut_off_write_leaves_is_removed(tmp_path):
    keep(tmp_path, [1])
    (tmp_path / ".000002.abc" / "000002").mkdir(parents=True)
    assert Checkpoints(tmp_path, IDENTITY).latest() == {"number": 1}
    assert names(tmp_path) == ["000001"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("file write failed")])
def test_a_full_disk_costs_a_checkpoint_and_not_the_run(tmp_path, caplog, monkeypatch, error):
    checkpoints = keep(tmp_path, [1])
    monkeypatch.setattr(torch, "save", lambda *_: (_ for _ in ()).throw(error))
    checkpoints.keep(lambda: {"number": 2}, "step 2")
    assert "no checkpoint at step 2" in caplog.text
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


# --- the trainer in pieces


class Scores:
    """Worse at first, then better, then worse, by step alone; the number of evaluations that were begun."""

    def __init__(self, interrupt_at=()):
        self.begun, self.interrupt_at = 0, interrupt_at

    def __call__(self, model):
        self.begun += 1
        torch.rand(3)  # as one that draws
        if self.begun in self.interrupt_at:
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(10)  # longer than there is time to stop
        with torch.no_grad():
            return {"nll": sum(p.abs().sum().item() for p in model.module.parameters())}


def pieces(family, name, folder=None, minutes=0, interrupt_at=(), **settings):
    """A run to its end, started again as often as it is stopped: (its bytes and history, the number of starts)."""
    starts = 0
    while True:
        starts += 1
        teacher, student = tiny.checkpoint(family, 1), tiny.checkpoint(family, 2, **tiny.DROPOUT[family])
        data = test_trainer.data_of(student, 21)
        chosen = {"batch_size": 4, "accumulation": 2, "epochs": 2, "evaluate_every": 0.5, "patience": 2} | settings
        trainer = test_trainer.trainer_of(student, teacher, name, data, 3, **chosen)
        try:
            with Checkpoints(folder, IDENTITY, minutes) as checkpoints:
                score = Scores(interrupt_at if starts == 1 else ())
                history = trainer.run(score, "nll", False, checkpoints=checkpoints)
        except Stopped:
            continue
        weights = b"".join(value.numpy().tobytes() for value in student.model.module.state_dict().values())
        return (weights, json.dumps(history)), starts


class EveryStep:
    """Stands for the interruption of a run that is told to stop after each step and each evaluation."""

    def __init__(self, monkeypatch):
        self.kept = 0
        real = Checkpoints.keep

        def told(checkpoints, state, where):
            if not checkpoints.__dict__.setdefault("first", True):
                os.kill(os.getpid(), signal.SIGTERM)
                self.kept += 1
            checkpoints.first = False
            real(checkpoints, state, where)

        monkeypatch.setattr(Checkpoints, "keep", told)


@pytest.mark.parametrize(
    ("family", "name", "optimizer"),
    [("bart", "js", "adamw"), ("t5", "predistill", "adam"), ("gpt2", "js", "adafactor"), ("gpt2", "mle", "adamw")],
)
def test_stopped_at_every_boundary_it_ends_with_the_same_bytes(tmp_path, monkeypatch, family, name, optimizer):
    whole, starts = pieces(family, name, optimizer=optimizer)
    assert starts == 1
    stopped = EveryStep(monkeypatch)
    parts, starts = pieces(family, name, tmp_path, minutes=None, optimizer=optimizer)
    assert starts == stopped.kept + 1 > 5
    assert parts == whole


def test_keeping_checkpoints_changes_nothing(tmp_path):
    assert pieces("bart", "js", tmp_path, minutes=0) == pieces("bart", "js")
    assert len(names(tmp_path)) == 2


def test_an_evaluation_is_broken_off_and_begun_again(tmp_path):
    began = time.monotonic()
    parts, starts = pieces("bart", "js", tmp_path, minutes=None, interrupt_at=(2,))
    assert starts == 2 and time.monotonic() - began < 10
    assert parts == pieces("bart", "js")[0]
