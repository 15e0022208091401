"""Inference for sources that come one after the other."""

import logging

import tiny
from fdistill.data.limits import Limits
from fdistill.sampling import inference
from fdistill.sampling.inference import Answer, infer
from fdistill.sampling.offline import generate_texts

DECODING = {"max_new_tokens": 6, "num_beams": 2}


def answers(sources, batch_size=3, **limits):
    made = tiny.checkpoint("bart", seed=1)
    bounds = Limits(limits.pop("longest", 16), 6, "truncate", **limits)
    return list(infer(made, sources, bounds, DECODING, batch_size, seed=1))


def test_outputs_are_those_of_a_test_split_in_the_order_of_the_sources(monkeypatch):
    monkeypatch.setattr(inference, "WINDOW", 4)
    sources = [" ".join(tiny.LETTERS[: 1 + i % 7]) for i in range(10)]
    made = tiny.checkpoint("bart", seed=1)
    rows = made.tokenizer(sources).input_ids
    expected = generate_texts(made.model, made.tokenizer, rows, DECODING, 10, seed=1)
    found = answers(sources)
    assert [answer.output for answer in found] == expected["hypothesis"]
    assert [answer.finished for answer in found] == expected["finished"]
    assert len({answer.output for answer in found}) > 3


def test_empty_sources_have_empty_outputs_and_the_log_counts_them(caplog):
    with caplog.at_level(logging.INFO):
        first, *blank, last = answers(["a b", "", " \t", "a b"])
    assert first == last and first.output and blank == [Answer(), Answer()]
    assert "2 of 4 sources are empty, and so are their outputs" in caplog.messages
    assert "outputs 2/2 (100 %)" in caplog.text


def test_a_stream_is_read_as_far_as_its_answers_are_taken(caplog, monkeypatch):
    monkeypatch.setattr(inference, "WINDOW", 2)
    monkeypatch.setattr("fdistill.runtime.progress.LOG_INTERVAL", 0)
    read = []
    stream = (read.append(source) or source for source in ["a b", "c", "d", "", "e"])
    limits = Limits(16, 6, "truncate")
    made = infer(tiny.checkpoint("bart", seed=1), stream, limits, DECODING, 2, seed=1)
    with caplog.at_level(logging.INFO):
        first = next(made)
        assert len(read) == 2
        assert [first, *made] == answers(["a b", "c", "d", "", "e"], batch_size=2)
    assert "1 of 5 sources are empty, and so are their outputs" in caplog.messages
    assert any(message.startswith("outputs 4  ") and "ETA" not in message for message in caplog.messages)


def test_only_empty_sources():
    assert answers(["", ""]) == [Answer(), Answer()]
    assert answers([]) == []


def test_long_sources_are_cut_and_counted_once(caplog, monkeypatch):
    monkeypatch.setattr(inference, "WINDOW", 2)
    with caplog.at_level(logging.INFO):
        found = answers(["a b", "a b c d e f", "a b c", "a b c d"], longest=4)
    assert [answer.truncated for answer in found] == [False, True, False, True]
    assert [message for message in caplog.messages if " cut " in message] == ["2 of 4 sources were cut to 4 tokens"]


def test_the_prefix_comes_before_every_source():
    assert answers(["c d"], source_prefix="a b ")[0] == answers(["a b c d"])[0] != answers(["c d"])[0]
