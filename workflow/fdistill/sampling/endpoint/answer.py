"""What an endpoint answers: outputs as rows of the file, or the fault that the answer has."""

import json
from dataclasses import dataclass
from typing import Any

from fdistill.artifacts.shapes import COUNT, Shape, mistake
from fdistill.data.outputs import LEAST, by_token, output_of
from fdistill.data.sources.files.rows import Row
from fdistill.runtime.errors import UserError
from fdistill.sampling.endpoint.faults import Fault, Then, shortened
from fdistill.sampling.endpoint.query import APIS, Query

FILTER = "content_filter"  # why the endpoint withholds an output
# Why an output ended by itself, in the words of several servers; any other reason is that it was cut.
ENDED = ("stop", "eos", "eos_token", "end_turn", "stop_sequence")
CUT = "length"  # why an output ended at --max-tokens
UNLIKELY = -9999.0  # nats; the log-probability that endpoints give to what has none, in JSON without infinity
USAGE: Shape = {"prompt_tokens": COUNT, "completion_tokens": COUNT}


@dataclass(frozen=True)
class Answer:
    """The usable outputs of an answer: `text`, `finished` and, if asked for, `tokens` with their log-probabilities."""

    outputs: list[dict[str, Any]]
    model: str | None  # as the endpoint calls it
    usage: dict[str, int] | None  # prompt_tokens and completion_tokens; None if the endpoint does not count


def read_answer(text: str, query: Query, has_worked: bool) -> Answer:
    """Return the content of an answer; raises Fault when no output in it can be used.

    Without log-probabilities that were asked for, one row's answer is at fault if the endpoint `has_worked` before, and
    the endpoint itself otherwise.
    """
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
            outputs.append(_output(choice, query, has_worked))
        except Fault as fault:
            faults.append(fault)
    if not outputs:
        faults[0].usage = usage
        raise faults[0]
    model = content.get("model")
    return Answer(outputs, shortened(model) if isinstance(model, str) else None, usage)


def _output(choice: Any, query: Query, has_worked: bool) -> dict[str, Any]:
    """Return one choice as a row; raises Fault."""
    otherwise = Then.NEXT if query.is_repeatable else Then.AGAIN
    try:
        text, reason = APIS[query.api].text(choice), choice.get("finish_reason")
    except AttributeError:
        raise Fault("no choices", shortened(json.dumps(choice)), Then.AGAIN) from None
    if reason == FILTER:
        raise Fault("content filter", "the endpoint withholds the output", otherwise, is_of_row=True)
    if not isinstance(text, str) or not text.strip():
        remedy = "; raise --max-tokens: what a model thinks before it answers counts too" if reason == CUT else ""
        said = f"finish_reason is {shortened(json.dumps(reason))}{remedy}"
        raise Fault("empty text", said, otherwise, is_of_row=True)
    output = {"text": text, "finished": reason in ENDED}
    if query.log_probs is not None:
        output |= _log_probs(choice.get("logprobs"), otherwise if has_worked else Then.STOP)
    try:
        json.dumps(output, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Fault("broken text", "has half of a surrogate pair, no character", otherwise, is_of_row=True) from None
    if "\0" in text:
        raise Fault("broken text", "has a NUL character, which no text has", otherwise, is_of_row=True)
    try:
        output_of(Row("the answer", {"id": "", **output}))  # what a task would refuse is not kept
    except UserError as error:
        raise Fault("wrong log-probabilities", shortened(str(error)), otherwise, is_of_row=True) from None
    return output


def _log_probs(found: Any, otherwise: Then) -> dict[str, list]:
    """Return a choice's columns of log-probabilities; raises Fault, after which follows `otherwise`."""
    is_of_row = otherwise is not Then.STOP
    if not found:
        not_offered = "the endpoint or its model does not offer log-probabilities; leave out --log-probs"
        said = "the answer has none" if is_of_row else not_offered
        raise Fault("no log-probabilities", said, otherwise, is_of_row=is_of_row)
    try:
        if "content" in found:  # in chats, and in some servers' completions
            return _columns(*_lists_of(found["content"]))
        return _columns(found["tokens"], found["token_logprobs"], found["top_logprobs"])
    except (KeyError, TypeError, ValueError, AttributeError):
        said = f"in no known form: {shortened(json.dumps(found))}"
        raise Fault("no log-probabilities", said, otherwise, is_of_row=is_of_row) from None


def _lists_of(positions: list[dict[str, Any]]) -> tuple[list, list, list]:
    """Return the parallel lists of log-probabilities that list each position, as those of chats do."""
    return tuple([position[key] for position in positions] for key in ("token", "logprob", "top_logprobs"))


def _columns(tokens: list[str], log_probs: list[float], tops: list) -> dict[str, list]:
    """Return the columns; the sampled token's log-probability is its own also where others have its name."""
    log_probs = list(map(_nats, log_probs))
    known = [{token: _nats(value) for token, value in by_token(top).items()} for top in tops]
    for token, log_prob, mapping in zip(tokens, log_probs, known, strict=True):
        if token in mapping:
            mapping[token] = log_prob
    return {"tokens": tokens, "log_probs": log_probs, "top_log_probs": known}


def _nats(value: float) -> float:
    """Return a log-probability as a file of outputs may have it: JSON has no infinity."""
    return UNLIKELY if value < LEAST else value


def _usage(found: Any) -> dict[str, int] | None:
    return {key: found[key] for key in USAGE} if mistake(found, USAGE) is None else None
