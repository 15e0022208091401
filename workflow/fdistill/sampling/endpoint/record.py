"""The record of a file of outputs: what was asked, by whom it was answered, and what it cost."""

import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from fdistill import __version__
from fdistill.sampling.endpoint.query import Query
from fdistill.sampling.endpoint.store import AnswerStore

MILLION = 1_000_000


@dataclass(frozen=True)
class Prices:
    """Of a million tokens, in any one currency; None if it is not known."""

    input: float | None
    output: float | None

    def cost(self, store: AnswerStore) -> float | None:
        """Return what the answers in a store have cost, faulty ones included; None if that is not known."""
        if self.input is None or self.output is None or store.unmetered:
            return None
        return (self.input * store.usage["prompt_tokens"] + self.output * store.usage["completion_tokens"]) / MILLION

    def unknown(self, store: AnswerStore) -> str | None:
        """Return why the cost is not known, and what to do; None if it is known."""
        if self.input is None or self.output is None:
            return "no prices; give --input-price and --output-price and run again: nothing is asked for twice"
        if store.unmetered:
            return f"{store.unmetered} answers do not say how many tokens they took; see the endpoint's own account"
        return None


def record_of(query: Query, store: AnswerStore, prices: Prices, about: dict[str, Any]) -> dict[str, Any]:
    """Return the record; `about` is what it says of the split and of the rows in the file.

    Requests, tokens and cost are those of all runs together, also of answers that could not be used.
    """
    return {
        "endpoints": list(store.endpoints),
        "model": query.model,
        "answered_by": list(store.models),
        "query": {name: value for name, value in vars(query).items() if name != "model"},
        **about,
        "requests": store.requests,
        "retries": store.retries,
        "faults": dict(store.faults),
        **store.usage,
        "prices_per_million_tokens": vars(prices),
        "cost": prices.cost(store),
        "cost_unknown": prices.unknown(store),
        "versions": {"python": platform.python_version(), "fdistill": __version__, "httpx2": version("httpx2")},
        "began": store.began,
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
    }
