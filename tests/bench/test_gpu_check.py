"""The check of a GPU, in miniature on the CPU: what is measured, and that one failing check hides no other."""

import json
import multiprocessing
import os
import signal
import time
from types import SimpleNamespace

import pytest
import torch
from chain import run
from fdistill.bench.gpu_check import memory, running
from fdistill.bench.gpu_check.case import ARCHITECTURES, Case
from fdistill.bench.gpu_check.checks import CHECKS, Check, with_needed
from fdistill.bench.gpu_check.outcome import FAILED, MISSING, OK, Measured, NotApplicable, Outcome, outcome_table
from fdistill.evaluation.tables.markdown import to_markdown
from fdistill.models.families import FAMILIES
from training_cases import METHODS


@pytest.fixture
def case(tmp_path):
    return Case("gpt2", "fp32", "cpu", 1, tmp_path / "case", METHODS)


def test_the_script_measures_a_family_on_the_cpu_and_writes_what_it_found(tmp_path, capsys):
    names = ["js cached", "tvd gradient", "risk", "halving"]
    arguments = ["--device", "cpu", "--families", "gpt2", "--precisions", "fp32", "--output", tmp_path / "a.json"]
    run("gpu_check", *arguments, "--only", *names)
    table = capsys.readouterr().out
    content = json.loads((tmp_path / "a.json").read_text())
    found = {row["check"]: row for row in content["checks"]}
    assert [*found] == with_needed(names) and content["machine"]["device"] == "cpu"
    missing = {name for name, row in found.items() if row["status"] == MISSING}
    assert missing == {"halving"} and all(found[name]["reason"] for name in missing)
    assert all(row["status"] == OK and row["seconds"] > 0 for name, row in found.items() if name not in missing)
    assert 0 < found["tvd gradient"]["measured"]["value"] <= 1e-5
    assert found["js"]["measured"]["value"] > 1e-3  # of distributions that differ
    assert "| tvd gradient | gpt2" in table and "halving, gpt2 fp32: n/a, the memory of a CPU" in table


def test_a_resumed_run_is_compared_with_an_uninterrupted_one(case):
    statuses = {}
    for name in with_needed(["resumed"]):
        outcome = running.run_check(name, case, statuses)
        statuses[name] = outcome.status
    assert outcome.status == OK and outcome.measured.note == "the same bytes", outcome.reason


def crash(case):
    os.kill(os.getpid(), signal.SIGKILL)


def not_here(case):
    raise NotApplicable("the reason")


FINE = Check(lambda case: Measured("x", 0.5, 1.0))
BROKEN = {
    "crashed": Check(crash),
    "needs it": Check(FINE.run, ("crashed",)),
    "fine": FINE,
    "raised": Check(lambda case: 1 / 0),
    "absent": Check(not_here),
    "too far": Check(lambda case: Measured("x", 2.0, 1.0)),
    "no number": Check(lambda case: Measured("x", float("nan"), 1.0)),
    "last": FINE,
}


@pytest.fixture
def broken(monkeypatch):
    """The names of checks that crash, fail or are not for this machine, with others between them."""
    monkeypatch.setattr(running, "CHECKS", BROKEN)
    forked = multiprocessing.get_context("fork")  # so that the processes know these checks
    monkeypatch.setattr(running.multiprocessing, "get_context", lambda name: forked)
    return [*BROKEN]


def test_one_failing_check_hides_no_other(broken, case):
    outcomes = {each.check: each for each in running.run_all([case], broken, minutes=5)}
    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        **{"crashed": FAILED, "needs it": MISSING, "fine": OK, "raised": FAILED, "absent": MISSING},
        **{"too far": FAILED, "no number": FAILED, "last": OK},
    }
    assert "the process ended with status -9" in outcomes["crashed"].reason
    assert "ZeroDivisionError" in outcomes["raised"].reason and "Traceback" in outcomes["raised"].reason
    assert outcomes["too far"].reason == "x: 2, not within 1" and outcomes["absent"].reason == "the reason"


def test_checks_beyond_the_time_budget_are_said_to_be(broken, case, monkeypatch):
    monkeypatch.setitem(BROKEN, "fine", Check(lambda case: time.sleep(60)))
    outcomes = running.run_all([case], ["fine", "last"], minutes=0.01)
    assert [each.status for each in outcomes] == [MISSING, MISSING]
    assert all("the 0.01 minutes were over; raise --minutes" in each.reason for each in outcomes)


def test_a_failed_check_is_exit_status_1_and_names_the_file_with_its_traceback(tmp_path, monkeypatch):
    failed = Outcome("js", "gpt2", "fp32", FAILED, 0.1, reason="Traceback\nZeroDivisionError: division by zero")
    monkeypatch.setattr(running, "run_all", lambda *given: [failed, Outcome("tvd", "gpt2", "fp32", OK)])
    said = run("gpu_check", "--device", "cpu", "--output", tmp_path / "a.json", fails=True)
    assert "1 of 2 checks failed: js, gpt2 fp32" in said and "a.json has their tracebacks" in said
    assert json.loads((tmp_path / "a.json").read_text())["checks"][0]["reason"] == failed.reason


def test_a_step_with_too_little_memory_is_compared_with_the_whole(case, monkeypatch):
    """As on a GPU, but that the memory is counted in examples, of which torch is asked."""
    trainer, batch = memory.trainer_and_batch(case, vocabulary=50, length=6, size=8)
    real, share, peak = trainer.learner.loss, [1.0], [0]

    def loss(micro_batch, counts):
        if len(micro_batch.rows) > 8 * share[0]:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        peak[0] = max(peak[0], len(micro_batch.rows))
        return real(micro_batch, counts)

    trainer.learner.loss = loss
    for name, stand_in in {
        "empty_cache": lambda: None,
        "reset_peak_memory_stats": lambda: peak.__setitem__(0, 0),
        "max_memory_reserved": lambda: peak[0],
        "get_device_properties": lambda device: SimpleNamespace(total_memory=8),
        "set_per_process_memory_fraction": lambda fraction: share.__setitem__(0, fraction),
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    measured = memory.halved_step(trainer, batch, "fp32")
    assert measured.is_within and trainer.state.halved and share == [1.0]
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda fraction: None)
    with pytest.raises(AssertionError, match="was not halved"):
        memory.halved_step(trainer, batch, "fp32")


def test_the_table_says_what_a_passed_check_does_not_keep():
    where = {"name": "A GPU", "versions": {"torch": "9", "trl": None}}
    passed = Outcome("resumed", "t5", "bf16", OK, 1.0, Measured("weights", 1e-6, 1e-4, "hidden", "not the same bytes"))
    text = to_markdown(outcome_table([passed], where))
    assert "resumed, t5 bf16: ok, not the same bytes" in text and "hidden" not in text and "A GPU (torch 9)" in text


def test_every_family_has_what_a_check_needs():
    assert ARCHITECTURES.keys() <= FAMILIES.keys()
    assert all({*check.needs} <= {*list(CHECKS)[:place]} for place, check in enumerate(CHECKS.values()))
