"""Chat templates: what a tokenizer's template writes around the turns of a conversation, as token ids."""

from functools import cache
from typing import Any

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from fdistill.models.language_model import end_tokens
from fdistill.models.tokenization import piece_ids
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import show

KEY, SYSTEM_KEY = "text.chat_template", "text.system_message"

# Stands for a turn while the template is rendered: no template contains it, and one that changes letters shows.
_TURN = "\ue000Turn{}\ue001"

# Some templates write today's date (`strftime_now`), with which a text's tokens would depend on the day of the job.
_DATE = "{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}"  # the date that Llama 3.2's has without a clock


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

    def closing(self) -> list[int]:
        """Return the first token behind the assistant's turn, which closes it; none if nothing stands there."""
        messages = [*self._messages([_TURN.format(0)]), {"role": "assistant", "content": _TURN.format(1)}]
        after = self._apply(messages, add_generation_prompt=False).partition(_TURN.format(1))[2].lstrip()
        return piece_ids(self._tokenizer, after, follows=True)[:1]

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

    def _around(self, turns: int) -> list[list[int]]:
        """The tokens before the first of `turns` turns, between each and the next, and after the last.

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
        pieces.append(rest)
        return [
            piece_ids(self._tokenizer, piece, follows=number > 0, precedes=number < turns)
            for number, piece in enumerate(pieces)
        ]

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
