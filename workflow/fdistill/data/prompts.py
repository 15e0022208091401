"""Prompts: what a model reads of a source, as token ids, the same in training, sampling and evaluation.

A prompt is the source's own tokens with others around them: special tokens, a separator behind the source, or what a
chat template writes. A prompt that is too long loses tokens of the source alone, to which the task's prefix belongs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

from transformers import PreTrainedTokenizerBase

from fdistill.data.limits import Limits
from fdistill.models.chat_template import ChatTemplate
from fdistill.models.tokenization import around, continues_source, piece_ids, text_ids
from fdistill.runtime.errors import UserError


@dataclass(frozen=True)
class Prompt:
    """The tokens of a prompt within `max_source_tokens`, and how many they were before it was cut."""

    tokens: list[int]
    length: int


def encode_prompts(sources: Sequence[str], tokenizer: PreTrainedTokenizerBase, limits: Limits) -> list[Prompt]:
    """Return the prompts of source texts.

    A long source is cut at its end, but that of a decoder-only model at its beginning. In a chat, whole turns go first,
    the oldest of them.
    Raises UserError for a chat template that cannot be used (see `ChatTemplate`), and when what stands around a source
    leaves no token for it.
    """
    texts = [limits.source_prefix + source for source in sources]
    cuts_beginning = continues_source(tokenizer)
    closing = piece_ids(tokenizer, limits.suffix(continues=cuts_beginning), follows=True)
    if limits.chat_template:
        return _chats(texts, tokenizer, limits, closing)
    before, after = around(tokenizer)
    cut = partial(_prompt, before, after=[*closing, *after], limit=limits.max_source_tokens)
    return [cut(body, cuts_beginning=cuts_beginning) for body in _bodies(texts, tokenizer, limits.turn_separator)]


def _bodies(texts: list[str], tokenizer: PreTrainedTokenizerBase, separator: str | None) -> Iterable[list[int]]:
    """The token ids of texts; a `separator` in them becomes the special token of this name, if there is one."""
    if separator not in tokenizer.all_special_tokens:
        return text_ids(tokenizer, texts)
    between = [tokenizer.convert_tokens_to_ids(separator)]
    turns = _of_rows([text.split(separator) for text in texts], tokenizer)
    return ([*row[0], *chain(*([*between, *turn] for turn in row[1:]))] for row in turns)


def _chats(texts: list[str], tokenizer: PreTrainedTokenizerBase, limits: Limits, closing: list[int]) -> list[Prompt]:
    """The prompts of texts as chats: a turn of a dialogue is a message, and so is a text without turns."""
    chat = ChatTemplate(tokenizer, limits.system_message)
    chat.check_end()
    turns = [_turns(text, limits.turn_separator) for text in texts]
    if chat.trims:
        turns = [[turn.strip() for turn in row] for row in turns]
    prompts = []
    for number, row in enumerate(_of_rows(turns, tokenizer), start=1):
        try:
            prompts.append(_chat(row, chat, limits.max_source_tokens, closing))
        except UserError as error:  # of its number of turns, or of its length
            raise UserError(f"source {number} ({len(row)} turns): {error}") from None
    return prompts


def _chat(turns: list[list[int]], chat: ChatTemplate, limit: int, closing: list[int]) -> Prompt:
    """The prompt of turns as token ids, without the oldest if they are too many tokens, and without those of the last.

    Conversations that the template does not accept, such as those that the assistant begins, are passed over.
    """
    turns = [*turns[:-1], [*turns[-1], *closing]]
    length = _length(chat.around(len(turns)), turns)
    kept = turns
    while len(kept) > 1 and not (chat.accepts(len(kept)) and _length(chat.around(len(kept)), kept) <= limit):
        kept = kept[1:]
    first, *later = chat.around(len(kept))
    if len(kept) > 1:
        return Prompt([*first, *chain(*(chain(*pair) for pair in zip(kept, later, strict=True)))], length)
    own = kept[0][: len(kept[0]) - len(closing)]
    return Prompt(_prompt(first, own, [*closing, *later[0]], limit, cuts_beginning=True).tokens, length)


def _length(around: list[list[int]], turns: list[list[int]]) -> int:
    return sum(map(len, around)) + sum(map(len, turns))


def _turns(text: str, separator: str | None) -> list[str]:
    """The turns of a dialogue; a separator behind the last one begins none."""
    turns = [text] if separator is None else text.split(separator)
    return turns[:-1] if len(turns) > 1 and not turns[-1].strip() else turns


def _of_rows(rows: list[list[str]], tokenizer: PreTrainedTokenizerBase) -> list[list[list[int]]]:
    """The token ids of each text in each row."""
    encoded = iter(text_ids(tokenizer, list(chain(*rows))))
    return [[next(encoded) for _ in row] for row in rows]


def _prompt(before: list[int], body: list[int], after: list[int], limit: int, cuts_beginning: bool) -> Prompt:
    """The prompt of a source with the tokens `body`, without those beyond `limit`."""
    length, room = len(before) + len(body) + len(after), limit - len(before) - len(after)
    if length > limit:
        if room < 1:
            raise UserError(
                f"text.max_source_tokens: {limit} tokens leave no room for a source, around which stand {limit - room} "
                "tokens; raise it in the task file"
            )
        body = body[-room:] if cuts_beginning else body[:room]
    return Prompt([*before, *body, *after], length)
