"""Whose turn it is while an endpoint asks to wait: nobody's, then one request's, and after its answer everybody's."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

GLANCE = 0.2  # seconds after which one who waits looks whether the run ends
SPREAD = 1.0  # seconds over which those who have waited together begin again


class Turns:
    """Holds all requests back as long as the endpoint asks one to wait.

    Then one of them is tried. Others begin when it has an answer, a little one after the other: all at once, they would
    be too many again.
    """

    def __init__(self, is_over: Callable[[], bool]):
        """`is_over` says whether the run ends; nobody waits then."""
        self._is_over = is_over
        self._not_before = 0.0  # of time.monotonic()
        self._is_held = self._is_tried = False

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a request's turn, which lasts until its answer: a context in which it is made."""
        is_tried = await self._take()
        try:
            yield
        finally:
            if is_tried:
                self._is_tried = False
                self._is_held = time.monotonic() < self._not_before

    def hold(self, seconds: float) -> None:
        """Let all requests wait, as the answer in whose turn this is called asks to."""
        # Not less than a glance, or the end of this turn would let all others begin.
        until = time.monotonic() + max(seconds, GLANCE)
        self._is_held, self._not_before = True, max(self._not_before, until)

    async def _take(self) -> bool:
        """Wait for a turn; return whether it is that of the one which is tried."""
        while self._is_held and not self._is_over():
            if self._not_before <= time.monotonic() and not self._is_tried:
                self._is_tried = True
                return True
            await asyncio.sleep(GLANCE)
            if not self._is_held:
                await self.pause(random.uniform(0, SPREAD))
        return False

    async def pause(self, seconds: float) -> None:
        """Wait, unless the run ends."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._is_over():
            await asyncio.sleep(min(left, GLANCE))
