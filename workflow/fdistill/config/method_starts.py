"""What methods start from: the untrained student, or the student of another method, which starts from a third."""

from collections.abc import Iterable, Iterator
from typing import Any

from fdistill.artifacts.systems import INIT_STUDENT  # the one start that is no method
from fdistill.runtime.validation import Problem, nearest

Methods = dict[str, dict[str, Any]]


def with_starts(names: Iterable[str], methods: Methods) -> list[str]:
    """Return the named methods and, before each, those that it starts from, each once; unknown names are left out."""
    found: dict[str, None] = {}
    for name in names:
        chain = [name]
        while (start := methods.get(chain[-1], {}).get("start")) in methods and start not in chain:
            chain.append(start)
        found |= dict.fromkeys(method for method in reversed(chain) if method in methods)
    return list(found)


def start_problems(methods: Methods) -> Iterator[Problem]:
    """Yield the starts that do not exist, and those that lead back to their method."""
    for name, method in methods.items():
        start = method.get("start", INIT_STUDENT)
        if start == INIT_STUDENT:
            continue
        if start == name:
            yield Problem((name, "start"), f"the method cannot start from itself; write start: {INIT_STUDENT}")
        elif start not in methods:
            yield Problem(
                (name, "start"),
                f"there is no method '{start}' to start from; {nearest(start, [INIT_STUDENT, *methods])}",
            )
        elif methods[(chain := with_starts([name], methods))[0]].get("start") == name:
            circle = " -> ".join([name, *reversed(chain[:-1]), name])
            text = f"the methods start from each other ({circle}); start one from {INIT_STUDENT}"
            yield Problem((name, "start"), text)
