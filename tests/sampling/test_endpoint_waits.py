"""Waits between requests, and whose turn it is then: a proxy answers, and asks to wait."""

import asyncio
import threading
import time
from dataclasses import replace
from email.utils import formatdate
from itertools import pairwise

import pytest
from chain import run
from endpoint_cases import NOWHERE, ROWS, Asked, answer
from faulty_proxy import Fault, faulty
from fdistill.sampling.endpoint import asking, turns
from fdistill.sampling.endpoint.turns import Turns


@pytest.fixture
def asked(tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "FIRST_WAIT", 0.01)
    return Asked(tmp_path)


def busy(seconds, status=429, words="slow down"):
    return Fault(status, {"Retry-After": str(seconds)}, words)


@pytest.mark.parametrize(("status", "as_date"), [(429, False), (503, True)])
def test_all_requests_wait_as_long_as_the_endpoint_asks(asked, status, as_date):
    def third(number, _):
        if number != 2:
            return replace(answer("a"), silent=0.2)  # longer than the client takes to read what it is asked to
        return busy(formatdate(time.time() + 3, usegmt=True) if as_date else 2, status)  # a date has whole seconds

    with faulty(NOWHERE, third) as proxy:
        run("query_endpoint", *asked.arguments(proxy.url, "--concurrency", 2))
    times = [moment for _, _, _, moment in proxy.requests]
    assert sum(moment > times[2] + 1.5 for moment in times) >= ROWS + 1 - 4  # all but those that were on their way
    assert len(times) == ROWS + 1 and len(asked.rows()) == ROWS


def test_one_request_is_tried_before_the_others_go_on(asked, monkeypatch):
    """A quota of two answers each 0.3 s: while others get answers, rows outlast more waits than they have retries."""
    monkeypatch.setattr(turns, "SPREAD", 0.02)
    lock, window = threading.Lock(), [0.0, 0]  # its end, and its answers

    def quota(*_):
        with lock:
            if time.monotonic() > window[0]:
                window[:] = time.monotonic() + 0.3, 0
            window[1] += 1
            return answer("a") if window[1] <= 2 else busy(0.3)

    with faulty(NOWHERE, quota) as proxy:
        run("query_endpoint", *asked.arguments(proxy.url, "--concurrency", 4, "--retries", 1))
    assert len(asked.rows()) == ROWS


def test_waits_are_doubled(asked, monkeypatch):
    monkeypatch.setattr(asking, "FIRST_WAIT", 0.2)
    with faulty(NOWHERE, lambda number, _: Fault(500, text="") if number < 3 else answer("a")) as proxy:
        run("query_endpoint", *asked.arguments(proxy.url, "--max-examples", 1))
    times = [moment for _, _, _, moment in proxy.requests]
    waits = [after - before for before, after in pairwise(times)]
    assert all(0.1 * 2**n <= wait for n, wait in enumerate(waits)) and len(waits) == 3


@pytest.mark.parametrize("retries", [6, 0])
def test_an_endpoint_that_asks_to_wait_for_hours_ends_the_run(asked, retries):
    with faulty(NOWHERE, lambda *_: busy(86_400, words="quota of the day")) as proxy:
        flags = ["--concurrency", 1, "--retries", retries]
        said = run("query_endpoint", *asked.arguments(proxy.url, *flags), fails=True)
    assert "asks to wait 24.0 h (quota of the day); run again then" in said and len(proxy.requests) == 1


def test_the_last_message_has_the_flags_that_help(asked):
    with faulty(NOWHERE, lambda *_: busy(0)) as proxy:
        flags = ["--max-examples", 1, "--retries", 1]
        said = run("query_endpoint", *asked.arguments(proxy.url, *flags), fails=True)
    assert "run again to ask for these again, with more --retries or a lower --concurrency" in said
    assert len(proxy.requests) == 2


# --- turns


def began(*answers):
    """Return when each of eight that wait 0.3 s has its turn; the first ones take 0.5 s for their `answers`."""

    async def work():
        moments, queue = [], Turns(lambda: False)

        async def one():
            async with queue.turn():
                number = len(moments)
                moments.append(time.monotonic() - start)
                if number < len(answers):
                    await asyncio.sleep(0.5)
                    answers[number](queue)

        start = time.monotonic()
        async with queue.turn(), queue.turn():  # the answer of one that was on its way does not end the wait
            queue.hold(0.3)
        async with asyncio.timeout(20):
            await asyncio.gather(*(one() for _ in range(8)), return_exceptions=True)
        return moments

    return asyncio.run(work())


def passes(_):
    pass


def fails(_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("answer", [passes, fails])
def test_those_who_have_waited_together_do_not_begin_at_once(answer):
    """Of eight, one is tried; the others begin at different moments when it has ended, be it in an error."""
    first, *others = began(answer)
    assert first >= 0.3 and len(others) == 7 and all(moment >= first + 0.5 for moment in others)
    assert max(others) - min(others) > 0.1


@pytest.mark.parametrize("seconds", [0, 0.3])
def test_after_one_that_has_to_wait_again_the_next_one_is_tried_alone(seconds):
    first, second, *others = began(lambda queue: queue.hold(seconds), passes)
    assert second >= first + 0.5 + seconds and len(others) == 6
    assert all(moment >= second + 0.5 for moment in others)
