"""What a model is asked: the formats of a study, from a file and from the standard input."""

import datetime
import decimal
import io
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fdistill.data.requests import FORMATS, format_of, read_requests
from fdistill.data.sources.files.identification import STDIN
from fdistill.runtime.errors import UserError


@pytest.fixture(params=["file", "stdin"])
def requests(request, tmp_path, monkeypatch):
    """Read content from a file whose name says nothing of its format, and from the standard input."""

    def read(content, kind, column=None):
        if request.param == "stdin":
            monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))
            return list(read_requests(STDIN, kind, column))
        path = tmp_path / "f"
        path.write_bytes(content)
        return list(read_requests(path, kind, column))

    return read


def test_a_line_of_text_is_a_source_and_a_blank_one_too(requests):
    def sources(text):
        return [row["source"] for row in requests(text.encode(), "text")]

    assert sources("a {b}\n\n c") == ["a {b}", "", " c"]
    assert sources("a\r\nb\u2028c\x0bd\r\n") == ["a", "b\u2028c\x0bd"]  # no other character ends a line
    assert sources("\ufeffa\n") == ["a"]
    assert sources("") == []


def test_rows_keep_their_other_columns(requests):
    rows = requests(b'id,text\r\n1,"a, ""b""\nc"\r\n\r\n2,d\r\n', "csv", "text")
    assert rows == [{"id": "1", "text": 'a, "b"\nc'}, {"id": "2", "text": "d"}]
    assert requests(b"id\ttext\n1\ta, b\n", "tsv", "text") == [{"id": "1", "text": "a, b"}]
    rows = requests('{"source": "a", "n": [1]}\n\n{"source": "ä"}'.encode(), "jsonl")
    assert rows == [{"source": "a", "n": [1]}, {"source": "ä"}]


def parquet(**columns):
    pq.write_table(pa.table(columns), content := io.BytesIO())
    return content.getvalue()


def test_values_of_parquet_become_those_of_json(requests):
    row = {"source": "a", "day": datetime.date(2026, 1, 2), "price": decimal.Decimal("1.50"), "n": [1, None]}
    columns = {name: [value] for name, value in row.items()}
    assert requests(parquet(**columns), "parquet") == [row | {"day": "2026-01-02", "price": "1.50"}]
    for value, words in ((b"x", "of type bytes"), (float("nan"), "Out of range float")):
        with pytest.raises(UserError, match=rf"row 1: has a value that JSON lacks \({words}.*leave out its column"):
            requests(parquet(source=["a"], other=[value]), "parquet")


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"a\n\xff\n", "text", ", line 2: not UTF-8"),
        (b"a\nb\rc\n", "text", ", line 2: has a carriage return within the line"),
        (b"a\rb\rc\r", "text", ": its lines end in carriage returns alone"),
        (b"text\na\n", "csv", ", line 2: no column 'source' \\(found: text\\); give it as --column"),
        (b"source,source\na,b\n", "csv", ", line 1: column 'source' occurs twice"),
        (b"source,b\na\n", "csv", ", line 2: has 1 fields, the header 2"),
        (b'source\n"a\nb', "csv", ", line 2: not valid CSV"),
        (b'source\n"a"b\n', "csv", ", line 2: not valid CSV"),
        (b'source\n"a"b\n', "tsv", ", line 2: not valid TSV"),
        (b'source,b\n"a,b\nc,d"\n', "csv", ", lines 2 to 3: a quotation mark opens a field"),
        (b"", "csv", ", line 1: has no header"),
        (b"{}\nnone\n", "jsonl", ", line 1: no column 'source'"),
        (b"none\n", "jsonl", ", line 1: not valid JSON"),
        (b"[" * 100_000, "jsonl", ", line 1: brackets are nested too deeply"),
        (b'{"a": 1' + b"0" * 6000 + b"}", "jsonl", ", line 1: not valid JSON"),
        (b"[]\n", "jsonl", ", line 1: not a JSON object"),
        (b'{"source": "a", "source": "b"}', "jsonl", ", line 1: key 'source' occurs twice"),
        (b'{"source": "\\ud800"}', "jsonl", r", line 1: \\ud800 is half of a surrogate pair"),
        (b'{"source": 1}', "jsonl", ", line 1: 'source' is not text"),
        (b'{"source": "a", "n": NaN}', "jsonl", ", line 1: NaN is no number"),
        (b'{"source": "a", "n": 1e999}', "jsonl", ", line 1: 1e999 is no number"),
        (b"\x1f\x8b...", "text", ": is compressed by gzip, not text"),
        (b"PAR1...", "text", ": is a Parquet file, not text"),
        (b"source\n", "parquet", ": not a readable Parquet file"),
        (b"", "parquet", ": is empty"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_place(requests, content, kind, words):
    with pytest.raises(UserError, match=rf"^/(.*/f|dev/stdin){words}"):
        requests(content, kind)


def test_a_named_pipe_is_read_as_a_file(tmp_path):
    """As in `--input <(command)`."""
    os.mkfifo(tmp_path / "pipe")
    content = {"text": b"a\n", "csv": b"source\na\n", "tsv": b"source\na\n", "jsonl": b'{"source": "a"}'}
    for kind, sent in (content | {"parquet": parquet(source=["a"])}).items():
        writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(sent,))
        writer.start()
        assert list(read_requests(tmp_path / "pipe", kind)) == [{"source": "a"}]
        writer.join()
    assert content.keys() | {"parquet"} == FORMATS.keys()


