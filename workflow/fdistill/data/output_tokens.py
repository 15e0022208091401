"""Outputs of a teacher from outside as the student's tokens, with what is known of the teacher's distributions on them.

Distributions can be compared only over the same tokens. An output's log-probabilities are used if its tokens are those
that the student's tokenizer makes of its text, and refused otherwise.
"""

from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from fdistill.data.encoding import Limits
from fdistill.data.lines import one_line
from fdistill.data.outputs import Output
from fdistill.losses.divergences import LOG_ZERO
from fdistill.models.tokenization import encode_targets
from fdistill.runtime.errors import UserError

BLANK = "▁"  # Sentencepiece's mark of a word's beginning


@dataclass(frozen=True)
class EncodedOutput:
    """An output as T token ids; `finished` says whether the last one is EOS.

    `known` are the K likeliest tokens (T, K) with their log-probabilities (T, K) in nats, None for an output without. A
    position of which nothing is known has -1 in the place of all but its own token.
    """

    tokens: list[int]
    finished: bool
    known: tuple[np.ndarray, np.ndarray] | None = None
    log_prob: float | None = None


class Encoder:
    """Encodes outputs with a student's tokenizer, within `limits`."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, limits: Limits):
        self.tokenizer, self.limits = tokenizer, limits
        self.cut = 0  # outputs that were longer than max_target_tokens
        self.before = len(encode_targets(tokenizer, [""])[0]) - 1  # tokens before a text, such as BART's <s>
        self._ids = {token: {id_} for token, id_ in tokenizer.get_vocab().items()}
        for token, id_ in tokenizer.get_vocab().items():
            if (text := self._text(token)) != token:
                self._ids.setdefault(text, set()).add(id_)

    def encode(self, output: Output, with_log_probs: bool = False) -> list[EncodedOutput]:
        """Return each text of an output, `with_log_probs` with what the row says of distributions.

        Raises UserError, with the row, for a text longer than max_target_tokens unless `too_long` is "truncate", and
        for tokens that are not the tokenizer's own.
        """
        texts = list(map(one_line, output.texts)) if self.limits.one_line_targets else output.texts
        rows = encode_targets(self.tokenizer, texts)
        if not with_log_probs or output.tokens is None:
            return [self._within_limits(output, tokens) for tokens in rows]
        ([text], [tokens]) = texts, rows
        known, log_prob = self._known(output, text, tokens)
        return [self._within_limits(output, tokens, known, log_prob)]

    def _within_limits(
        self,
        output: Output,
        tokens: list[int],
        known: tuple[np.ndarray, np.ndarray] | None = None,
        log_prob: float | None = None,
    ) -> EncodedOutput:
        """The output without EOS if it has not ended by itself, and without what is beyond the limit."""
        longest, end = self.limits.max_target_tokens, len(tokens) if output.finished else len(tokens) - 1
        if end > longest:
            if self.limits.too_long == "error":
                raise UserError(
                    f"{output.place}: the output has {end} tokens, more than max_target_tokens = {longest}; raise "
                    "text.max_target_tokens in the task file or set text.too_long: truncate"
                )
            self.cut += 1
        count = min(end, longest)
        known = known and (known[0][:count], known[1][:count])
        return EncodedOutput(tokens[:count], output.finished and end <= longest, known, log_prob)

    def _known(self, output: Output, text: str, tokens: list[int]) -> tuple[tuple[np.ndarray, np.ndarray], float]:
        """What is known at each of the T positions of a text: tokens (T, K) and log-probabilities (T, K)."""
        own, given = tokens[self.before :], list(output.tokens)
        ends = len(given) == len(own) and own[-1] in self._ids.get(given[-1], ())  # the row says EOS too
        if not ends:
            own = own[:-1]
        if len(given) != len(own) or not all(
            id_ in self._ids.get(token, ()) for token, id_ in zip(given, own, strict=True)
        ):
            raise UserError(f"{output.place}: {self._difference(text, given, own)}")
        of_position = [self._by_id(output, mapping, id_) for mapping, id_ in zip(output.known, own, strict=True)]
        width = min(map(len, of_position), default=1)
        top = np.full((len(tokens), width), -1, np.int32)
        log_probs = np.full((len(tokens), width), LOG_ZERO, np.float32)
        top[:, 0], log_probs[:, 0] = tokens, 0
        for position, mapping in enumerate(of_position, start=self.before):
            likeliest = sorted(mapping.items(), key=lambda item: -item[1])[:width]
            top[position], log_probs[position] = zip(*likeliest, strict=True)
        return (top, log_probs), float(sum(mapping[id_] for mapping, id_ in zip(of_position, own, strict=True)))

    def _by_id(self, output: Output, mapping: dict[str, float], own: int) -> dict[int, float]:
        """A position's log-probabilities by token id; those whose text several tokens have belong to no one token."""
        found: dict[int, float] = {}
        for token, log_prob in mapping.items():
            ids = self._ids.get(token)
            if ids is None:
                raise UserError(f"{output.place}: {token!r} in its log-probabilities {NO_TOKEN}")
            id_ = own if own in ids and own not in found else next(iter(ids))
            if len(ids) == 1 or id_ == own:
                found.setdefault(id_, min(log_prob, 0.0))
        return found

    def _difference(self, text: str, given: list[str], own: list[int]) -> str:
        """Why the `given` tokens are not `own`, those that the tokenizer makes of the text."""
        for token in given:
            if token not in self._ids:
                return f"its token {token!r} {NO_TOKEN}"
        if (spelt := self._spelt(given)) != text.strip():
            return f"its tokens spell {spelt[:80]!r}, not its text; give the tokens of the text, all of them"
        pieces = self.tokenizer.convert_ids_to_tokens(own)
        return (
            f"the student's tokenizer splits the text otherwise, into {pieces[:8]}, not {given[:8]}; if the teacher "
            "has the same tokenizer, leave tokens and log-probabilities out of this row, otherwise set "
            "model.teacher.outputs.log_probs: false"
        )

    def _spelt(self, tokens: list[str]) -> str:
        vocabulary = self.tokenizer.get_vocab()
        if all(token in vocabulary for token in tokens):
            return self.tokenizer.convert_tokens_to_string(tokens).strip()
        return "".join(tokens).strip()

    def _text(self, token: str) -> str:
        """A token of the vocabulary as the text that it stands for, as endpoints report it."""
        if token.startswith(BLANK):
            return token.replace(BLANK, " ")
        return self.tokenizer.convert_tokens_to_string([token])


