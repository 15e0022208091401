"""What the terminal shows while Snakemake runs."""

import io
import logging
import re
from types import SimpleNamespace

import pytest
from fdistill.runtime import terminal
from snakemake.logging import DefaultFilter, DefaultFormatter
from snakemake_interface_logger_plugins.common import LogEvent


@pytest.fixture
def logger():
    """A logger as Snakemake's, with its handler for the terminal, which writes to `stream`."""
    logger = logging.Logger("snakemake")
    handler = logging.StreamHandler(io.StringIO())
    handler.name = terminal.DEFAULT_HANDLER
    handler.addFilter(DefaultFilter((), False, False, False, False))
    handler.setFormatter(DefaultFormatter())
    logger.addHandler(handler)
    return logger


def settings(**changes):
    return SimpleNamespace(**{"quiet": None, "verbose": False} | changes)


def start(logger, log, jobid=4):
    job = {"jobid": jobid, "rule_name": "distill", "log": [str(log)], "wildcards": {"task": "t", "seed": "1"}}
    logger.info("distill", extra={"event": LogEvent.JOB_INFO, **job})


def finish(logger, done):
    logger.info("Finished jobid: 4", extra={"event": LogEvent.JOB_FINISHED, "job_id": 4})
    logger.info("", extra={"event": LogEvent.PROGRESS, "done": done, "total": 2})


def shown(logger):
    return logger.handlers[0].stream.getvalue().splitlines()


def test_a_job_is_one_line_with_its_log(logger):
    terminal.show_job_lines(logger, settings(), 2)
    for done in (1, 2):
        logger.info(terminal.SELECTING)
        logger.info("Execute 1 jobs...", extra={"event": LogEvent.JOB_STARTED, "jobs": [4]})
        start(logger, "logs/t.log")
        finish(logger, done)
    logger.warning("something else")
    head, *lines = shown(logger)
    assert "tail -f" in head
    texts = [re.fullmatch(r"\d\d:\d\d:\d\d (.*)", line) for line in lines[:3]]
    assert [text.group(1).strip() for text in texts] == [
        "0/2  distill t/seed1  logs/t.log",
        "1/2  distill t/seed1  logs/t.log",
        "2/2  all jobs are finished",
    ]
    assert lines[3:] == ["something else"]


def test_when_nothing_starts_a_line_says_what_runs_and_how_far_it_is(logger, tmp_path, monkeypatch):
    monkeypatch.setattr(terminal.threading.Thread, "start", lambda thread: None)
    terminal.show_job_lines(logger, settings(), 2)
    log = tmp_path / "a.log"
    log.write_text("10:00:00 training 1/4 (25 %)\n10:00:10 training 2/4 (50 %)\n")
    start(logger, log)
    logger.handlers[1].report()
    assert re.search(r"0/2  1 running; for 0 min distill t/seed1: 10:00:10 training 2/4 \(50 %\)$", shown(logger)[-1])
    log.unlink()
    logger.handlers[1].report()
    assert shown(logger)[-1].endswith("for 0 min distill t/seed1")


def test_the_sign_of_life_comes_by_itself(logger, tmp_path, monkeypatch):
    monkeypatch.setattr(terminal, "PATIENCE_OF_LOGS", 0.0)
    monkeypatch.setattr(terminal, "SHORTEST_WAIT", 0.01)
    terminal.show_job_lines(logger, settings(), 2)
    start(logger, tmp_path / "none.log")
    for _ in range(500):
        if any("1 running" in line for line in shown(logger)):
            break
        terminal.time.sleep(0.01)
    finish(logger, 1)
    assert any("1 running; for 0 min distill t/seed1" in line for line in shown(logger))


@pytest.mark.parametrize("changes", [{"quiet": ["progress"]}, {"quiet": ["all"]}, {"verbose": True}])
def test_what_the_user_chose_is_left_alone(logger, changes):
    terminal.show_job_lines(logger, settings(**changes), 2)
    assert len(logger.handlers) == 1 and len(logger.handlers[0].filters) == 1 and not shown(logger)


def test_the_names_of_events_and_handlers_are_snakemakes():
    assert set(terminal.ROUTINE) < set(LogEvent)
