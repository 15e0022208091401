"""Outputs of a teacher from outside: rows of both formats, the inputs that they are of, and what is refused by name."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from fdistill.data.outputs import Inputs, read_outputs
from fdistill.runtime.errors import UserError
from pyarrow import parquet

SPLIT = {"id": ["1", "2", "3"], "source": ["x", "y", "x"]}
KNOWN = {
    "id": "1",
    "text": "a b",
    "tokens": ["a", " b"],
    "log_probs": [-0.5, -0.1],
    "top_log_probs": [{"a": -0.5, "c": -2.0}, {"a": -3.0}],
}


def lines(folder, *rows):
    file = folder / "outputs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def refused(folder, row, words):
    with pytest.raises(UserError, match=words) as error:
        list(read_outputs(lines(folder, {"id": "1", "text": "a"}, row), True))
    assert "outputs.jsonl, line 2" in str(error.value)


def test_rows_of_json_lines_and_parquet_are_the_same(tmp_path):
    rows = [KNOWN | {"source": None, "finished": False}, {"source": "y", "text": ["a", "c"]}]
    pairs = pa.map_(pa.string(), pa.float64())
    types = [("id", pa.string()), ("source", pa.string()), ("text", pa.string()), ("finished", pa.bool_())]
    types += [
        ("tokens", pa.list_(pa.string())),
        ("log_probs", pa.list_(pa.float64())),
        ("top_log_probs", pa.list_(pairs)),
    ]
    first = rows[0] | {"top_log_probs": [list(mapping.items()) for mapping in KNOWN["top_log_probs"]]}
    parquet.write_table(pa.Table.from_pylist([first], pa.schema(types)), tmp_path / "outputs.parquet")
    one, two = read_outputs(lines(tmp_path, *rows), True)
    [stored] = read_outputs(str(tmp_path / "outputs.parquet"), True)
    assert one.known == [{"a": -0.5, "c": -2.0}, {"a": -3.0, " b": -0.1}] == stored.known
    assert (one.id, one.texts, one.finished, one.tokens) == ("1", ["a b"], False, ["a", " b"])
    assert (stored.id, stored.texts, stored.finished, stored.tokens) == ("1", ["a b"], False, ["a", " b"])
    assert two.source == "y" and two.texts == ["a", "c"] and two.finished and two.known is None


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"text": "a"}, "no 'id' and no 'source'"),
        ({"id": "1"}, "no 'text'"),
        ({"id": 1, "text": "a"}, "'id' is not text"),
        ({"id": "1", "text": []}, "'text' is not a text or a list of texts"),
        ({"id": "1", "text": ["a", " "]}, "'text' is blank; ask the teacher again"),
        ({"id": "1", "text": "a\0b"}, "'text' has a NUL character"),
        ({"id": "1", "text": "a", "finished": 1}, "'finished' is not true or false"),
        (KNOWN | {"tokens": None}, "no 'tokens' that they are of"),
        (KNOWN | {"text": ["a b", "c"]}, "has tokens of 2 texts; write a row per text"),
        (KNOWN | {"tokens": "ab"}, "'tokens' is not a list of texts"),
        (KNOWN | {"log_probs": [-0.5]}, "'log_probs' has 1 entries, 'tokens' 2"),
        (KNOWN | {"log_probs": -0.5}, "'log_probs' has no list, 'tokens' 2"),
        (KNOWN | {"top_log_probs": [{"a": -0.5}]}, "'top_log_probs' has 1 entries, 'tokens' 2"),
        (KNOWN | {"top_log_probs": [{"a": -0.5}, "b"]}, "'top_log_probs' is not a list of mappings"),
        (KNOWN | {"log_probs": None}, "token 2, ' b': is not in its 'top_log_probs'"),
        (KNOWN | {"log_probs": [-0.5, 0.2]}, "token 2, ' b': the log-probability of ' b' is 0.2, not a number from"),
        (KNOWN | {"log_probs": [-0.5, -1e308]}, "the log-probability of ' b' is -1e.308, not a number from -1,000,000"),
        (KNOWN | {"log_probs": [-0.5, -(10**400)]}, "the log-probability of ' b' is -1000"),
        (KNOWN | {"log_probs": [-0.5, "x"]}, "the log-probability of ' b' is 'x'"),
        (KNOWN | {"top_log_probs": [{"a": -0.5, "c": -0.5}, {}]}, "token 1, 'a': its probabilities add up to 1.213"),
        (KNOWN | {"top_log_probs": [{"a": -0.6}, {}]}, "token 1, 'a': its log-probability is -0.5 in 'log_probs', but"),
        (KNOWN | {"top_log_probs": [{"a": "x"}, {}]}, "token 1, 'a': .* but 'x' in 'top_log_probs'; correct it"),
        (KNOWN | {"log_probs": ["x", -0.1]}, "the log-probability of 'a' is 'x', not a number"),
        (KNOWN | {"top_log_probs": [[{"token": "a"}], {}]}, "'top_log_probs' is not a list of mappings"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_with_its_place(tmp_path, row, words):
    refused(tmp_path, row, words)


def test_the_entries_of_endpoints_are_mappings_too(tmp_path):
    """Their names may be those of several tokens, parts of a character, of which the likeliest counts."""
    entries = [[{"token": token, "logprob": nats, "bytes": [97]} for token, nats in top] for top in (
        [("a", -0.5), ("c", -2.0)], [("\ufffd", -1.5), ("\ufffd", -0.4), (" b", -2.0)],
    )]  # fmt: skip
    [row] = read_outputs(lines(tmp_path, KNOWN | {"top_log_probs": entries, "log_probs": [-0.5, -2.0]}), True)
    assert row.known == [{"a": -0.5, "c": -2.0}, {"\ufffd": -0.4, " b": -2.0}]
    sampled = KNOWN | {"tokens": ["a", "\ufffd"], "top_log_probs": entries, "log_probs": [-0.504, -1.5]}
    [row] = read_outputs(lines(tmp_path, sampled), True)
    assert row.known == [{"a": -0.504, "c": -2.0}, {"\ufffd": -1.5, " b": -2.0}]  # the sampled token's own
    named = [("a", -0.5), ("a", -2.0)]
    for order in (named, named[::-1]):
        top = [[{"token": token, "logprob": nats} for token, nats in order], [{"token": " b", "logprob": -0.1}]]
        for own, kept in ((-2.0, -2.0), (-0.5, -0.5), (None, -0.5)):
            row = KNOWN | {"top_log_probs": top, "log_probs": None if own is None else [own, -0.1]}
            assert next(read_outputs(lines(tmp_path, row), True)).known == [{"a": kept}, {" b": -0.1}]


def test_log_probabilities_that_are_not_used_are_not_checked(tmp_path):
    for wrong in ({"log_probs": [0.5, "x"]}, {"tokens": None}, {"text": ["a", "b"]}, {"top_log_probs": "a"}):
        [output] = read_outputs(lines(tmp_path, KNOWN | wrong), False)
        assert output.tokens is None and output.known is None


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"no such file; correct model\.teacher\.outputs"):
        list(read_outputs(str(tmp_path / "none.jsonl"), True))
    with pytest.raises(UserError, match="has no rows"):
        list(read_outputs(lines(tmp_path), True))
    (tmp_path / "outputs.jsonl").write_text('{"id": "1", "text": "a"}\n{"id": "2", "te')
    with pytest.raises(UserError, match=r"outputs\.jsonl, line 2"):
        list(read_outputs(str(tmp_path / "outputs.jsonl"), True))


def test_inputs_are_found_by_id_and_by_source(tmp_path):
    inputs = Inputs(SPLIT, [0, 1], Path("train.parquet"))
    by_id, by_source, beyond = read_outputs(
        lines(tmp_path, {"id": "2", "text": "a"}, {"source": "x", "text": "a"}, {"id": "3", "text": "a"}), True
    )
    assert inputs.of(by_id) == ["2"] and inputs.of(by_source) == ["1"] and inputs.of(beyond) == []
    assert Inputs(SPLIT, [0, 1, 2], Path("train.parquet")).of(by_source) == ["1", "3"]
    inputs.check_complete(tmp_path, {"1": 1, "2": 1})
    with pytest.raises(UserError, match=r"has no output for 1 of 2 inputs \('1'\) of train\.parquet"):
        inputs.check_complete(tmp_path, {"2": 1})


def test_an_id_whose_source_is_another_one_is_refused(tmp_path):
    """Ids may be places in a file whose rows have been moved since the outputs were made."""
    good, moved = read_outputs(
        lines(tmp_path, {"id": "1", "source": "x", "text": "a"}, {"id": "2", "source": "x", "text": "a"}), True
    )
    inputs = Inputs(SPLIT, [0, 1], Path("train.parquet"))
    assert inputs.of(good) == ["1"]
    with pytest.raises(UserError, match=r"line 2: is an output for 'x', but the input '2' of train\.parquet is 'y'"):
        inputs.of(moved)


@pytest.mark.parametrize("row", [{"id": "9", "text": "a"}, {"source": "z", "text": "a"}])
def test_an_output_of_an_unknown_input_is_refused(tmp_path, row):
    [output] = read_outputs(lines(tmp_path, row), True)
    with pytest.raises(UserError, match=r"line 1: train\.parquet has no input with the (id '9'|source 'z'); remove"):
        Inputs(SPLIT, [0], Path("train.parquet")).of(output)
