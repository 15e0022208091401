"""The chitchat source on a small wheel of the real format."""

import json
import random
import zipfile

import pytest
from fdistill.data.sources import Corpus
from fdistill.data.sources.dialogue import TURN_SEPARATOR
from fdistill.data.sources.embedded import chitchat
from fdistill.runtime.errors import UserError


def conversation(*messages):
    """Blocks of one message each, from 'ann: text' lines."""
    parts = [message.split(": ", 1) for message in messages]
    return {
        "messages": [[{"text": text, "sender": who, "timestamp": ""}] for who, text in parts],
        "start": "",
    }


def wheel(folder, dataset, member=chitchat.MEMBER):
    path = folder / "chitchat.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, dataset if isinstance(dataset, str) else json.dumps(dataset))
    return {"chitchat-dataset": path}


def chatter(count, turns=6, seed=0):
    """Conversations of two speakers, every turn of six random words."""
    generator = random.Random(seed)

    def text():
        return " ".join("".join(generator.choices("abcdefgh", k=4)) for _ in range(6))

    return {f"c{n}": conversation(*(f"{'ab'[i % 2]}: {text()}" for i in range(turns))) for n in range(count)}


def select(*dialogues, **options):
    corpus = Corpus({}, "")
    named = [(f"c{number}", list(turns)) for number, turns in enumerate(dialogues)]
    kept = chitchat.select(named, chitchat.Options(**options), corpus)
    return kept, {count["step"]: (count["before"], count["after"]) for count in corpus.counts}


# ---- the whole


def test_load_splits_by_conversation(tmp_path):
    corpus = chitchat.load(
        wheel(tmp_path, chatter(40)), {"kind": "chitchat", "train_size": 50, "dev_size": 12, "test_size": 20}
    )
    groups = {name: {example.group for example in examples} for name, examples in corpus.splits.items()}
    assert {name: len(examples) for name, examples in corpus.splits.items()} == {
        "train": 50,
        "dev": 12,
        "test": 20,
    }
    assert not groups["train"] & (groups["dev"] | groups["test"]) and not groups["dev"] & groups["test"]
    assert corpus.counts[0] == {"step": "conversations: two speakers", "before": 40, "after": 40}
    assert corpus.counts[-1] == {"step": "train: sampled", "before": 200 - 15 - 20, "after": 50}
    assert len({example.id for examples in corpus.splits.values() for example in examples}) == 82


def test_load_is_deterministic(tmp_path):
    paths = wheel(tmp_path, chatter(20))
    assert chitchat.load(paths, {"dev_size": 5, "test_size": 5}) == chitchat.load(
        paths, {"dev_size": 5, "test_size": 5}
    )


def test_consecutive_messages_merge_and_the_source_ends_with_the_separator(tmp_path):
    chat = conversation("a: Hello", "a: how  are\nyou?", "b: fine", "b: ", "b: and what about you today?")
    corpus = chitchat.load(wheel(tmp_path, {"x": chat, **chatter(3)}), {"dev_size": 1, "test_size": 1})
    (example,) = [one for split in corpus.splits.values() for one in split if one.group == "x"]
    assert example.source == f"Hello how are you?{TURN_SEPARATOR}"
    assert example.references == ("fine and what about you today?",)
    assert (example.id, example.group) == ("x/1", "x")


def test_only_two_speakers(tmp_path):
    monologue = conversation("a: is anyone out there today?", "a: no one at all it seems")
    crowd = conversation("a: one two three four five", "b: one two three four six", "c: one two three four ten")
    corpus = chitchat.load(wheel(tmp_path, {"m": monologue, "c": crowd, **chatter(3)}), {"dev_size": 1, "test_size": 1})
    assert corpus.counts[0] == {"step": "conversations: two speakers", "before": 5, "after": 3}
    groups = {example.group for split in corpus.splits.values() for example in split}
    assert groups == {"c0", "c1", "c2"}


# ---- the filters


