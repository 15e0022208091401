"""Local data files: what is read from each format, and the message for each kind of damage."""

import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fdistill.data.sources.files.identification import check_regular
from fdistill.data.sources.files.local_files import FORMATS, input_files, read_files
from fdistill.data.sources.files.parquet_files import parquet_rows
from fdistill.data.sources.files.rows import BadRow
from fdistill.data.sources.files.text_files import json_document
from fdistill.runtime.errors import UserError
from published_files import write


def rows(path):
    return [row.values for row in FORMATS[path.suffix](path)]


def places(path):
    return [row.place.rpartition(", ")[2] for row in FORMATS[path.suffix](path)]


def refusal(path):
    with pytest.raises(UserError) as error:
        rows(path)
    assert str(path.parent) in str(error.value)
    return str(error.value)


# ---- what is read

TEXTS = [
    {"source": 'He said "no", twice', "target": "ș\u2028ț"},
    {"source": "#1, two\x0bthree", "target": "NA"},
    {"source": " padded ", "target": "null"},
]


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_has_the_same_texts(tmp_path, suffix):
    write(path := tmp_path / f"train{suffix}", TEXTS)
    assert rows(path) == TEXTS


def test_a_quoted_field_runs_over_lines_and_rows_are_counted_by_lines(tmp_path):
    write(path := tmp_path / "a.csv", 'source,target\na,"b\r\nc ""d"""\r\n\n"e,f",g\n')
    assert rows(path) == [{"source": "a", "target": 'b\r\nc "d"'}, {"source": "e,f", "target": "g"}]
    assert places(path) == ["line 2", "line 5"]


def test_fields_may_be_long(tmp_path):
    write(path := tmp_path / "a.csv", [{"source": "a" * 300_000, "target": "b"}])
    assert len(rows(path)[0]["source"]) == 300_000


def test_json_lines_may_be_blank_and_are_counted(tmp_path):
    write(path := tmp_path / "a.jsonl", '\n{"a": 1}\n\n{"a": 2}')
    assert rows(path) == [{"a": 1}, {"a": 2}] and places(path) == ["line 2", "line 4"]


def test_windows_line_ends_are_the_standard_of_tables_and_harmless_in_documents(tmp_path):
    for suffix, text in ((".csv", "source,target\r\na,b\r\n"), (".tsv", "source\ttarget\r\na\tb\r\n")):
        write(path := tmp_path / f"a{suffix}", text.encode())
        assert rows(path) == [{"source": "a", "target": "b"}]
    write(path := tmp_path / "a.json", b'{"a":\r\n1}')
    assert json_document(path) == {"a": 1}


def test_the_targets_of_a_file_of_sources_are_files_of_the_task_too(tmp_path):
    source = {"kind": "xsum", "path": {"train": "~/train.source", "dev": "dev.csv", "test": "test.source"}}
    files = input_files(source)
    assert files[1:3] == ["dev.csv", "test.source"] and files[4] == "test.target"
    assert files[0].endswith("/train.source") and not files[0].startswith("~")
    assert input_files({"kind": "xsum"}) == input_files({"kind": "xsum", "path": None}) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_suffix_may_be_in_capitals(tmp_path, suffix):
    write(path := tmp_path / f"train{suffix}", TEXTS)
    path = str(path.rename(path.with_suffix(suffix.upper())))
    read, _ = read_files(dict.fromkeys(("train", "dev", "test"), path), FORMATS)
    assert [row.values for row in read["dev"]] == TEXTS


# ---- what is refused: file, line, remedy

GOOD = {
    ".jsonl": '{"source": "a", "target": "é"}\n' * 3,
    ".csv": "source,target\na,é\nb,c\n",
    ".tsv": "source\ttarget\na\té\nb\tc\n",
    ".source": "é\nb\nc\n",
}


def damaged(tmp_path, suffix, content):
    write(tmp_path / "my file.target", "a\nb\nc\n")
    write(path := tmp_path / f"my file{suffix}", content)
    return path