def test_a_standard_input_that_is_closed(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(UserError, match=r"^/dev/stdin: is closed"):
        next(read_requests(STDIN, "text"))


@pytest.mark.parametrize(("kind", "line"), [("text", b"a\n"), ("jsonl", b'{"source": "a"}\n')])
def test_a_stream_is_read_row_by_row(monkeypatch, kind, line):
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as sent:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=stream))
        sent.write(line)
        rows = read_requests(STDIN, kind)
        assert next(rows) == {"source": "a"}  # while the writer may have more to say
        sent.write(line * 2)
        sent.close()
        assert len(list(rows)) == 2


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("q", "text"), ("q.TXT", "text"), ("q.source", "text"), ("Q.CSV", "csv"), ("q.tsv", "tsv")),
        *(("q.ndjson", "jsonl"), ("q.jsonl", "jsonl"), ("q.Parquet", "parquet")),
    ],
)
def test_a_suffix_says_the_format(name, kind):
    assert format_of(Path(name)) == kind


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("q.json", b'[{"source": "a"}]', "'.json' is none of .txt, .source, .*; give the file's format: --format text"),
        ("q.v2", b"a\n", "'.v2' is none of"),
        ("q.csv.gz", b"\x1f\x8b..", "is compressed by gzip, not text; decompress it: gzip -dc < "),
        ("q.dat", b"PAR1..", "is a Parquet file, not text; rename it to end in .parquet"),
        ("q.none", None, "cannot be read"),
    ],
)
def test_a_suffix_that_says_no_format_is_refused(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        next(read_requests(tmp_path / name))


@pytest.mark.parametrize("line", [b'{"source": "a"}\n', b'[{"source": "a"},\n', b'[{"source": "a"}]', b"[\n", b"{\n"])
def test_json_is_no_text_unless_the_format_says_so(requests, line):
    with pytest.raises(UserError, match="line 1: is JSON, not a source; give --format jsonl"):
        requests(line, None)
    assert requests(line, "text") == [{"source": line.decode().rstrip("\n")}]
    assert requests(b"[1] a\n" + line, None)[0] == {"source": "[1] a"}


def test_text_has_no_column(requests):
    for kind in ("text", None):
        with pytest.raises(UserError, match="is read as text, which has no columns; leave out --column"):
            requests(b"a\n", kind, "source")


def test_remedies_for_a_stream_name_no_file(monkeypatch):
    for content, remedy in (
        (parquet(source=["a"]), "is a Parquet file, not text; give --format parquet"),
        (b"\x1f\x8b..", "is compressed by gzip, not text; decompress it: send it through gzip -dc"),
        (b"\xff\n", "convert it: send it through iconv -f ITS_ENCODING -t UTF-8"),
    ):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        with pytest.raises(UserError) as error:
            next(read_requests(STDIN))
        assert str(error.value).endswith(remedy)
