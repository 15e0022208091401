"""Verdicts on claims and their tests, and the form in which they are written."""

from collections.abc import Iterable, Mapping
from typing import Any

from fdistill.artifacts.shapes import COUNT, INTERVAL

HOLDS, FAILS, UNDECIDED, MISSING = "holds", "fails", "undecided", "n/a"
COUNTED = {HOLDS: "for it", FAILS: "against it", UNDECIDED: "undecided", MISSING: "n/a"}
# What a claim's tests measure. An advantage is how much better the first system is: in errors, how much lower.
DIFFERENCE, ADVANTAGE, RATIO, CORRELATION = "difference", "advantage", "ratio", "rank correlation"

# What `decide_claims` returns, as `artifacts.shapes` describes it.
_MISSING = ({"reason": str, "fix": str}, None)
_NUMBERS = dict.fromkeys(("value", "p", "p_holm"), (float, None)) | {"interval": (INTERVAL, None)}
_TEST = {
    **dict.fromkeys(("metric", "title"), str),
    **dict.fromkeys(("task", "better", "than", "than_task"), (str, None)),
    **{"direction": ("higher", "lower", None), **_NUMBERS, "verdict": tuple(COUNTED), "missing": _MISSING},
}
_DECIDED = {
    **dict.fromkeys(("name", "text", "source", "why"), str),
    **{"verdict": tuple(COUNTED), "tasks": {...: tuple(COUNTED)}, "tests": [_TEST], "missing": _MISSING},
    **{"quantity": (DIFFERENCE, ADVANTAGE, RATIO, CORRELATION), "at_least": (float, None), "at_most": (float, None)},
}
CLAIMS_FILE = {"claims": [_DECIDED], "seeds": COUNT}

Claim = Mapping[str, Any]
Test = dict[str, Any]


def new_test(task: str | None, metric: str, title: str, **known: Any) -> Test:
    """Return a test that has no numbers yet, and `known`; without a task it is about all of them."""
    empty = dict.fromkeys(("direction", "better", "than", "than_task", "value", "interval", "p", "p_holm", "missing"))
    return {"task": task, "metric": metric, "title": title, **empty, "verdict": UNDECIDED, **known}


def untested(test: Test, reason: str, fix: str) -> Test:
    """Return the test as one that cannot be made, with reason and remedy."""
    return test | {"verdict": MISSING, "missing": {"reason": reason, "fix": fix}}


def every(verdicts: Iterable[str]) -> str:
    """Return the verdict on a statement about every one of these; of none, nothing is known."""
    found = set(verdicts)
    return next((verdict for verdict in (FAILS, MISSING, UNDECIDED, HOLDS) if verdict in found), MISSING)


def some(verdicts: Iterable[str]) -> str:
    """Return the verdict on a statement about one of these, whichever."""
    found = set(verdicts)
    return next(verdict for verdict in (HOLDS, MISSING, UNDECIDED, FAILS) if verdict in found)


def has_bounds(claim: Claim) -> bool:
    """Return whether the claim says how large its quantity is, and not only that it is above zero."""
    return claim["at_least"] is not None or claim["at_most"] is not None


def within(claim: Claim, interval: list[float]) -> str:
    """Return the verdict by a 95 % interval: holds if it is within the claim's bounds, fails if it is outside."""
    low, high = interval
    least = -float("inf") if claim["at_least"] is None else claim["at_least"]
    most = float("inf") if claim["at_most"] is None else claim["at_most"]
    if low >= least and high <= most:
        return HOLDS
    return FAILS if high < least or low > most else UNDECIDED