def run_remedy(message, folder):
    """Run the command at the end of a message, which writes NEW_FILE."""
    subprocess.run(message.rpartition(": ")[2], shell=True, check=True, cwd=folder)


@pytest.mark.parametrize("suffix", GOOD)
def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path, suffix):
    expected = rows(damaged(tmp_path, suffix, GOOD[suffix].encode()))
    path = damaged(tmp_path, suffix, b"\xef\xbb\xbf" + GOOD[suffix].replace("\n", "\r\n").encode())
    assert rows(path) == expected and len(expected) > 1


@pytest.mark.parametrize("suffix", GOOD)
def test_carriage_returns_alone_are_refused_and_the_command_given_converts_them(tmp_path, suffix):
    path = damaged(tmp_path, suffix, GOOD[suffix].replace("\n", "\r").encode())
    message = refusal(path)
    assert message.startswith(f"{path}: its lines end in carriage returns alone")
    run_remedy(message, tmp_path)
    assert (tmp_path / "NEW_FILE").read_text(encoding="utf-8") == GOOD[suffix]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_a_carriage_return_among_line_feeds_merges_no_rows(tmp_path, suffix):
    path = damaged(tmp_path, suffix, GOOD[suffix].replace("\n", "\r", 2).replace("\r", "\n", 1).encode())
    assert "line 2: " in refusal(path)


@pytest.mark.parametrize("suffix", GOOD)
def test_text_that_is_not_utf_8_is_refused_by_line(tmp_path, suffix):
    good = GOOD[suffix]
    path = damaged(tmp_path, suffix, good.encode("latin-1"))
    line = 1 + good[: good.index("é")].count("\n")
    assert refusal(path).startswith(f"{path}, line {line}: not UTF-8 text (")
    assert "0xe9" in refusal(path) and "iconv -f ITS_ENCODING" in refusal(path)


def test_a_carriage_return_within_a_source_or_target_merges_no_rows(tmp_path):
    path = damaged(tmp_path, ".source", "a\rb\nc\nd\r\n")
    assert refusal(path).startswith(f"{path}, line 1: has a carriage return within the line")


def test_a_target_file_is_checked_as_its_sources(tmp_path):
    path = damaged(tmp_path, ".source", "a\nb\nc\n")
    write(target := tmp_path / "my file.target", b"a\nb\xff\nc\n")
    assert refusal(path).startswith(f"{target}, line 2: not UTF-8 text (")


@pytest.mark.parametrize(
    ("targets", "numbers", "line"),
    [("1\n2\n", "has 3 lines and", "line 3 of {source}"), ("1\n2\n3\n4\n5", "target 5:", "line 4 of {target}")],
)
def test_sources_and_targets_must_be_equally_many(tmp_path, targets, numbers, line):
    write(source := tmp_path / "a.source", "1\n2\n3\n")
    write(target := tmp_path / "a.target", targets)
    message = refusal(source)
    assert numbers in message and f"{line.format(source=source, target=target)} has no partner" in message


