"""What an endpoint is asked: the body of a request, in either of its two interfaces."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fdistill.runtime.errors import UserError

SOURCE = "{source}"  # stands for the input in a prompt


@dataclass(frozen=True)
class Api:
    """An interface of the endpoint: where it is, and how it calls what the other calls by another name."""

    path: str  # below the endpoint's address
    asked: Callable[[str, str | None], dict[str, Any]]  # from the prompt and the system's words
    log_probs: Callable[[int], dict[str, Any]]  # from the number of tokens per position
    text: Callable[[dict[str, Any]], Any]  # of a choice; None if it has none
    has_system: bool = True  # whether there is a place for the system's words


def _messages(prompt: str, system: str | None) -> dict[str, Any]:
    first = [] if system is None else [{"role": "system", "content": system}]
    return {"messages": [*first, {"role": "user", "content": prompt}]}


APIS = {
    "completions": Api(
        "completions",
        lambda prompt, _: {"prompt": prompt},
        lambda count: {"logprobs": count},
        lambda choice: choice.get("text"),
        has_system=False,
    ),
    "chat": Api(
        "chat/completions",
        _messages,
        lambda count: {"logprobs": True, "top_logprobs": count},
        lambda choice: (choice.get("message") or {}).get("content"),
    ),
}
# Keys of a request that this module sets, and one that would change the form of the answer.
OWN_KEYS = ("model", "prompt", "messages", "n", "seed", "logprobs", "top_logprobs", "stream")


@dataclass(frozen=True)
class Query:
    """What all requests of a run have in common. Its values are JSON's.

    Raises UserError for a prompt without a place for the source, for a system's words that the interface has no place
    for, or that have a place for the source themselves, for `settings` that replace what this class sets, and for what
    JSON or UTF-8 does not have.
    """

    api: str  # a key of APIS
    model: str
    prompt: str  # with SOURCE in it
    system: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)  # sent as they are: temperature, top_p, max_tokens, ...
    seed: int | None = None
    log_probs: int | None = None  # of how many tokens at each position

    def __post_init__(self):
        if SOURCE not in self.prompt:
            raise UserError(f"--prompt: has no {SOURCE}, so every request would be the same; write {SOURCE} in it")
        if self.system is not None and not APIS[self.api].has_system:
            raise UserError(f"--system: --api {self.api} has no place for it; write it into the prompt")
        if SOURCE in (self.system or ""):
            raise UserError(f"--system: has {SOURCE}, which stands for the input in the prompt only; write it there")
        if taken := [key for key in OWN_KEYS if key in self.settings]:
            raise UserError(f"--extra: {', '.join(taken)}: set by this script; use its flags, and leave it out")
        for flag, value in (("model", self.model), ("prompt", self.prompt), ("system", self.system)):
            _check_json(f"--{flag}", value)
        _check_json("--extra", self.settings)

    def body(self, source: str, count: int, first: int) -> dict[str, Any]:
        """Return the request for `count` outputs of a source; `first` is the number of those that there are already.

        Each request has a seed of its own: with the same one, an endpoint may give the same output twice.
        """
        api = APIS[self.api]
        body = {"model": self.model, **api.asked(self.prompt.replace(SOURCE, source), self.system), **self.settings}
        if count > 1:  # not every endpoint knows the key
            body["n"] = count
        if self.seed is not None:
            body["seed"] = self.seed + first
        if self.log_probs is not None:
            body |= api.log_probs(self.log_probs)
        return body

    @property
    def is_repeatable(self) -> bool:
        """Whether the same request is meant to have the same answer, so that asking again does not help."""
        return self.seed is not None or self.settings.get("temperature") == 0


def _check_json(flag: str, value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{flag}: is not UTF-8, as of a file in another encoding; convert it (iconv -f LATIN1 -t UTF-8)"
        ) from None
    except ValueError:
        raise UserError(f"{flag}: has a number that is not finite; correct it") from None
