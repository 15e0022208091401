"""Shapes of JSON: what is wrong is said with its key."""

import pytest
from fdistill.artifacts.files import read_json, read_json_lines
from fdistill.artifacts.shapes import COUNT, INTERVAL, Ascending, AtLeast, mistake, parse
from fdistill.runtime.errors import UserError

SHAPE = {
    "task": str,
    "seed": int,
    "mean": (float, None),
    "std?": AtLeast(float),
    "direction": ("higher", "lower"),
    "rows": [{"step": COUNT}],
    "seeds": {...: float},
    "range?": (INTERVAL, None),
    "speed?": Ascending(dict.fromkeys(("low", "high"), AtLeast(float, is_open=True))),
    "result?": ({"ok": {"value": float}, "more": str}, {"missing": {"reason": str}}),
}
VALUE = {"task": "t", "seed": 1, "mean": None, "direction": "lower", "rows": [{"step": 0, "more": []}], "seeds": {}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"std": 0, "mean": 1, "seeds": {"1": 2.5}, "another": {}}, None),
        ({"task": 4}, "key 'task' must be text, not 4"),
        ({"task": {"a": 1}}, "key 'task' must be text, not a mapping"),
        ({"task": "x", "seed": True}, "key 'seed' must be a whole number, not true"),
        ({"seed": 10**30}, "key 'seed' must be a whole number, not 1000000000000000000000000000000"),
        ({"mean": "1"}, "key 'mean' must be a number or null, not \"1\""),
        ({"mean": 1e300}, "key 'mean' must be a number or null, not 1e+300"),
        ({"std": -1}, "key 'std' must be a number of at least 0, not -1"),
        ({"direction": "up"}, "key 'direction' must be 'higher' or 'lower', not \"up\""),
        ({"rows": {}}, "key 'rows' must be a list, not a mapping"),
        ({"rows": [{"step": 1}, {}]}, "key 'rows[1].step' is missing"),
        ({"rows": [{"step": -1}]}, "key 'rows[0].step' must be a whole number of at least 0, not -1"),
        ({"seeds": {"1": []}}, "key 'seeds.1' must be a number, not a list"),
        ({"range": [1, 1], "speed": {"high": 2, "low": 1}, "result": {"missing": {"reason": "r"}}}, None),
        ({"range": [1]}, "key 'range' must be a list of 2 in ascending order or null, not a list"),
        ({"range": [2, 1]}, "key 'range' must be a list of 2 in ascending order or null, not a list"),
        ({"speed": {"low": 0, "high": 1}}, "key 'speed.low' must be a number above 0, not 0"),
        ({"speed": {"low": 2, "high": 1}}, "key 'speed.high' must not be below 'speed.low' (1, 2)"),
        ({"result": {}}, "key 'result.ok' is missing"),
        ({"result": {"missing": {}}}, "key 'result.missing.reason' is missing"),
        ({"result": {"ok": {"value": "x"}, "more": ""}}, "key 'result.ok.value' must be a number, not \"x\""),
        ({"result": []}, "key 'result' must be a mapping, not a list"),
    ],
)
def test_the_first_mistake_is_named_by_its_key(change, words):
    assert mistake(VALUE | change, SHAPE) == words


def test_a_key_that_may_not_be_missing():
    assert mistake({}, {"a?": str, "b": str}) == "key 'b' is missing"
    assert mistake([], {"b": str}) == "it must be a mapping, not a list"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": ' + "1" * 5000 + "}", "digits"),
        ("[1]", "it must be a mapping, not a list"),
        ("", "Expecting value"),
        ('{"a": 1, "b": 2, "a": 1}', "key 'a' occurs twice"),
        ('{"a": [{"b": {}, "b": {}}]}', "key 'b' occurs twice"),
        ("\ufeff\ufeff{}", "Unexpected UTF-8 BOM"),
    ],
)
def test_what_is_no_json_of_ours(text, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        parse(text)
    path = tmp_path / "x"
    path.write_text(text or "\n")
    for read, form in ((read_json, "valid JSON"), (read_json_lines, "one JSON object per line")):
        with pytest.raises(
            UserError, match=rf"x: not {form} \(.*{words}.*\); no record beside it says .*; give a file"
        ):
            read(path)


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    (tmp_path / "x").write_text('{"a": 1}', encoding="utf-8-sig")
    assert read_json(tmp_path / "x") == {"a": 1}


def test_many_keys_that_occur_twice_take_no_time():
    keys = [f'"{i}": 0' for i in range(200_000)]
    with pytest.raises(ValueError, match="key '199999' occurs twice"):
        parse(f"{{{', '.join([*keys, keys[-1]])}}}")