@pytest.mark.parametrize(
    ("suffix", "content", "message"),
    [
        (".jsonl", '{"a": 1}\n{"a', "a.jsonl, line 2: not valid JSON ("),
        (
            ".jsonl",
            '{"a": "\\ud83d\\ude00"}\n{"a": "b\\uD83D"}\n',
            r"a.jsonl, line 2: \ud83d is half of a surrogate pair",
        ),
        (".csv", 'a,b\n1,2\n3,"4\n', "a.csv, line 3: not valid CSV (unexpected end of data)"),
        (".tsv", 'a\tb\n"1" 2\t3\n', "a.tsv, line 2: not valid TSV ("),
        (".csv", 'a,b\n"x\ny",2\n1,2,3\n', "a.csv, line 4: has 3 fields, the header 2 (a, b)"),
        (".tsv", "a\tb\n1\n", "a.tsv, line 2: has 1 fields, the header 2 (a, b); add what is missing"),
        (".jsonl", '{"a": 1}\n{"a"\n', "a.jsonl, line 2: not valid JSON (Expecting ':' delimiter, character 6)"),
        (".csv", "a,b,a\n", "a.csv, line 1: column 'a' occurs twice"),
        (".tsv", "a\ta\n", "a.tsv, line 1: column 'a' occurs twice"),
        (".csv", "a,,b, \n", "a.csv, line 1: 2 columns have no name; name them, or remove those that are empty"),
        (".csv", 'a,b\r1,"2\n3"\r', "a.csv: its lines end in carriage returns alone, as old Macs wrote them; convert"),
        (".jsonl", '{"a": 1}\n{"a": 1, "b": 2, "a": 3}', "a.jsonl, line 2: key 'a' occurs twice"),
        (".jsonl", '{"a": [NaN]}', "a.jsonl, line 1: NaN is no number of JSON; write null, or correct it"),
        (".jsonl", '{"a": 1}\n{"a": -1e999}', "a.jsonl, line 2: -1e999 is no number of JSON"),
        (".jsonl", "[" * 200_000, "line 1: brackets are nested too deeply"),
        (".csv", 'a,"b\n1,2\n3,4"\n', "a.csv, lines 1 to 3: a quotation mark in the header runs over"),
        (".parquet", "PAR1 and nothing more", "a.parquet: not a readable Parquet file"),
        (".parquet", b"", "a.parquet: is empty (0 bytes)"),
        (".csv", b"", "a.csv, line 1: has no header"),
        (".csv", b"\n1,2\n", "a.csv, line 1: has no header"),
    ],
)
def test_damaged_files_are_named(tmp_path, suffix, content, message):
    write(path := tmp_path / f"a{suffix}", content)
    assert message in refusal(path)


def test_a_damaged_document_is_named(tmp_path):
    for content, message in (
        (b'{"a"', "not valid JSON"),
        (b'{"a": [{"b": 1, "b": 2}]}', "key 'b' occurs twice"),
        (b"[" * 200_000, "nested too deeply"),
        (b"{\n\xff", "line 2: not UTF"),
        (b'{"a": ["\\ude00"]}', r"a\.json: \\ude00 is half of a surrogate pair"),
    ):
        write(path := tmp_path / "a.json", content)
        with pytest.raises(UserError, match=message):
            json_document(path)


def test_a_truncated_parquet_file_is_named(tmp_path):
    write(path := tmp_path / "a.parquet", TEXTS)
    path.write_bytes(path.read_bytes()[:-20])
    assert "check that it is complete" in refusal(path)


def test_json_lines_are_json_lines(tmp_path):
    write(path := tmp_path / "a.jsonl", json.dumps([{"a": 1}], indent=1))
    assert "line 1: not valid JSON" in refusal(path)


# ---- rows are neither merged nor lost

MERGED = 'source\ttarget\nHow was it?\tFine.\nWhat?\t"I came home.\nAnd then?\tI slept."\nReally?\tYes.\n'


def reasons(path):
    """Per row: its values, or how many rows cannot be read and why."""
    return [
        (row.count, row.reason) if isinstance(row, BadRow) else tuple(row.values.values())
        for row in FORMATS[path.suffix](path)
    ]


def test_rows_that_quotation_marks_would_merge_are_bad_and_the_command_given_quotes_them(tmp_path):
    write(path := tmp_path / "my file.tsv", MERGED)
    first, (count, reason), last = reasons(path)
    assert (first, count, last) == (("How was it?", "Fine."), 2, ("Really?", "Yes."))
    assert "each of these lines would be a row by itself" in reason and f"{path}, lines 3 to 4: " in refusal(path)
    run_remedy(reason, tmp_path)
    quoted = (tmp_path / "NEW_FILE").rename(tmp_path / "quoted.tsv")
    assert [row["target"] for row in rows(quoted)] == ["Fine.", '"I came home.', 'I slept."', "Yes."]


