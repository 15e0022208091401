"""Runs the checks, so that one that crashes does not hide the others.

The checks of a case run in a process, which ends at the first that fails: an error on a GPU may have left it unusable.
Another process goes on behind it.
"""

import logging
import multiprocessing
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection

from fdistill.bench.gpu_check.case import Case, redirect
from fdistill.bench.gpu_check.checks import CHECKS
from fdistill.bench.gpu_check.outcome import FAILED, MISSING, OK, NotApplicable, Outcome

log = logging.getLogger(__name__)

LOG_LINES = 20  # of a process that crashed, in the report


def run_all(cases: list[Case], names: list[str], minutes: float) -> list[Outcome]:
    """Return the outcomes of the named checks on all cases; those that `minutes` do not suffice for are n/a."""
    # The processes fork from one that has imported everything, and has not touched the GPU.
    multiprocessing.get_context("forkserver").set_forkserver_preload([__name__])
    deadline, total, outcomes = time.monotonic() + 60 * minutes, len(cases) * len(names), []
    for case in cases:
        for outcome in _outcomes(case, names, deadline, minutes):
            outcomes.append(outcome)
            where = f"{outcome.check}, {outcome.family} {outcome.precision}: {outcome.status}"
            reason = f": {outcome.reason.strip().splitlines()[-1]}" if outcome.reason else ""
            log.info("%d of %d: %s, %.1f s%s", len(outcomes), total, where, outcome.seconds, reason)
    return outcomes


def _outcomes(case: Case, names: list[str], deadline: float, minutes: float) -> Iterator[Outcome]:
    statuses: dict[str, str] = {}
    while pending := [name for name in names if name not in statuses]:
        if time.monotonic() >= deadline:
            reason = (
                f"the {minutes:g} minutes were over; raise --minutes, or name fewer --families or --only some checks"
            )
            yield from (_outcome(name, case, MISSING, reason=reason) for name in pending)
            return
        for outcome in _in_process(case, pending, statuses, deadline):
            statuses[outcome.check] = outcome.status
            yield outcome


def _in_process(case: Case, names: list[str], statuses: dict[str, str], deadline: float) -> Iterator[Outcome]:
    """Yield the outcomes of checks, run in a process of their own, up to one that fails or to the deadline."""
    context = multiprocessing.get_context("forkserver")
    receiving, sending = context.Pipe(duplex=False)
    case.folder.mkdir(parents=True, exist_ok=True)
    log_file = case.path("log")
    process = context.Process(target=_work, args=(sending, case, names, statuses, str(log_file)))
    process.start()
    sending.close()
    begun = time.monotonic()
    try:
        for name in names:
            if not receiving.poll(max(0.0, deadline - time.monotonic())):
                return
            try:
                outcome = receiving.recv()
            except EOFError:
                process.join()
                tail = "\n".join(log_file.read_text(errors="replace").splitlines()[-LOG_LINES:])
                reason = f"{tail}\nthe process ended with status {process.exitcode}"
                outcome = _outcome(name, case, FAILED, time.monotonic() - begun, reason)
            begun = time.monotonic()
            yield outcome
            if outcome.status == FAILED:
                return
    finally:
        process.kill()
        process.join()
        receiving.close()


def _outcome(name: str, case: Case, status: str, seconds: float = 0.0, reason: str = "") -> Outcome:
    return Outcome(name, case.family, case.precision, status, seconds, reason=reason)


def _work(sending: Connection, case: Case, names: list[str], statuses: dict[str, str], log_file: str) -> None:
    """Run checks and send their outcomes, up to one that fails; `statuses` are those of earlier ones."""
    redirect(log_file)
    for name in names:
        outcome = run_check(name, case, statuses)
        sending.send(outcome)
        statuses[name] = outcome.status
        if outcome.status == FAILED:
            return


def run_check(name: str, case: Case, statuses: dict[str, str]) -> Outcome:
    """Return the outcome of a check, which fails with an exception's traceback or a number beyond its bound.

    It is n/a without the files of a check that it needs, by the `statuses` of those that have run.
    """
    start, outcome = time.monotonic(), _outcome(name, case, FAILED)
    if unmet := [need for need in CHECKS[name].needs if statuses[need] != OK]:
        return replace(outcome, status=MISSING, reason=f"it reads what the check {unmet[0]} writes, which is not ok")
    try:
        measured = CHECKS[name].run(case)
    except NotApplicable as error:
        outcome = replace(outcome, status=MISSING, reason=str(error))
    except Exception:
        outcome = replace(outcome, reason=traceback.format_exc())
    else:
        reason = "" if measured.is_within else f"{measured.what}: {measured.value:.3g}, not within {measured.bound:.3g}"
        outcome = replace(outcome, status=FAILED if reason else OK, measured=measured, reason=reason)
    return replace(outcome, seconds=time.monotonic() - start)
