"""Curves in sinks: the same numbers at the same steps, also of a resumed training; and a sink that fails."""

import json
import logging
import os
import signal
import struct
import threading
import time
from collections import Counter
from contextlib import contextmanager
from importlib.util import find_spec

import chain
import pytest
import tiny
from fdistill.artifacts.files import read_json_lines
from fdistill.runtime.interruption import Stopped
from fdistill.training import curves, sinks
from fdistill.training.sinks import SINKS, Training
from fdistill.training.state import TrainingCheckpoints
from training_cases import data_of, selection, trainer_of

HISTORY = [
    {"step": 0, "dev": {"nll": 3.0}},
    {"step": 2, "loss": 1.5, "learning_rate": 0.5},
    {"step": 2, "dev": {"nll": 2.0, "bleu4": 1.0}, "student_share": 0.25, "steps_of": {"student_samples": 2}},
    {"step": 4, "loss": 1.25, "learning_rate": 0.25},
    {"step": 4, "dev": {"nll": 1.0}},
]
POINTS = {
    **{("dev/nll", 0): 3.0, ("dev/nll", 2): 2.0, ("dev/nll", 4): 1.0, ("dev/bleu4", 2): 1.0},
    **{("loss", 2): 1.5, ("loss", 4): 1.25, ("learning_rate", 2): 0.5, ("learning_rate", 4): 0.25},
    **{("student_share", 2): 0.25, ("steps_of/student_samples", 2): 2.0},
}


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    monkeypatch.setattr(curves, "CLOSE_SECONDS", 300)


@pytest.fixture
def training(tmp_path):
    return Training("dialogue/kl/seed1", "a1" * 32, tmp_path / "curves/dialogue/kl/seed1")


@pytest.fixture
def recorder(monkeypatch):
    """A sink that records what each opening received, as (step, numbers), and how it ended."""
    openings = []

    @contextmanager
    def record(options, training):
        openings.append([])
        try:
            yield lambda step, numbers: openings[-1].append((step, dict(numbers)))
        except BaseException:
            openings[-1].append("interrupted")
            raise

    monkeypatch.setitem(SINKS, "recorder", record)
    return openings


def train(training, sinks, folder=None, stop_after=None):
    """Train to the end, or stop by a signal after so many evaluations: the history, and the weights."""
    student = tiny.checkpoint("bart", 2, **tiny.DROPOUT["bart"])
    settings = {"batch_size": 4, "epochs": 2, "evaluate_every": 0.5}
    trainer = trainer_of(student, tiny.checkpoint("bart", 1), "js", data_of(student, 12), **settings)
    evaluations = []

    def score(model):
        evaluations.append(1)
        if len(evaluations) == stop_after:
            os.kill(os.getpid(), signal.SIGUSR1)
        return {"nll": sum(p.abs().sum().item() for p in model.module.parameters())}

    with curves.opened(sinks, training) as sent, TrainingCheckpoints(folder, {"seed": 1}) as checkpoints:
        history = trainer.run(score, selection(), checkpoints, sent)
    return history, [value.tolist() for value in student.model.module.state_dict().values()]


def expected(history):
    return [(entry["step"], curves.numbers(entry)) for entry in history]


def test_an_entry_has_its_numbers_by_name():
    assert {(name, e["step"]): value for e in HISTORY for name, value in curves.numbers(e).items()} == POINTS


def test_a_sink_receives_the_curve_and_changes_nothing(recorder, training):
    history, weights = train(training, {"recorder": True})
    assert recorder == [expected(history)] and len(history) > 5
    assert train(training, {}) == (history, weights)


def test_a_resumed_training_sends_the_whole_curve_again(recorder, training, tmp_path):
    with pytest.raises(Stopped):
        train(training, {"recorder": True}, tmp_path / "checkpoints", stop_after=3)
    history, weights = train(training, {"recorder": True}, tmp_path / "checkpoints")
    first, second = recorder
    assert first.pop() == "interrupted" and first == expected(history)[: len(first)] and 0 < len(first) < len(history)
    assert second == expected(history)
    assert (history, weights) == train(training, {})


@pytest.mark.parametrize("fails_at", [0, 2])
def test_a_sink_that_fails_is_given_up_with_one_warning(monkeypatch, recorder, training, caplog, fails_at):
    sends = []

    @contextmanager
    def failing(options, training):
        if not fails_at:
            raise ConnectionError("no route to host")

        def send(step, numbers):
            sends.append(step)
            if len(sends) == fails_at:
                raise ConnectionError("no route to host")

        yield send

    monkeypatch.setitem(SINKS, "failing", failing)
    with caplog.at_level(logging.WARNING):
        history, weights = train(training, {"failing": {}, "recorder": True})
    (warning,) = caplog.messages
    assert warning.startswith("logging.failing: the curve is not sent any further (ConnectionError: no route to host)")
    assert len(sends) == fails_at and recorder == [expected(history)]
    assert train(training, {}) == (history, weights)


