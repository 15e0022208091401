"""Asks an endpoint for every row that has not enough outputs yet: several at a time, and again where that helps."""

import asyncio
import itertools
import logging
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from fdistill.runtime.errors import UserError
from fdistill.runtime.interruption import Interruption
from fdistill.runtime.progress import Progress
from fdistill.sampling.endpoint.answer import read_answer
from fdistill.sampling.endpoint.client import Client
from fdistill.sampling.endpoint.faults import Fault, Then
from fdistill.sampling.endpoint.query import Query
from fdistill.sampling.endpoint.store import AnswerStore
from fdistill.sampling.endpoint.turns import Turns

log = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds before a request is made again: doubled each time, up to the longest
PATIENCE = 3600.0  # seconds; an endpoint that asks to wait longer, as when a day's quota is spent, ends the run
NAMED = 5  # rows that a message names for each reason
ROWS_IN_SUCCESSION = 10  # that are given up, after which the endpoint is taken to answer nothing any more


@dataclass(frozen=True)
class Pace:
    """How many outputs each row is to have, and how they are asked for."""

    outputs: int
    per_request: int
    concurrency: int
    retries: int  # of one request


class Asking:
    """One run over the rows of a split."""

    def __init__(self, client: Client, query: Query, store: AnswerStore, pace: Pace, cost: Callable[[], float | None]):
        """`cost` returns what the answers in the store have cost so far; None if nobody knows."""
        self.client, self.query, self.store, self.pace, self.cost = client, query, store, pace, cost
        self._given_up: dict[str, Fault] = {}  # by row
        self._in_succession = 0
        self._usable = 0  # answers of this run
        self._turns = Turns(lambda: self._is_over)
        self._end: UserError | None = None  # the reason why the run ends before its time
        self._interruption = Interruption()

    def run(self, sources: dict[str, str]) -> dict[str, Fault]:
        """Ask for the outputs that rows of `sources`, texts by id, lack; return the rows that are given up, and why.

        A signal ends the run with status 75, when the answers that are on their way have arrived and are stored.
        Raises UserError for a fault that every request would have, and when answers cannot be stored.
        """
        lacking = deque(row for row in sources if self.store.counts[row] < self.pace.outputs)
        done = len(sources) - len(lacking)
        if done:
            log.info("%d of %d rows have been answered by an earlier run", done, len(sources))
        self._progress = Progress("rows", len(sources), done)
        self._tokens, self._began = self.store.usage["completion_tokens"], time.monotonic()
        with self._interruption:
            asyncio.run(self._ask_all(sources, lacking))
            self._progress.close()
            if self._interruption.reason:
                paid = "" if (cost := self.cost()) is None else f", cost {cost:.4g}"
                self._interruption.stop(f"{self._progress.done} of {len(sources)} rows{paid}")
        if self._end is not None:
            raise self._end
        return self._given_up

    async def _ask_all(self, sources: dict[str, str], lacking: deque[str]) -> None:
        async with self.client, asyncio.TaskGroup() as tasks:
            for _ in range(min(self.pace.concurrency, len(lacking))):
                tasks.create_task(self._work(sources, lacking))

    async def _work(self, sources: dict[str, str], lacking: deque[str]) -> None:
        while lacking and not self._is_over:
            row = lacking.popleft()
            try:
                while (first := self.store.counts[row]) < self.pace.outputs and not self._is_over:
                    count = min(self.pace.per_request, self.pace.outputs - first)
                    await self._request(row, self.query.body(sources[row], count, first), count)
            except Fault as fault:
                self._give_up(row, fault)
            except UserError as error:  # the answer cannot be stored
                self._end = self._end or error
            else:
                self._show(row)

    async def _request(self, row: str, body: dict, count: int) -> None:
        """Make a request until it has an answer; raises Fault when it is given up.

        A wait that the endpoint asks for is no failure of the request while others get answers.
        """
        failures, before = 0, self._usable
        for attempt in itertools.count():
            async with self._turns.turn():
                if self._is_over or (fault := await self._answer(row, body, count, attempt > 0)) is None:
                    return
                if fault.wait is None or self._usable == before:
                    failures += 1
                before, wait = self._usable, _wait(fault, failures)
                if fault.wait is not None:
                    self._turns.hold(wait)
            if fault.then is not Then.AGAIN or failures > self.pace.retries:
                raise fault
            if fault.wait is None:
                await self._turns.pause(wait * random.uniform(0.5, 1))

    async def _answer(self, row: str, body: dict, count: int, is_again: bool) -> Fault | None:
        """Make a request once and store its answer; return its fault, which is stored too."""
        is_computed = False
        try:
            text = await self.client.ask(body)
            is_computed = True
            answer = read_answer(text, self.query, has_worked=bool(self.store.counts))
        except Fault as fault:
            about = {"fault": fault.name, "said": fault.said, "usage": fault.usage, "computed": is_computed}
            self.store.add(row, is_again, [], **about)
            return fault
        self.store.add(row, is_again, answer.outputs[:count], model=answer.model, usage=answer.usage)
        self._usable += 1
        self._in_succession = 0
        return None

    def _give_up(self, row: str, fault: Fault) -> None:
        self._given_up[row] = fault
        # A refused row says nothing of the others, unless none has ever been answered: settings may be wrong.
        self._in_succession = 0 if fault.is_of_row and self.store.counts else self._in_succession + 1
        log.warning("%s: given up, %s", row, fault)
        reason = str(fault) if fault.then is Then.STOP else None
        if self._in_succession == ROWS_IN_SUCCESSION:
            reason = f"{ROWS_IN_SUCCESSION} rows in succession got no usable answer, the last one for {fault}"
        if reason and self._end is None:
            how = "to have others, change the model or what is asked of it" if fault.is_of_row else "run again to go on"
            kept = f"The answers so far are kept in {self.store.path}; {how}{remedy(fault)}"
            self._end = UserError(f"{self.client.address}: {reason}. {kept}")

    def _show(self, row: str) -> None:
        if self.store.counts[row] < self.pace.outputs:  # the run is over
            return
        seconds = max(time.monotonic() - self._began, 1e-9)
        figures = {"tokens/s": (self.store.usage["completion_tokens"] - self._tokens) / seconds}
        if (cost := self.cost()) is not None:
            figures["cost"] = cost
        self._progress.advance(**figures)

    @property
    def _is_over(self) -> bool:
        return self._end is not None or self._interruption.reason is not None


