"""The parts of a training step by name, so that a benchmark can say where its time goes. Unheard, they cost nothing."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

SAMPLING, TEACHER, STUDENT, LOSS, BACKWARD = PARTS = ("sampling", "teacher", "student", "loss", "backward")

Listener = Callable[[str], AbstractContextManager[None]]


def _unheard(name: str) -> AbstractContextManager[None]:
    return nullcontext()


_listener: Listener = _unheard


def step_part(name: str) -> AbstractContextManager[None]:
    """What runs within is one of `PARTS`; within another part, it is not that one's."""
    return _listener(name)


@contextmanager
def observed_by(listener: Listener) -> Iterator[None]:
    """Every part that begins meanwhile is told to `listener`, whose context manager it runs in."""
    global _listener
    _listener = listener
    try:
        yield
    finally:
        _listener = _unheard