def test_a_sink_that_hangs_does_not_hold_up_the_training(monkeypatch, training, caplog):
    released = threading.Event()

    @contextmanager
    def hanging(options, training):
        released.wait(60)
        yield lambda step, numbers: None

    monkeypatch.setitem(SINKS, "hanging", hanging)
    monkeypatch.setattr(curves, "CLOSE_SECONDS", 0.1)
    with caplog.at_level(logging.WARNING):
        history, _ = train(training, {"hanging": True})
    released.set()
    assert caplog.messages == ["logging.hanging: the end of the curve was not sent within 0 s; it is in train.jsonl"]
    assert history[-1]["step"] == 6


def test_a_script_sends_its_curve_as_its_place_in_the_study(monkeypatch, tmp_path, recorder):
    (tmp_path / "mlflow.py").touch()  # the check of packages finds it, and the recorder stands in for the sink
    monkeypatch.syspath_prepend(tmp_path)
    trainings = []
    record = SINKS["recorder"]
    monkeypatch.setitem(SINKS, "mlflow", lambda options, of: (trainings.append(of), record(options, of))[1])
    study = chain.Study(tmp_path / "study")
    study.prepare()
    script, *given = study.command("finetune_teacher")
    chain.run(script, *given)
    written = [study.teacher / "model.safetensors", study.teacher / "manifest.json", study.teacher_history]
    before = [file.read_bytes() for file in written]
    for _ in range(2):
        chain.run(script, *given, "--logging", '{"mlflow": {}}', "--curves", tmp_path / "curves")
    assert [file.read_bytes() for file in written] == before
    first, second = trainings
    assert (first.name, first.folder) == (f"{study.task}/teacher/seed1", tmp_path / "curves")
    assert first == second  # or a resumed training would have another run
    assert recorder == 2 * [expected(read_json_lines(study.teacher_history)[0])]


# --- the sinks themselves, where their packages are installed


def send_twice(key, options, training):
    """Send a curve whose training is interrupted after three entries, and resumed from a checkpoint at the second."""
    with pytest.raises(Stopped), curves.opened({key: options}, training) as sent:
        sent.send(HISTORY[:3])
        raise Stopped
    with curves.opened({key: options}, training) as sent:
        sent.send(HISTORY[:2])
        sent.send(HISTORY)


def test_tensorboard(training, caplog):
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    send_twice("tensorboard", True, training)
    assert not caplog.messages
    events = EventAccumulator(str(training.folder)).Reload()
    found = [(name, e.step, e.value) for name in events.Tags()["scalars"] for e in events.Scalars(name)]
    assert Counter(found) == Counter((name, step, value) for (name, step), value in POINTS.items())


def test_mlflow(training, tmp_path, caplog):
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    pytest.importorskip("alembic", reason="MLflow cannot make a database without alembic")
    from mlflow import MlflowClient

    store = f"sqlite:///{tmp_path}/mlflow.db"
    send_twice("mlflow", {"tracking_uri": store, "experiment": "curves"}, training)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    client = MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("curves").experiment_id])
    assert (run.info.run_name, run.info.status) == ("dialogue/kl/seed1", "FINISHED")
    found = [
        (m.key, m.step, m.value) for key in run.data.metrics for m in client.get_metric_history(run.info.run_id, key)
    ]
    assert Counter(found) == Counter((name, step, value) for (name, step), value in POINTS.items())


def wandb_records(log):
    """The records of W&B's file: after 7 bytes, blocks of 32 KiB with parts of records, as LevelDB's log has them."""
    at, parts = 7, b""
    while at + 7 <= len(log):
        if (left := 32768 - at % 32768) < 7:  # too few for a header
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", log, at)
        at += 7 + length
        if at > len(log):  # it is being written
            return
        parts += log[at - length : at]
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def test_wandb(training, monkeypatch, caplog):
    pytest.importorskip("wandb", reason="W&B is not installed")
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv("WANDB_MODE", "offline")
    send_twice("wandb", {"project": "curves", "entity": None}, training)
    assert not caplog.messages
    (file,) = training.folder.glob("wandb/offline-run-*/*.wandb")  # that of the interrupted start is gone
    records, limit = [], time.monotonic() + 60  # its service writes the file, and ends it after `finish` has returned
    while not any(record.HasField("exit") for record in records):
        assert time.monotonic() < limit, records
        time.sleep(0.1)
        records = [Record.FromString(data) for data in wandb_records(file.read_bytes())]
    found, names = {}, set()
    for record in records:
        names |= {record.run.display_name} - {""}
        row = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for name in row.keys() - {"_step", "_runtime", "_timestamp"}:
            assert (name, row["_step"]) not in found
            found[name, row["_step"]] = row[name]
    assert names == {"dialogue/kl/seed1"} and found == POINTS


@pytest.mark.parametrize("key", [key for key in sinks.SINKS if find_spec(key) is None])
def test_a_missing_package_is_refused_before_anything_is_read(key, capsys):
    options = {"tensorboard": True, "wandb": {"project": "p"}, "mlflow": {}}[key]
    chain.run("distill", "--logging", json.dumps({key: options}), fails=True)
    said = capsys.readouterr().err
    assert f"needs the package {key}, which is not installed; pip install {key}, or set logging.{key}:" in said
