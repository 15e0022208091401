"""Outputs of a teacher from outside as the student's tokens, with what is known of the teacher's distributions on them.

Distributions can be compared only over the same tokens. An output's log-probabilities are used if each of its tokens is
one of the student's tokenizer. They are kept as the teacher sampled them: a text that a model samples is often split
otherwise than its own tokenizer splits it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from transformers import PreTrainedTokenizerBase

from fdistill.data.limits import Limits
from fdistill.data.lines import one_line
from fdistill.data.outputs import Output
from fdistill.data.prompts import answer_blanks
from fdistill.losses.divergences import LOG_ZERO
from fdistill.models.tokenization import encode_targets, markup
from fdistill.runtime.errors import UserError

BLANK = "▁"  # Sentencepiece's mark of a word's beginning
SHOWN = 8  # tokens in a message


@dataclass(frozen=True)
class EncodedOutput:
    """An output as T token ids; `finished` says whether the last one is EOS.

    `known` are the K likeliest tokens (T, K) with their log-probabilities (T, K) in nats, None for an output without. A
    position of which nothing is known has -1 in the place of all but its own token. `log_prob` is the sum of the
    tokens' own, as far as they are known.
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
        self.compared = self.otherwise = 0  # rows with log-probabilities, and those that the tokenizer splits otherwise
        self.before = len(encode_targets(tokenizer, [""])[0]) - 1  # tokens before a text, such as BART's <s>
        self._blanks = answer_blanks(tokenizer, limits)
        self._first = ""  # of the rows that the tokenizer splits otherwise, in words
        self._no_text = markup(tokenizer)
        self._vocabulary = tokenizer.get_vocab()
        self._ids = {token: {id_} for token, id_ in self._vocabulary.items()}
        for token, id_ in self._vocabulary.items():
            if (text := self._text(token)) != token:
                self._ids.setdefault(text, set()).add(id_)
        self._ids.setdefault("", set()).update(self._no_text)  # as endpoints report the end of a text

    def encode(self, output: Output) -> list[EncodedOutput]:
        """Return each text of an output, with what the row says of distributions.

        Raises UserError, with the row, for a text longer than max_target_tokens unless `too_long` is "truncate", and
        for tokens that the tokenizer does not have or that do not spell the text.
        """
        texts = list(map(one_line, output.texts)) if self.limits.one_line_targets else output.texts
        rows = encode_targets(self.tokenizer, texts, self._blanks)
        if output.tokens is None:
            return [self._within_limits(output, tokens) for tokens in rows]
        ([text], [tokens]) = texts, rows
        before, own = tokens[: self.before], tokens[self.before :]
        sampled = self._sampled(output, text, own)
        end = [] if sampled[-1:] == own[-1:] else own[-1:]  # not every teacher reports it
        tokens = [*before, *sampled, *end]
        return [self._within_limits(output, tokens, *self._known(output, tokens, sampled))]

    def check_tokenizer(self) -> None:
        """Raise UserError if the tokenizer splits most rows with log-probabilities otherwise than they are.

        A teacher with the same tokenizer samples such rows now and then, one with another tokenizer nearly always.
        """
        if 2 * self.otherwise > self.compared:
            raise UserError(
                f"{self._first}; it splits {self.otherwise:,} of {self.compared:,} rows with log-probabilities "
                f"otherwise. If the teacher has another tokenizer, {WITHOUT_ANY}; if it has the same, leave "
                "tokens and log-probabilities out of such rows"
            )

    def _within_limits(
        self,
        output: Output,
        tokens: list[int],
        known: tuple[np.ndarray, np.ndarray] | None = None,
        log_probs: np.ndarray | None = None,
    ) -> EncodedOutput:
        """The output without EOS if it has not ended by itself, and without what is beyond the limit.

        `log_probs` (T,) are those of the T `tokens` themselves.
        """
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
        log_prob = None if log_probs is None else float(log_probs[:count].sum())
        return EncodedOutput(tokens[:count], output.finished and end <= longest, known, log_prob)

    def _sampled(self, output: Output, text: str, own: list[int]) -> list[int]:
        """The ids of an output's tokens; `own` are those that the tokenizer makes of its text, with EOS."""
        self.compared += 1
        for ids in (own, own[:-1]):
            if self._first_difference(output.tokens, ids) is None:
                return ids
        for token in output.tokens:
            if token not in self._ids:
                raise UserError(f"{output.place}: its token {token!r} {NO_TOKEN}")
        ends = output.tokens[-1:] and own[-1] in self._ids[output.tokens[-1]]
        body = output.tokens[:-1] if ends else output.tokens
        self._check_spelling(output, text, body)
        ids = [self._id(output, token, own) for token in body]
        self.otherwise += 1
        if not self._first:
            start = self._first_difference(body, own[:-1])
            of_both = self.tokenizer.convert_ids_to_tokens(own[start:-1]), body[start:]
            pieces, given = (tokens[:SHOWN] for tokens in of_both)
            self._first = (
                f"{output.place}: the student's tokenizer splits the text otherwise: from token {start + 1} on, into "
                f"{pieces}, not {given}"
            )
        return [*ids, own[-1]] if ends else ids

    def _first_difference(self, tokens: Sequence[str], ids: Sequence[int]) -> int | None:
        """The first position at which a token as a string is not the token of this id; None if all are."""
        for position, (token, id_) in enumerate(zip_longest(tokens, ids)):
            if id_ not in self._ids.get(token, ()):
                return position
        return None

    def _check_spelling(self, output: Output, text: str, tokens: list[str]) -> None:
        if (spelt := self._spelt(tokens)) == text.strip():
            return
        why = (
            f"its tokens spell {spelt[:80]!r}, not its text; give the tokens of the text, all of them, as the "
            f"student's vocabulary writes them{self._special(tokens)}, {WITHOUT}"
        )
        if one_line(spelt) == text:
            why = (
                f"its tokens have blanks or line breaks that text.one_line_targets removes; set it to false, {WITHOUT}"
            )
        raise UserError(f"{output.place}: {why}")

    def _special(self, tokens: list[str]) -> str:
        """A remedy for special tokens among `tokens`, the first of which it names; nothing without one."""
        special = [token for token in tokens if self._vocabulary.get(token) in self._no_text]
        return f", without special tokens such as {special[0]}" if special else ""

    def _id(self, output: Output, token: str, own: list[int]) -> int:
        """The id of a token as a string: of several, one that is among `own`, or is written so in the vocabulary."""
        ids = self._ids[token] - self._no_text
        written = {self._vocabulary.get(token)}
        for found in (ids & set(own), ids & written, ids):
            if len(found) == 1:
                return next(iter(found))
        raise UserError(
            f"{output.place}: its token {token!r} {'may be several' if ids else 'is a special one, and no text'} of "
            f"the student's tokenizer; write tokens as its vocabulary does, {WITHOUT}"
        )

    def _known(
        self, output: Output, tokens: list[int], sampled: list[int]
    ) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        """What is known at each of T positions: tokens (T, K) and log-probabilities (T, K), and each token's own (T,).

        `sampled` are those of the T `tokens` that the row has, which begin after `self.before` others, whose own
        log-probabilities are 0.
        """
        of_position = [self._by_id(output, mapping, id_) for mapping, id_ in zip(output.known, sampled, strict=True)]
        width = min(map(len, of_position), default=1)
        top = np.full((len(tokens), width), -1, np.int32)
        log_probs = np.full((len(tokens), width), LOG_ZERO, np.float32)
        top[:, 0], log_probs[:, 0] = tokens, 0
        own = np.zeros(len(tokens))
        for position, mapping in enumerate(of_position, start=self.before):
            likeliest = sorted(mapping.items(), key=lambda item: -item[1])[:width]
            top[position], log_probs[position] = zip(*likeliest, strict=True)
            own[position] = mapping[tokens[position]]
        return (top, log_probs), own

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

    def _spelt(self, tokens: list[str]) -> str:
        if all(token in self._vocabulary for token in tokens):
            return self.tokenizer.convert_tokens_to_string(tokens).strip()
        return "".join(tokens).strip()

    def _text(self, token: str) -> str:
        """A token of the vocabulary as the text that it stands for, as endpoints report it."""
        if token.startswith(BLANK):
            return token.replace(BLANK, " ")
        return self.tokenizer.convert_tokens_to_string([token])


WITHOUT_ANY = "set model.teacher.outputs.log_probs: false"
WITHOUT = f"or leave tokens and log-probabilities out of this row, or, for all rows, {WITHOUT_ANY}"
NO_TOKEN = (
    "is no token of the student's tokenizer; log-probabilities of another tokenizer cannot be compared: give those of "
    f"a teacher with the student's tokenizer, or {WITHOUT_ANY}"
)
