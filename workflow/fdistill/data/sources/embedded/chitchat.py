"""Dialogue: the turns of a conversation so far -> the next turn.

The text is `dataset.json` in the wheel of chitchat-dataset: conversations of students who were asked to chat.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fdistill.data.archives import Archive, read_text
from fdistill.data.sources import Corpus, Example
from fdistill.data.sources.dialogue import join_turns
from fdistill.data.sources.filters import capped
from fdistill.data.sources.options import read_options
from fdistill.data.sources.splits import split_by_group
from fdistill.runtime.errors import UserError

ARCHIVES = (
    Archive(
        package="chitchat-dataset",
        version="0.9.0",
        filename="chitchat_dataset-0.9.0-py3-none-any.whl",
        sha256="7bf89f36645e2d5ec87d53370c8e851b5a688479c7beb7079cb4c87fc5acea3e",
        licence="MIT",
    ),
)
MEMBER = "chitchat_dataset/dataset.json"

REPLY_CAP = 3  # how often one reply may occur; case and punctuation do not count

PROFANITY = re.compile(
    r"\b(?:\w*fuck\w*|(?:bull)?shit\w*|(?:bull)?crap\w*|(?:dumb|bad|jack|smart)?ass(?:es|holes?)?|hell|wtf|"
    r"(?:god)?damn\w*|bitch\w*|bastards?|dicks?|piss\w*|cunts?|whores?|sluts?|fags?|faggots?|nigg(?:a|er)s?|"
    r"retard(?:s|ed)?|porn\w*|sexy\w*|horny|boobs?|tits|pussy|cocks?)\b",
    re.IGNORECASE,
)
ADDRESS = re.compile(
    r"https?:|\bwww\.|\w\.(?:com|org|net|edu|gov|io)\b|\S@\S+\.\w|\B@\w|\d{3}\)?[-. ]?\d{3}[-. ]\d{4}",
    re.IGNORECASE,
)
NOISE = re.compile(r"[^\w\s.,;:!?'\"()/$%&*+#@-]|_|\S{26}")  # code, drawings, random keys
REPEATED = re.compile(r"(\S)\1{3,}")  # "sooooo", "!!!!!!"

SPLIT_RULE = "by conversation, seeded hash"


@dataclass(frozen=True)
class Options:
    """The options of a task file's `source:`."""

    context_turns: int = 6  # at most so many turns before the reply
    context_words: int = 100  # at most so many words in those turns together
    target_words: tuple[int, int] = (5, 25)  # fewest and most words of the reply
    train_size: int | None = None  # None keeps all
    dev_size: int = 1000
    test_size: int = 2000


class Exchange(NamedTuple):
    """A reply with the turns before it."""

    conversation: str
    position: int  # index of the reply among the turns
    context: list[str]
    reply: str


def load(archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus (see `fdistill.data.sources.source_module`)."""
    chosen = read_options(Options, options)
    corpus = Corpus({}, SPLIT_RULE)
    conversations = list(read_conversations(archives["chitchat-dataset"]))
    dialogues = [(name, turns) for name, turns, speakers in conversations if speakers == 2]
    corpus.count("conversations: two speakers", len(conversations), len(dialogues))

    exchanges = select(dialogues, chosen, corpus)
    corpus.splits = split_by_group([as_example(exchange) for exchange in exchanges], chosen.dev_size, chosen.test_size)
    train = corpus.splits["train"]
    corpus.splits["train"] = train[: chosen.train_size]
    corpus.count("train: sampled", len(train), len(corpus.splits["train"]))
    return corpus


def read_conversations(wheel: Path) -> Iterator[tuple[str, list[str], int]]:
    """Yield (name, turns, number of speakers) of each conversation; a turn is one speaker's successive messages.

    Raises UserError with the conversation's name when the file does not have the format of the pinned version.
    """
    try:
        dataset = json.loads(read_text(wheel, MEMBER))
    except ValueError as error:
        raise UserError(f"{wheel}: '{MEMBER}' is not valid JSON ({error}); delete it and run again") from None
    if not isinstance(dataset, dict):
        raise UserError(f"{wheel}: '{MEMBER}' is not a mapping of conversations; delete it and run again")
    for name, conversation in dataset.items():
        try:
            messages = [message for block in conversation["messages"] for message in block]
            turns, speakers = merge([(message["sender"], tidy(message["text"])) for message in messages])
        except (AttributeError, KeyError, TypeError) as error:
            raise UserError(
                f"{wheel}: '{MEMBER}', conversation '{name}': no messages with 'sender' and 'text' "
                f"({type(error).__name__}: {error}); delete it and run again"
            ) from None
        yield name, turns, speakers


def tidy(text: str) -> str:
    """Return the text on one line with single spaces; a character repeated more than three times is cut to three."""
    return REPEATED.sub(r"\1\1\1", " ".join(text.split()))


def merge(messages: list[tuple[str, str]]) -> tuple[list[str], int]:
    """Return the turns and the number of speakers of (sender, text) messages; empty messages are ignored."""
    senders: list[str] = []
    turns: list[str] = []
    for sender, text in messages:
        if not text:
            continue
        if senders and senders[-1] == sender:
            turns[-1] += f" {text}"
        else:
            senders.append(sender)
            turns.append(text)
    return turns, len(set(senders))


def select(dialogues: list[tuple[str, list[str]]], chosen: Options, corpus: Corpus) -> list[Exchange]:
    """Return the exchanges of (name, turns) dialogues that pass every filter; `corpus` counts what each keeps."""
    exchanges = [
        Exchange(name, position, turns[max(0, position - chosen.context_turns) : position], turns[position])
        for name, turns in dialogues
        for position in range(1, len(turns))
    ]

    def keep(step: str, kept: list[Exchange]) -> None:
        nonlocal exchanges
        corpus.count(step, len(exchanges), len(kept))
        exchanges = kept

    def without(pattern: re.Pattern[str]) -> list[Exchange]:
        matches = {turn for _, turns in dialogues for turn in turns if pattern.search(turn)}
        return [e for e in exchanges if matches.isdisjoint((*e.context, e.reply))]

    low, high = chosen.target_words
    keep(f"reply of {low} to {high} words", [e for e in exchanges if low <= word_count(e.reply) <= high])
    keep(
        f"context of {chosen.context_words} words at most",
        [e for e in exchanges if sum(map(word_count, e.context)) <= chosen.context_words],
    )
    keep("no profanity", without(PROFANITY))
    keep("no URL, e-mail address, handle or telephone number", without(ADDRESS))
    keep("plain text", without(NOISE))
    keep(
        f"one reply {REPLY_CAP} times at most",
        capped(exchanges, lambda e: normalised(e.reply), REPLY_CAP),
    )
    return exchanges


def normalised(reply: str) -> str:
    """Return the reply without case and punctuation."""
    return " ".join(re.findall(r"\w+", reply.lower().replace("'", "")))


def word_count(text: str) -> int:
    """Return the number of words, split at white space."""
    return len(text.split())


def as_example(exchange: Exchange) -> Example:
    """Return the exchange as an example; its group is the conversation."""
    return Example(
        id=f"{exchange.conversation}/{exchange.position}",
        group=exchange.conversation,
        source=join_turns(exchange.context),
        references=(exchange.reply,),
    )
