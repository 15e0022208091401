"""The benchmark of online and offline samples of the teacher: both do the work of training, on the same examples."""

import json
import runpy
import sys
import time

import pytest
import tiny
import torch
from chain import TEXT, Study
from fdistill.bench import machine, online
from fdistill.runtime.errors import UserError
from snake import ROOT
from training_cases import METHODS, data_of, trainer_of

TERMS = {name: METHODS[name]["terms"] for name in ("tvd_online", "js", "mle", "tvd", "js_online")}


def test_a_pair_differs_in_its_samples_alone():
    assert online.pairs({name: TERMS[name] for name in TERMS if name != "mle"}) == {
        "tvd": "tvd_online",
        "js": "js_online",
    }
    with pytest.raises(UserError, match="mle has no counterpart"):
        online.pairs(TERMS)
    other = [term | {"weight": 0.7} for term in TERMS["js"]]
    with pytest.raises(UserError, match="js has no counterpart"):
        online.pairs({"js": other, "js_online": TERMS["js_online"]})


@pytest.fixture
def trainers():
    teacher, student = tiny.checkpoint("bart", 1), tiny.checkpoint("bart", 2)
    methods = {online.OFFLINE: "js", online.ONLINE: "js_online"}
    return {
        kind: trainer_of(student, teacher, name, data_of(student, 20), batch_size=4) for kind, name in methods.items()
    }


def test_both_take_the_same_steps_in_turn_from_the_same_weights(trainers, monkeypatch):
    module = trainers[online.OFFLINE].student.module
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    taken = []
    for kind, trainer in trainers.items():

        def step(batches, kind=kind, trainer=trainer, taking=trainer.step):
            same = all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())
            taken.append((kind, trainer.state.step, [row for batch in batches for row in batch.rows], same))
            return taking(batches)

        monkeypatch.setattr(trainer, "step", step)
    measured = online.compare(trainers, 5)
    by_kind = {kind: [entry[1:] for entry in taken if entry[0] == kind] for kind in trainers}
    assert by_kind[online.OFFLINE] == by_kind[online.ONLINE]
    assert [number for number, _, _ in by_kind[online.ONLINE]] == list(range(6))
    assert all(same for *_, same in taken) and len({str(rows) for _, _, rows, _ in taken}) == 6
    assert [kind for kind, *_ in taken[::2]] == [online.OFFLINE, online.ONLINE] * 3
    assert set(measured["seconds"]) == set(trainers) and measured["other_cpus"] >= 0
    assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())


def test_the_speedup_is_the_median_ratio_and_the_first_step_only_warms_up(trainers, monkeypatch):
    clock = [0.0]
    lengths = {online.OFFLINE: iter([50, 1, 2, 4]), online.ONLINE: iter([1, 3, 4, 40])}
    for kind, trainer in trainers.items():
        monkeypatch.setattr(trainer, "step", lambda _, kind=kind: clock.append(clock[-1] + next(lengths[kind])))
    monkeypatch.setattr(online, "now", lambda device: clock[-1])
    monkeypatch.setattr(machine, "busy_seconds", lambda: None)
    measured = online.compare(trainers, 3)
    assert measured["seconds"][online.OFFLINE] == {"median": 2, "min": 1, "max": 4}
    assert (
        measured["speedup"] == {"median": 3, "min": 2, "max": 10, "interval": None} and measured["other_cpus"] is None
    )


def test_a_medians_interval_is_of_its_order_statistics():
    """Of 40 values, the 14th and the 27th: Binomial(40, 1/2) is below 14 with p = 0.019, below 13 with p = 0.008."""
    values = [float(value) for value in range(1, 41)]
    assert online.median_interval(values) == [14.0, 27.0]
    assert online.median_interval(values[:6]) == [1.0, 6.0] and online.median_interval(values[:5]) is None


def test_the_work_of_other_programs_is_what_the_machine_did_beside_this_one(monkeypatch):
    busy, own, elapsed = iter([100.0, 109.0]), iter([5.0, 8.0]), iter([0.0, 4.0])
    monkeypatch.setattr(machine, "busy_seconds", lambda: next(busy))
    monkeypatch.setattr(machine.time, "process_time", lambda: next(own))
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(elapsed))
    assert machine.other_cpus()() == pytest.approx((9 - 3) / 4)


def test_the_machines_work_includes_this_programs(monkeypatch, tmp_path):
    before, own = machine.busy_seconds(), time.process_time()
    while time.process_time() - own < 0.2:
        pass
    assert machine.busy_seconds() - before > 0.05
    monkeypatch.setattr(machine, "STAT", tmp_path / "stat")
    assert machine.busy_seconds() is None


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return Study(tmp_path_factory.mktemp("study")).make()


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["bench_online.py", *map(str, arguments)])
    runpy.run_path(str(ROOT / "workflow/scripts/bench_online.py"), run_name="__main__")


def test_the_script_writes_what_it_measured_of_a_study(study, tmp_path, monkeypatch):
    pair = json.dumps({name: TERMS[name] for name in ("js", "js_online")})
    arguments = (
        "--methods", pair, "--start", study.start, "--teacher", study.teacher, "--train", study.train,
        "--teacher-samples", study.samples, "--output", tmp_path / "times.json", "--seed=1", "--device=cpu", *TEXT,
        "--learning-rate=1e-3", "--epochs=1", "--batch-size=4", "--steps=2",
    )  # fmt: skip
    run(monkeypatch, *arguments, "--task", study.task)
    content = json.loads((tmp_path / "times.json").read_text())
    assert [(pair["offline"], pair["online"]) for pair in content["pairs"]] == [("js", "js_online")]
    assert content["steps"] == 2 and content["machine"]["cpus"] >= 1
    assert content["lineage"]["task"] == study.task and content["lineage"]["teacher"]
    with pytest.raises(SystemExit, match="another task"):
        run(monkeypatch, *arguments, "--task", "other")