def test_lengths_of_reply():
    turns = ["hi", "one two three four", "one two three four five", " ".join("w" * 25), " ".join("w" * 26)]
    kept, counts = select(turns)
    assert [one.position for one in kept] == [2, 3]
    assert counts["reply of 5 to 25 words"] == (4, 2)


def test_context_is_the_last_turns_and_is_never_cut():
    turns = ["w " * 60, *["w " * 10] * 8]
    kept, counts = select(turns, target_words=(10, 10), context_turns=3, context_words=70)
    assert [(one.position, len(one.context)) for one in kept] == [
        (1, 1), (2, 2), (4, 3),
    ]  # fmt: skip
    assert counts["context of 70 words at most"] == (8, 7)


@pytest.mark.parametrize(
    ("turn", "step"),
    [
        ("well that is bullshit my friend", "no profanity"),
        ("Damn that is a good one", "no profanity"),
        ("go to https://example and look there", "no URL, e-mail address, handle or telephone number"),
        ("I found it on example.com last week", "no URL, e-mail address, handle or telephone number"),
        ("write to me at someone@example.org then", "no URL, e-mail address, handle or telephone number"),
        ("follow me there, I am @someone else", "no URL, e-mail address, handle or telephone number"),
        ("call me at (555) 555-0100 this evening", "no URL, e-mail address, handle or telephone number"),
        ("what do you think <3 of it", "plain text"),
        ("well asdfghjklasdfghjklasdfghjkl what is that", "plain text"),
    ],
)
def test_unfit_turns_are_dropped_as_reply_and_as_context(turn, step):
    fine = "this is a perfectly fine reply"
    kept, counts = select([fine, turn, f"{fine} too"], [fine, f"{fine} also"])
    assert [(one.conversation, one.position) for one in kept] == [("c1", 1)]
    assert [name for name, (before, after) in counts.items() if after < before] == [step]


@pytest.mark.parametrize(
    "turn",
    [
        "hello, he'll assess the class again",
        "so good... comes from a co-op, 10:30",
        'he said "no way"; I *did* (too)!',
    ],
)
def test_ordinary_turns_stay(turn):
    kept, _ = select(["hi", turn])
    assert [one.reply for one in kept] == [turn]


def test_one_reply_is_capped():
    replies = ["What are you up to?", "what are you up to", "What are you up to!!", "what are you up, to"]
    kept, counts = select(*(["hi", reply] for reply in replies), ["hi", "what are you doing now?"])
    assert [one.conversation for one in kept] == ["c0", "c1", "c2", "c4"]
    assert counts["one reply 3 times at most"] == (5, 4)


def test_drawn_out_characters():
    assert chitchat.tidy("sooooooo  good!!!!!! 1000000 . . . yes...") == "sooo good!!! 1000 . . . yes..."


# ---- bad input


def test_missing_member(tmp_path):
    with pytest.raises(UserError, match=r"chitchat\.whl: has no file 'chitchat_dataset/dataset\.json'"):
        chitchat.load(wheel(tmp_path, {}, member="other.json"), {})


def test_damaged_json(tmp_path):
    with pytest.raises(UserError, match=r"chitchat\.whl: .*dataset\.json' is not valid JSON"):
        chitchat.load(wheel(tmp_path, '{"x": '), {})


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"messages": None},
        {"messages": [[{"sender": "a"}]]},
        {"messages": [[{"sender": "a", "text": 1}]]},
        5,
    ],
)
def test_damaged_conversation_is_named(tmp_path, bad):
    with pytest.raises(UserError, match=r"conversation 'odd': no messages with 'sender' and 'text'"):
        chitchat.load(wheel(tmp_path, {"odd": bad}), {})


def test_not_a_mapping(tmp_path):
    with pytest.raises(UserError, match="not a mapping"):
        chitchat.load(wheel(tmp_path, []), {})


def test_too_few_examples(tmp_path):
    with pytest.raises(UserError, match="leave nothing to train on"):
        chitchat.load(wheel(tmp_path, chatter(2)), {"dev_size": 5, "test_size": 5})


def test_unknown_option(tmp_path):
    with pytest.raises(UserError, match=r"source\.context"):
        chitchat.load({}, {"context": 1})
