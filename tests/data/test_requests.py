"""What a model is asked: text, CSV and JSON lines."""

import pytest
from fdistill.data.requests import read_requests
from fdistill.runtime.errors import UserError


def sources(content, kind, column="source"):
    return [row[column] for row in read_requests(content.encode(), "stdin", kind, column)]


def test_a_line_of_text_is_a_source_and_a_blank_one_too():
    assert sources("a {b}\n\n c", "text") == ["a {b}", "", " c"]
    assert sources("a\r\nb\u2028c\x0bd\r\n", "text") == ["a", "b\u2028c\x0bd"]  # no other character ends a line
    assert sources("\ufeffa\n", "text") == ["a"]
    assert sources("", "text") == []


def test_rows_keep_their_other_columns():
    rows = read_requests(b'id,text\r\n1,"a, ""b""\nc"\r\n\r\n2,d\r\n', "f.csv", "csv", "text")
    assert rows == [{"id": "1", "text": 'a, "b"\nc'}, {"id": "2", "text": "d"}]
    rows = read_requests('{"source": "a", "n": [1]}\n\n{"source": "ä"}'.encode(), "f.jsonl", "jsonl")
    assert rows == [{"source": "a", "n": [1]}, {"source": "ä"}]


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"a\n\xff\n", "text", "f, line 2: not UTF-8"),
        (b"text\na\n", "csv", "f, row 1: no column 'source' \\(found: text\\); give it as --column"),
        (b"source,source\na,b\n", "csv", "column 'source' occurs twice"),
        (b"source,b\na\n", "csv", "f, line 2: has 1 fields, the header 2"),
        (b'source\n"a\nb', "csv", "f, line 3: not valid CSV"),
        (b'source\n"a"b\n', "csv", "f, line 2: not valid CSV"),
        (b"{}\nnone\n", "jsonl", "f, line 2: not valid JSON"),
        (b"[" * 100_000, "jsonl", "f, line 1: not valid JSON"),
        (b'{"a": 1' + b"0" * 6000 + b"}", "jsonl", "f, line 1: not valid JSON"),
        (b"[]\n", "jsonl", "f, line 1: not a JSON object"),
        (b'{"source": "a", "source": "b"}', "jsonl", "a key occurs twice"),
        (b'{"source": "\\ud800"}', "jsonl", "f, line 1: has half of a surrogate pair"),
        (b'{"source": 1}', "jsonl", "f, row 1: 'source' is not text"),
        (b'{"source": "a", "n": NaN}', "jsonl", "f, line 1: not valid JSON"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_place(content, kind, words):
    with pytest.raises(UserError, match=words):
        read_requests(content, "f", kind)
