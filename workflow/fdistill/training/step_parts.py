"""Names for the parts of a training step, so that a benchmark can time them. Without an observer they cost nothing."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

SAMPLING, TEACHER, STUDENT, LOSS, BACKWARD = PARTS = ("sampling", "teacher", "student", "loss", "backward")

Observer = Callable[[str], AbstractContextManager[None]]


def _no_observer(name: str) -> AbstractContextManager[None]:
    return nullcontext()


_observer: Observer = _no_observer


def step_part(name: str) -> AbstractContextManager[None]:
    """Mark the code that runs in this context as one of `PARTS`. Within another part, it counts as this one alone."""
    return _observer(name)


@contextmanager
def observed_by(observer: Observer) -> Iterator[None]:
    """Run every part that begins in this context in the context manager that `observer` returns for its name."""
    global _observer
    _observer = observer
    try:
        yield
    finally:
        _observer = _no_observer
