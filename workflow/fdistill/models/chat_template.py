"""Chat templates: what a tokenizer's template writes around the turns of a conversation, as token ids."""

import os
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from fdistill.models.language_model import end_tokens
from fdistill.models.tokenization import blanks_of_text, piece_ids, text_ids
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import show

KEY, SYSTEM_KEY = "text.chat_template", "text.system_message"

# Stands for a turn while the template is rendered: no template contains it, and one that changes letters shows.
_TURN = "\ue000Turn{}\ue001"

# Some templates write today's date (`strftime_now`), with which a text's tokens would depend on the day of the job.
_DATE = "{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}"  # the date that Llama 3.2's has without a clock


@dataclass(frozen=True)
class Around:
    """What a template writes around n turns: n + 1 pieces, as texts and as token ids.

    `blanks` (n) stand at the ends of the texts, but their tokens are those of the turns behind them (see
    `blanks_of_text`).
    """

    texts: list[str]
    blanks: list[str]
    tokens: list[list[int]]


class ChatTemplate:
    """A tokenizer's chat template with a system message; None leaves the template its own, if it has one.

    The last turn of a conversation is the user's, those before are the assistant's and the user's in alternation.
    `trims` says whether the template removes blanks around a turn.
    Raises UserError for a template that is missing or raises, that changes the turns' texts, or that does not write the
    system message.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, system_message: str | None = None):
        self._tokenizer, self._system_message = tokenizer, system_message
        self._name = tokenizer.name_or_path or "the model"
        try:
            template = tokenizer.get_chat_template()
        except ValueError:
            raise UserError(
                f"{KEY}: the tokenizer of {self._name} has no chat template; set it to false and write what separates "
                "source and target into text.source_prefix and text.source_suffix, or give a model that was trained "
                "to chat"
            ) from None
        self._template = (_DATE if "strftime_now" in template else "") + template
        if system_message is not None:
            self._check_system_message(system_message)
        self.trims = self._rendered(1) == self._rendered(1, " {} ")
        self.around = cache(self._around)
        self.around(1)

    def accepts(self, turns: int) -> bool:
        """Return whether the template can write a conversation of that many turns: some let only a user begin."""
        try:
            self.around(turns)
        except UserError:
            return False
        return True

    def turn_ids(self, turns: list[str]) -> list[list[int]]:
        """Return the token ids of the turns of a conversation, each with the blanks before it that are its."""
        blanks = self.around(len(turns)).blanks
        return text_ids(self._tokenizer, [before + turn for before, turn in zip(blanks, turns, strict=True)])

    def written(self, turns: list[str]) -> str:
        """Return a conversation as the template writes it, up to where the assistant begins.

        Raises UserError if other words stand around these turns than around others of that number.
        """
        texts = self.around(len(turns)).texts
        expected = "".join(chain(*zip(texts, turns, strict=False), texts[-1:]))
        written = self._apply(self._messages(turns), add_generation_prompt=True)
        if written.split() != expected.split():
            start = len(os.path.commonprefix([written, expected]))  # noqa: RUF071 - of characters, as texts are
            raise UserError(
                f"{KEY}: the chat template of {self._name} changes a turn, or writes other words around it than around "
                f"others, from {show(written[start:])} on; set it to false, or leave such texts out"
            )
        return written

    def closing(self) -> list[int]:
        """Return the first token behind the assistant's turn, which closes it; none if nothing stands there."""
        return piece_ids(self._tokenizer, self._around_answer()[1].lstrip(), follows=True)[:1]

    def blanks_of_answer(self) -> str:
        """Return the blanks between where the assistant begins and its turn that are the turn's, as those of others."""
        before = self._around_answer()[0]
        blanks = blanks_of_text(self._tokenizer, before)
        return blanks if before == self._rendered(1) + blanks else ""

    def _around_answer(self) -> tuple[str, str]:
        """What the template writes before and after the assistant's turn that answers the user's."""
        messages = [*self._messages([_TURN.format(0)]), {"role": "assistant", "content": _TURN.format(1)}]
        before, _, after = self._apply(messages, add_generation_prompt=False).partition(_TURN.format(1))
        return before, after

    def check_end(self) -> None:
        """Raise UserError unless the token with which the template closes the assistant's turn is EOS."""
        if (closing := self.closing()) != [self._tokenizer.eos_token_id]:
            (token,) = self._tokenizer.convert_ids_to_tokens(closing) or ["no token"]
            raise UserError(
                f"{KEY}: the chat template of {self._name} closes the assistant's turn with {token}, which does not "
                f"end a text of the model; EOS is {self._tokenizer.eos_token}. Set eos_token in a copy's "
                "tokenizer_config.json, and eos_token_id in its config.json, to the former, or set "
                "text.chat_template to false"
            )

    def _around(self, turns: int) -> Around:
        """What stands before the first of `turns` turns, between each and the next, and after the last.

        Raises UserError for a conversation that the template refuses, or whose turns' texts it changes.
        """
        rest, pieces = self._rendered(turns), []
        for number in range(turns):
            piece, found, rest = rest.partition(_TURN.format(number))
            if not found or _TURN.format(number) in rest:
                raise UserError(
                    f"{KEY}: the chat template of {self._name} does not write turn {number + 1} of {turns} once and "
                    "unchanged, so that it cannot be told from the text; set it to false and write what separates "
                    "source and target into text.source_prefix and text.source_suffix"
                )
            pieces.append(piece)
        blanks = [blanks_of_text(self._tokenizer, piece) for piece in pieces]
        tokens = [
            piece_ids(self._tokenizer, piece.removesuffix(own), follows=number > 0, precedes=not own)
            for number, (piece, own) in enumerate(zip(pieces, blanks, strict=True))
        ]
        return Around([*pieces, rest], blanks, [*tokens, piece_ids(self._tokenizer, rest, follows=True)])

    def _rendered(self, turns: int, form: str = "{}") -> str:
        """A conversation of that many turns, each of which `_TURN` stands for, up to where the assistant begins."""
        messages = self._messages([form.format(_TURN.format(number)) for number in range(turns)])
        return self._apply(messages, add_generation_prompt=True)

    def _messages(self, turns: list[str]) -> list[dict[str, str]]:
        roles = ["user" if number % 2 == len(turns) % 2 else "assistant" for number in range(1, len(turns) + 1)]
        messages = [{"role": role, "content": turn} for role, turn in zip(roles, turns, strict=True)]
        if self._system_message is None:
            return messages
        return [{"role": "system", "content": self._system_message}, *messages]

    def _check_system_message(self, message: str) -> None:
        """Raise UserError if the template refuses a system message or leaves it out."""
        remedy = "remove it, or write it into text.source_prefix"
        self._system_message = _TURN.format("s")
        try:
            written = self._rendered(1)
        except UserError as error:
            raise UserError(f"{SYSTEM_KEY}: not with this model; {remedy} ({error})") from None
        if self._system_message not in written:
            raise UserError(
                f"{SYSTEM_KEY}: the chat template of {self._name} does not write a system message; {remedy}"
            )
        self._system_message = message

    def _apply(self, messages: list[dict[str, str]], **options: Any) -> str:
        try:
            return self._tokenizer.apply_chat_template(
                messages, chat_template=self._template, tokenize=False, **options
            )
        except Exception as error:  # a template is a program: errors of Jinja, of Python, and those that it raises
            roles = ", ".join(message["role"] for message in messages)
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"{KEY}: the chat template of {self._name} cannot write a conversation of {roles} ({show(reason)}); "
                "set it to false, or give turns that it accepts"
            ) from None


def end_with_turn(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> None:
    """Make the token that closes the assistant's turn EOS, if it is one of those that end the model's texts.

    EOS of Gemma and Phi-3 is the token that ends a text of their pre-training, and answers end with another. Raises
    UserError as `ChatTemplate` does.
    """
    closing, ends = ChatTemplate(tokenizer).closing(), end_tokens(config)
    if closing and closing[0] in ends:
        config.eos_token_id = [*closing, *(token for token in ends if token not in closing)]
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(closing)[0]