def test_a_comma_of_a_text_is_no_sign_of_rows(tmp_path):
    write(path := tmp_path / "a.csv", MERGED.replace("\t", ","))
    assert [count for count, _ in reasons(path)[1:2]] == [2]
    write(path, 'source,target\na,"b\nc, d"\n')
    assert rows(path) == [{"source": "a", "target": "b\nc, d"}]
    write(path, 'source,target\n"Hello, you\nthere",b\n')
    assert rows(path) == [{"source": "Hello, you\nthere", "target": "b"}]


@pytest.mark.parametrize(
    "lines",
    ['"Hello, bonjour\nworld", monde\n', '"Hello,bonjour\r\nworld", monde\r\n', '"Hello,bonjour\n\nworld",monde\n'],
)
def test_a_comma_with_a_space_separates_fields_where_it_does_so_in_the_row(tmp_path, lines):
    write(path := tmp_path / "a.csv", f"source,target\n{lines}")
    ((count, reason),) = reasons(path)
    assert count > 1 and "each of these lines would be a row by itself" in reason
    write(path, 'source,target\n"Hello, you, bonjour\nworld", monde\n')  # the first line would have three fields
    assert rows(path) == [{"source": "Hello, you, bonjour\nworld", "target": " monde"}]


def test_a_quotation_mark_that_is_never_closed_costs_its_line_alone(tmp_path):
    write(path := tmp_path / "a.csv", 'a,b\n1,2\n3,"4\n5,6\n7,8\n')
    good, (count, reason), *rest = reasons(path)
    assert (good, count, rest) == (("1", "2"), 1, [("5", "6"), ("7", "8")])
    assert "unexpected end of data" in reason


def test_many_quotation_marks_that_are_never_closed_take_no_time(tmp_path):
    write(path := tmp_path / "a.csv", "a,b\n" + 'x","y\n' * 20_000)
    assert sum(count for count, _ in reasons(path)) == 20_000


def test_bad_rows_stand_among_the_good_ones(tmp_path):
    write(path := tmp_path / "a.jsonl", b'{"a": 1}\n{"a\n{"a": "\xff"}\n{"a": 2}\n')
    assert [len(row) for row in reasons(path)] == [1, 2, 2, 1]
    write(path := tmp_path / "a.csv", b"a,b\n1,2\n\xff,2\n1,2,3\n4,5\n")
    assert [row[0] for row in reasons(path)] == ["1", 1, 1, "4"]


# ---- Parquet


def test_values_that_python_cannot_hold_are_bad_rows_and_unused_columns_are_not_read(tmp_path):
    far = pa.array([0, 2**50], pa.timestamp("ms"))
    twice = pa.StructArray.from_arrays([pa.array([1, 2]), pa.array([3, 4])], ["x", "x"])
    broken = pa.array([b"ok", b"caf\xe9"]).view(pa.string())
    columns = {"source": pa.array(["a", "b"]), "target": broken, "far": far, "twice": twice}
    pq.write_table(pa.table(columns), path := tmp_path / "a.parquet")
    first, second = parquet_rows(path, ("source", "target"))
    assert first.values == {"source": "a", "target": "ok"} and "'target' (string) cannot be read" in second.reason
    with pytest.raises(UserError, match=r"row 1: no 'text' \(found: source, target, far, twice\)"):
        first.text("text")
    first, second = parquet_rows(path, ("source", "far"))
    assert first.has("far") and second.place == f"{path}, row 2" and "'far' (timestamp[" in second.reason
    assert all(row.reason.startswith("'twice' (struct<") for row in parquet_rows(path, ("twice",)))


def test_a_column_twice_is_refused(tmp_path):
    pq.write_table(pa.table([["a"], ["b"]], names=["target", "target"]), path := tmp_path / "a.parquet")
    assert "column 'target' occurs twice" in refusal(path)


