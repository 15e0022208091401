"""What an endpoint answers: outputs as rows of the file, or the fault that the answer has."""

import json
import math
from dataclasses import dataclass
from typing import Any

from fdistill.sampling.endpoint.faults import Fault, Then, shortened
from fdistill.sampling.endpoint.query import APIS, Query

FILTER = "content_filter"  # why the endpoint withholds an output
# Why an output ended by itself, in the words of several servers; any other reason is that it was cut.
ENDED = ("stop", "eos", "eos_token", "end_turn", "stop_sequence")
UNLIKELY = -9999.0  # nats; the log-probability that endpoints give to what has none, in JSON without infinity


@dataclass(frozen=True)
class Answer:
    """The usable outputs of an answer: `text`, `finished` and, if asked for, `tokens` with their log-probabilities."""

    outputs: list[dict[str, Any]]
    model: str | None  # as the endpoint calls it
    usage: dict[str, int] | None  # prompt_tokens and completion_tokens; None if the endpoint does not count


def read_answer(text: str, query: Query) -> Answer:
    """Return the content of an answer; raises Fault when no output in it can be used."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise Fault("no JSON", shortened(text), Then.AGAIN) from None
    choices = content.get("choices") if isinstance(content, dict) else None
    if not isinstance(choices, list) or not choices:
        raise Fault("no choices", shortened(text), Then.AGAIN)
    usage = _usage(content.get("usage"))
    outputs, faults = [], []
    for choice in choices:
        try:
            outputs.append(_output(choice, query))
        except Fault as fault:
            faults.append(fault)
    if not outputs:
        faults[0].usage = usage
        raise faults[0]
    model = content.get("model")
    return Answer(outputs, model if isinstance(model, str) else None, usage)


def _output(choice: Any, query: Query) -> dict[str, Any]:
    """Return one choice as a row; raises Fault."""
    otherwise = Then.NEXT if query.is_repeatable else Then.AGAIN
    try:
        text, reason = APIS[query.api].text(choice), choice.get("finish_reason")
    except AttributeError:
        raise Fault("no choices", shortened(json.dumps(choice)), Then.AGAIN) from None
    if reason == FILTER:
        raise Fault("content filter", "the endpoint withholds the output", otherwise, is_answer=True)
    if not isinstance(text, str) or not text.strip():
        raise Fault("empty text", f"finish_reason is {json.dumps(reason)}", otherwise, is_answer=True)
    output = {"text": text, "finished": reason in ENDED}
    if query.log_probs is None:
        return output
    if not (found := choice.get("logprobs")):
        said = "the endpoint or its model does not offer log-probabilities; leave out --log-probs"
        raise Fault("no log-probabilities", said, Then.STOP)
    try:
        return output | (_of_chat(found["content"]) if "content" in found else _of_completions(found))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Fault("no log-probabilities", f"in no known form: {shortened(json.dumps(found))}", Then.STOP) from None


def _of_chat(positions: list[dict[str, Any]]) -> dict[str, list]:
    """Return the columns of log-probabilities that list each position; some servers' completions have them too."""
    return {
        "tokens": [position["token"] for position in positions],
        "log_probs": [_nats(position["logprob"]) for position in positions],
        "top_log_probs": [
            _by_token([(top["token"], top["logprob"]) for top in position["top_logprobs"]]) for position in positions
        ],
    }


def _of_completions(found: dict[str, list]) -> dict[str, list]:
    """Return the columns of log-probabilities that lie in parallel lists."""
    columns = {
        "tokens": list(found["tokens"]),
        "log_probs": list(map(_nats, found["token_logprobs"])),
        "top_log_probs": [_by_token(list(top.items())) for top in found["top_logprobs"]],
    }
    if len(set(map(len, columns.values()))) > 1:
        raise ValueError("lists of different lengths")
    return columns


def _by_token(pairs: list[tuple[str, float]]) -> dict[str, float]:
    """Return log-probabilities by token, the likeliest first, also of tokens with one name, as parts of a character."""
    found: dict[str, float] = {}
    for token, value in sorted(pairs, key=lambda pair: -_nats(pair[1])):
        found.setdefault(token, _nats(value))
    return found


def _nats(value: Any) -> float:
    return float(value) if math.isfinite(value) else UNLIKELY


def _usage(found: Any) -> dict[str, int] | None:
    counts = {key: (found or {}).get(key) for key in ("prompt_tokens", "completion_tokens")}
    return counts if all(isinstance(count, int) for count in counts.values()) else None
