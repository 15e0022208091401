"""Files: nothing half-written, and what is damaged is named."""

import errno
import hashlib
import os
import re
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
from fdistill.artifacts.files import (
    atomic,
    read_json,
    read_json_lines,
    read_parquet,
    write_json,
    write_json_lines,
    write_parquet,
)
from fdistill.data.archives import Archive, fetch
from fdistill.data.schemas import SPLIT
from fdistill.models.checkpoints import save
from fdistill.runtime.errors import UserError

ROWS = {"id": ["a"], "group": ["g"], "source": ["s"], "references": [["r", "t"]]}


@pytest.mark.parametrize("directory", [False, True])
def test_a_failed_write_leaves_the_old_content_and_nothing_else(tmp_path, directory):
    path = tmp_path / "kept"
    for content in ("old", "new"):
        try:
            with atomic(path, directory=directory) as temporary:
                (temporary / "file" if directory else temporary).write_text(content)
                if content == "new":
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass
    assert (path / "file" if directory else path).read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_a_folder_is_replaced_whole(tmp_path):
    for name in ("first", "second"):
        with atomic(tmp_path / "model", directory=True) as folder:
            (folder / name).touch()
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["second"]


def test_parquet_round_trip_with_identity(tmp_path):
    write_parquet(tmp_path / "x.parquet", ROWS, SPLIT, {"teacher": "abc"})
    assert read_parquet(tmp_path / "x.parquet", SPLIT) == (ROWS, {"teacher": "abc"})


def test_parquet_bytes_repeat(tmp_path):
    for name in ("x", "y"):
        write_parquet(tmp_path / name, ROWS, SPLIT, {"b": 1, "a": 2})
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_a_missing_column_is_named(tmp_path):
    pq.write_table(pa.table({"id": ["a"], "group": ["g"], "text": ["s"]}), tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"x\.parquet: column 'source' is missing; expected .*found id, group, text"):
        read_parquet(tmp_path / "x.parquet", SPLIT)


def test_a_column_of_another_type_is_named(tmp_path):
    pq.write_table(pa.table(ROWS | {"references": ["r"]}), tmp_path / "x.parquet")
    with pytest.raises(UserError, match="column 'references' has type string, expected list"):
        read_parquet(tmp_path / "x.parquet", SPLIT)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda b: b[:100], "not a readable Parquet file"),
        (lambda b: b[:-100], "damaged"),
        (lambda b: b"", "is empty"),
        (lambda b: b"not parquet", "not a readable Parquet file"),
    ],
)
def test_a_damaged_parquet_file_is_named(tmp_path, damage, words):
    path = tmp_path / "x.parquet"
    write_parquet(path, ROWS, SPLIT)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=rf"x\.parquet: .*{words}.*; delete it and run again"):
        read_parquet(path, SPLIT)


def _write_parquet(path):
    write_parquet(path, ROWS, SPLIT, {"teacher": "abc"})


def _write_json(path):
    write_json(path, {"a": [1, {"b": "ș"}]})


def _write_json_lines(path):
    write_json_lines(path, [{"a": 1}, {"b": "ș"}], {"seed": "1"})


@pytest.mark.parametrize(
    ("write", "read"),
    [
        (_write_parquet, lambda path: read_parquet(path, SPLIT)),
        (_write_json, read_json),
        (_write_json_lines, read_json_lines),
    ],
)
def test_every_bit_and_every_length_counts(tmp_path, write, read):
    """A file is read as it was written, or refused by its name: whichever bit flips, wherever it ends."""
    path, tried = tmp_path / "file", 0
    write(path)
    whole, content = path.read_bytes(), read(path)
    damaged = [whole[:length] for length in range(0, len(whole), max(1, len(whole) // 60))]
    for place in {*range(0, len(whole), max(1, len(whole) // 120)), *range(whole.rindex(b"fdistill-"), len(whole), 7)}:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        damaged.append(bytes(flipped))
    for bytes_ in damaged:
        path.write_bytes(bytes_)
        with pytest.raises(UserError, match="^" + re.escape(str(path))):
            read(path)
        tried += 1
    assert tried > 100
    path.write_bytes(whole)
    assert read(path) == content


def test_a_file_without_a_seal_is_refused(tmp_path):
    pq.write_table(pa.Table.from_pydict(ROWS, schema=SPLIT), tmp_path / "x.parquet")
    (tmp_path / "x.json").write_text('{"a": 1}')
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n')
    for read in (lambda: read_parquet(tmp_path / "x.parquet", SPLIT), lambda: read_json(tmp_path / "x.json")):
        with pytest.raises(UserError, match="has no seal"):
            read()
    with pytest.raises(UserError, match="has no seal"):
        read_json_lines(tmp_path / "x.jsonl")


# --- disks


@pytest.fixture
def disk(tmp_path):
    """A disk of 1 MB of its own, and a function that makes it read-only; skipped where that needs more rights."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], capture_output=True).returncode:
        pytest.skip("mounting a small disk takes root's rights")
    yield folder, lambda: subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    subprocess.run(["umount", folder], check=True)


def big_model(path):
    save(tiny.checkpoint("bart", d_model=256, encoder_ffn_dim=1024), path, {})


def big_table(path):
    names = [hashlib.sha512(bytes(number)).hexdigest() for number in range(9000)]
    write_parquet(path, {"id": names, "group": names, "source": names, "references": [[n] for n in names]}, SPLIT)


@pytest.mark.parametrize(
    ("write", "read"),
    [
        (lambda path: write_json(path, {"a": "x" * 2_000_000}), lambda path: path.read_text()),
        (big_table, lambda path: path.read_text()),
        (big_model, lambda path: (path / "kept").read_text()),
    ],
    ids=["json", "parquet", "model"],
)
@pytest.mark.parametrize("full", [True, False], ids=["full", "read-only"])
def test_a_disk_that_takes_nothing_loses_nothing(disk, write, read, full):
    folder, make_read_only = disk
    path = folder / "results" / "file"
    with atomic(path, directory=write is big_model) as temporary:
        (temporary / "kept" if write is big_model else temporary).write_text("old")
    if not full:
        make_read_only()
    reason = "No space left on device.*make room" if full else "Read-only file system.*mount it for writing"
    with pytest.raises(UserError, match=rf"{re.escape(str(path))}: cannot be written \({reason}"):
        write(path)
    assert read(path) == "old"
    assert [file.name for file in path.parent.iterdir()] == ["file"]


def test_a_full_disk_without_roots_rights(tmp_path, monkeypatch):
    write_json(tmp_path / "x.json", {"a": 1})

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UserError, match=r"x\.json: cannot be written \(No space left on device\); make room"):
        write_json(tmp_path / "x.json", {"a": 2})
    assert read_json(tmp_path / "x.json") == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


def test_a_cache_that_cannot_be_written_is_named(disk):
    folder, make_read_only = disk
    make_read_only()
    archive = Archive("package", "1", "package-1.tar.gz", "0" * 64, "MIT")
    with pytest.raises(UserError, match=r"cache/package-1\.tar\.gz: cannot be written \(Read-only file system\)"):
        fetch((archive,), folder / "cache")


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "results").touch()
    with pytest.raises(UserError, match="a file stands where a folder should"):
        write_json(tmp_path / "results" / "en_ro" / "x.json", {})


def test_missing_and_damaged_json(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_json(tmp_path / "x.json")
    (tmp_path / "x.json").write_text('{"a": ')
    with pytest.raises(UserError, match="not valid JSON"):
        read_json(tmp_path / "x.json")