def test_a_folder_of_parts_is_one_table(tmp_path):
    folder = tmp_path / "train.parquet"
    folder.mkdir()
    for name, text in (("part-1.parquet", "c"), ("part-0.parquet", "a"), ("_metadata.parquet", "x")):
        write(folder / name, [{"source": text, "target": "b"}])
    (folder / "part-1.parquet").rename(folder / "part-1.PARQUET")
    for name in ("_SUCCESS", ".part-0.parquet.crc"):
        (folder / name).touch()
    assert [row["source"] for row in rows(folder)] == ["a", "c"]
    assert places(folder) == ["part-0.parquet row 1", "part-1.PARQUET row 1"]
    path = dict.fromkeys(("train", "dev", "test"), str(folder))
    assert [Path(name).name for name in input_files({"path": path})[:2]] == ["part-0.parquet", "part-1.PARQUET"]
    _, origins = read_files(path, FORMATS)
    assert [origin["package"] for origin in origins] == ["train.parquet/part-0.parquet", "train.parquet/part-1.PARQUET"]
    for name in ("d.parq", "part-2.parquet.gz", "notes.txt"):
        (folder / name).touch()
        with pytest.raises(UserError, match=f"train.parquet: contains {name}, which does not end in .parquet; rename"):
            input_files({"path": path})
        (folder / name).unlink()
    (tmp_path / "empty.parquet").mkdir()
    with pytest.raises(UserError, match=r"is a folder without \.parquet files"):
        rows(tmp_path / "empty.parquet")


# ---- what lies under a name


def arrow():
    table, content = pa.table({"source": ["a"]}), io.BytesIO()
    with pa.ipc.new_file(content, table.schema) as file:
        file.write_table(table)
    return content.getvalue()


def tar():
    with tarfile.open(fileobj=(content := io.BytesIO()), mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.csv"))
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (gzip.compress(b"a,b\n", mtime=0), "is compressed by gzip, not text; decompress it: gzip -dc"),
        (bz2.compress(b"a,b\n"), "is compressed by bzip2"),
        (lzma.compress(b"a,b\n"), "is compressed by xz"),
        (b"\x28\xb5\x2f\xfd....", "is compressed by zstd"),
        (b"PK\x03\x04....", "is a zip archive or a spreadsheet"),
        (b"\x04\x22\x4d\x18....", "is compressed by lz4, not text; decompress it: lz4 -dc"),
        (b"7z\xbc\xaf\x27\x1c....", "is a 7z archive, not text; unpack it"),
        (b"Rar!\x1a\x07....", "is a RAR archive, not text; unpack it"),
        (arrow(), "is an Arrow file, not text; save the table as Parquet"),
        (tar(), "is a tar archive, not text; unpack it"),
        (b"\x7fELF\x02\0\0\0\0\0", "is binary data, not text; export its texts"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"PAR1....", "is a Parquet file, not text; rename it"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".source"])
def test_a_file_of_another_kind_is_named_by_its_kind(tmp_path, suffix, content, what):
    path = damaged(tmp_path, suffix, content)
    assert refusal(path).startswith(f"{path}: ") and what in refusal(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("suffix", GOOD)
def test_wide_encodings_are_named_and_the_command_given_converts_them(tmp_path, suffix, encoding):
    path = damaged(tmp_path, suffix, ("le source\n" + GOOD[suffix]).encode(encoding))
    name = encoding.upper()[:6] + encoding[7:].upper()
    assert f"is text in {name}, not text; convert it: iconv -f {name} -t UTF-8" in refusal(path)
    run_remedy(refusal(path), tmp_path)
    assert (tmp_path / "NEW_FILE").read_text(encoding="utf-8") == "le source\n" + GOOD[suffix]


def test_what_is_no_file_is_named(tmp_path):
    for name, make, what in (("pipe", os.mkfifo, "a named pipe"), ("folder", Path.mkdir, "a folder")):
        make(tmp_path / name)
        with pytest.raises(UserError, match=rf"{name}: is {what}.*, not a file"):
            check_regular(tmp_path / name)
    (tmp_path / "device").symlink_to("/dev/zero")
    with pytest.raises(UserError, match="device: is a device, not a file"):
        check_regular(tmp_path / "device")
    assert not check_regular(tmp_path / "nothing")
