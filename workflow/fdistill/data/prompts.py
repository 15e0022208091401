"""Prompts: what a model reads of a source, as token ids, the same in training, sampling and evaluation.

A prompt is the source's own tokens with others around them: special tokens, a separator behind the source, or what a
chat template writes. A prompt that is too long loses tokens of the source alone, to which the task's prefix belongs.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, zip_longest

from transformers import PreTrainedTokenizerBase

from fdistill.data.limits import Limits
from fdistill.models.chat_template import ChatTemplate
from fdistill.models.tokenization import around, continues_source, piece_ids, text_ids
from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)

SHOWN = 5  # tokens in a message


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


def answer_blanks(tokenizer: PreTrainedTokenizerBase, limits: Limits) -> str:
    """Return the blanks before every target that are tokens with its first word: a chat template may write them.

    Raises UserError as `ChatTemplate` does.
    """
    return ChatTemplate(tokenizer, limits.system_message).blanks_of_answer() if limits.chat_template else ""


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
    for number, row in enumerate(turns, start=1):
        try:
            prompts.append(_chat(row, chat, limits.max_source_tokens, closing))
        except UserError as error:  # of its turns, or of its length
            raise UserError(f"source {number} ({len(row)} turns): {error}") from None
    if turns and not closing and len(prompts[0].tokens) == prompts[0].length:
        _compare(prompts[0].tokens, chat.written(turns[0]), tokenizer)
    return prompts


def _chat(turns: list[str], chat: ChatTemplate, limit: int, closing: list[int]) -> Prompt:
    """The prompt of turns, without the oldest if they are too many tokens, and without tokens of the last.

    Conversations that the template does not accept, such as those that the assistant begins, are passed over.
    """
    (first, *later), own = chat.around(len(turns)).tokens, chat.turn_ids(turns)
    if len(turns) == 1:
        chat.written(turns)
        return _prompt(first, own[0], [*closing, *later[0]], limit, cuts_beginning=True)
    own[-1] += closing
    tokens = [*first, *chain(*(chain(*pair) for pair in zip(own, later, strict=True)))]
    if len(tokens) <= limit:
        chat.written(turns)
        return Prompt(tokens, len(tokens))
    dropped = next(count for count in range(1, len(turns)) if chat.accepts(len(turns) - count))
    return Prompt(_chat(turns[dropped:], chat, limit, closing).tokens, len(tokens))


def _compare(tokens: list[int], written: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Log a warning if the tokens of a prompt are not those of its text, as where a tokenizer marks a text's beginning.

    Special tokens that are spelt out in a source are another matter: they stay text.
    """
    own = tokenizer(written, add_special_tokens=False).input_ids
    special = set(tokenizer.all_special_ids)
    if tokens == own or [t for t in tokens if t in special] != [t for t in own if t in special]:
        return
    place = next(n for n, pair in enumerate(zip_longest(tokens, own)) if len(set(pair)) == 2)
    here, there = (tokenizer.convert_ids_to_tokens(ids[place : place + SHOWN]) for ids in (tokens, own))
    log.warning(
        "the first source's prompt has other tokens than apply_chat_template gives, from token %d on %s, not %s: a "
        "model that was trained on the latter may answer less well",
        *(place + 1, here, there),
    )


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