def _wait(fault: Fault, failures: int) -> float:
    """Return the seconds until a request is made again: as its failures say, or more if the endpoint asks for more.

    Raises Fault, which ends the run, when the endpoint asks for too many.
    """
    asked = fault.wait or 0.0
    if asked > PATIENCE:
        raise Fault(fault.name, f"asks to wait {asked / 3600:.1f} h ({fault.said}); run again then", Then.STOP)
    if asked > LONGEST_WAIT:
        log.warning("%s; the endpoint asks to wait %.0f s", fault, asked)
    return max(asked, min(LONGEST_WAIT, FIRST_WAIT * 2 ** (failures - 1)) if failures else 0.0)


def remedy(*faults: Fault) -> str:
    """Return the flags, as the end of a sentence, by which requests may get answers that had passing faults."""
    is_passing = any(fault.then is Then.AGAIN and not fault.is_of_row for fault in faults)
    return ", with more --retries or a lower --concurrency" if is_passing else ""


def missing(given_up: dict[str, Fault], rows: int, some: int = 0) -> str:
    """Return how many of the rows have been given up, which, and why; of one fault, in the words of its first row.

    `some` of them have outputs, but fewer than they should.
    """
    by_name: dict[str, list[str]] = {}
    for row, fault in given_up.items():
        by_name.setdefault(fault.name, []).append(row)
    reasons = [
        f"{len(found)} for {given_up[found[0]]} ({', '.join(found[:NAMED])}{', ...' if len(found) > NAMED else ''})"
        for found in by_name.values()
    ]
    too_few = f", or too few ({some})" if some else ""
    return f"{len(given_up)} of {rows} rows have no output{too_few}: {'; '.join(reasons)}"