NO_TOKEN = (
    "is no token of the student's tokenizer; log-probabilities of another tokenizer cannot be compared: give those of "
    "a teacher with the student's tokenizer, or set model.teacher.outputs.log_probs: false"
)


def rectangular(encoded: EncodedOutput, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an output's distributions as a teacher cache of kind `topk` has them: tokens (T, K) and (T, K+1).

    `width` is K, at most that of `encoded.known`. A position of which nothing is known has its own token with
    probability 1, so that KL(p‖q) there is the NLL of the token. The last log-probability is that of all other tokens.
    """
    if encoded.known is None:
        top = np.full((len(encoded.tokens), width), -1, np.int32)
        log_probs = np.full((len(encoded.tokens), width), LOG_ZERO)
        top[:, 0], log_probs[:, 0] = encoded.tokens, 0
    else:
        top, log_probs = (column[:, :width].copy() for column in encoded.known)
    # Other tokens must be there, which are of probability 0 then: the lowest ids but the token's own.
    lowest = np.arange(width)
    others = np.where(lowest[None, :-1] < top[:, :1], lowest[None, :-1], lowest[None, :-1] + 1)
    empty = top[:, 1:] < 0
    top[:, 1:][empty] = others[empty]
    total = np.exp(log_probs.astype(np.float64)).sum(1)
    log_probs = log_probs - np.log(np.maximum(total, 1))[:, None]  # rounded numbers may add up to a little more than 1
    rest = 1 - total
    of_rest = np.log(np.maximum(rest, 0), out=np.full(len(rest), LOG_ZERO), where=rest > 0)
    return top, np.concatenate([log_probs, of_rest[:, None]], axis=1).astype(np.float32)
