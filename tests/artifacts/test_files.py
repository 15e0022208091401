"""Files: never half-written, and damage is reported by name."""

import errno
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
from fdistill.artifacts import journal
from fdistill.artifacts.atomic import atomic, remove, write_text
from fdistill.artifacts.files import (
    read_identity,
    read_json,
    read_json_lines,
    read_parquet,
    sha256,
    write_json,
    write_json_lines,
    write_parquet,
)
from fdistill.artifacts.records import record_of, record_text
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


def test_threads_that_write_one_folder_leave_it_whole_and_note_it(tmp_path):
    path, failures = tmp_path / "model", []

    def write(number):
        try:
            for _ in range(40):
                with atomic(path, directory=True) as folder:
                    (folder / str(number)).touch()
        except Exception as error:
            failures.append(error)

    with journal.opened() as notes:
        threads = [threading.Thread(target=write, args=[number]) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures and notes.outputs == [path] * 160
    assert len(list(path.iterdir())) == 1 and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["", ".", "..", "folder/.."])
@pytest.mark.parametrize("directory", [False, True])
def test_a_path_without_a_name_is_refused(tmp_path, monkeypatch, name, directory):
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="where nothing is written; give a name"), atomic(name, directory=directory):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]


@pytest.mark.parametrize("place", ["/proc/results/x.json", "/proc/x.json", "/sys/kernel/x.json", "/dev/fd/x/x.json"])
def test_a_place_that_takes_no_files_is_named(place):
    if not Path(place).parents[-2].is_dir():
        pytest.skip("another operating system")
    with pytest.raises(UserError, match=rf"^{re.escape(place)}: cannot be written \([A-Z].*\); .*folder"):
        write_json(place, {})


def test_an_error_that_is_not_about_the_path_keeps_its_traceback(tmp_path):
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "x") as temporary:
        shutil.copy(tmp_path / "another", temporary)


def test_half_of_a_pair_is_refused_by_name_where_it_cannot_be_encoded(tmp_path):
    for write in (
        lambda: write_text(tmp_path / "x", "a\udc80"),
        lambda: write_parquet(tmp_path / "x", ROWS | {"id": ["\ud800"]}, SPLIT),
        lambda: write_json(tmp_path / "\ud800" / "x", {}),
    ):
        with pytest.raises(UserError, match=r"x: cannot be written: .*contains U\+D[8C][08]0, half of a pair"):
            write()
    assert not list(tmp_path.iterdir())
    value = {"a\udc80": "ș \ud800"}  # JSON can
    write_json(tmp_path / "x.json", value)
    write_json_lines(tmp_path / "x.jsonl", [value])
    assert read_json(tmp_path / "x.json") == value and read_json_lines(tmp_path / "x.jsonl")[0] == [value]
    assert "ș" in (tmp_path / "x.json").read_text()


def test_unfinished_work_is_removed_with_the_folders_made_for_it(tmp_path, monkeypatch):
    (tmp_path / "study").mkdir()
    monkeypatch.chdir(tmp_path / "study")
    write_text("checkpoints/task/kl/seed1/score.json", "")
    write_text("checkpoints/task/js/seed1/train/1", "")
    remove(Path("checkpoints/task/kl/seed1/score.json"))
    assert [path.name for path in Path("checkpoints/task").iterdir()] == ["js"]
    remove(Path("checkpoints/task/js/seed1/train"))
    remove(Path("checkpoints/task/js/seed1/nothing"))
    assert not list(Path().iterdir()) and Path.cwd().is_dir()
    write_text("mine/shards/1", "")
    remove(Path("mine/shards"))
    assert not list(Path("mine").iterdir())  # an empty folder of the user's remains


def test_parquet_round_trip_with_identity(tmp_path):
    write_parquet(tmp_path / "x.parquet", ROWS, SPLIT, {"teacher": "abc"})
    assert read_parquet(tmp_path / "x.parquet", SPLIT) == (ROWS, {"teacher": "abc"})


def test_parquet_bytes_repeat(tmp_path):
    for name in ("x", "y"):
        write_parquet(tmp_path / name, ROWS, SPLIT, {"b": 1, "a": 2})
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_a_missing_column_is_named(tmp_path):
    columns = {"id": ["a"], "group": ["g"], "text": ["s"]}
    write_parquet(tmp_path / "x.parquet", columns, pa.table(columns).schema)
    with pytest.raises(UserError, match=r"x\.parquet: column 'source' is missing; expected .*found id, group, text"):
        read_parquet(tmp_path / "x.parquet", SPLIT)


def test_a_column_of_another_type_is_named(tmp_path):
    columns = ROWS | {"references": ["r"]}
    write_parquet(tmp_path / "x.parquet", columns, pa.table(columns).schema)
    with pytest.raises(UserError, match="column 'references' has type string, expected list"):
        read_parquet(tmp_path / "x.parquet", SPLIT)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_of_the_user_is_not_to_be_deleted(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    pq.write_table(pa.table(ROWS), path) if suffix == "parquet" else path.write_text("source,target")
    with pytest.raises(UserError, match=r"not written by this workflow; give a file .*infer\.py") as error:
        read_identity(path)
    assert "delete" not in str(error.value)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda b: b[:100], "not a readable Parquet file"),
        (lambda b: b[:-100], "not a readable Parquet file"),
        (lambda b: b"", "is empty"),
        (lambda b: b"not parquet", "not a readable Parquet file"),
    ],
)
def test_a_damaged_parquet_file_is_named(tmp_path, damage, words):
    path = tmp_path / "x.parquet"
    write_parquet(path, ROWS, SPLIT)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    with pytest.raises(UserError, match=rf"x\.parquet: .*{words}.*; no record beside it says .*; give a file") as error:
        read_parquet(path, SPLIT)
    assert "delete" not in str(error.value)  # it may be the user's own
    record = {"stage": "prepare", "outputs": {"results/t/x.parquet": hashlib.sha256(whole).hexdigest()}}
    record_of(path).write_text(record_text(record))
    remedy = re.escape("; delete it and run again (target results/t/x.parquet, made by prepare)")
    with pytest.raises(UserError, match=rf"x\.parquet: .*{words}.*{remedy}"):
        read_parquet(path, SPLIT)


def _write_parquet(path):
    write_parquet(path, ROWS, SPLIT, {"teacher": "abc"})


def _write_json(path):
    write_json(path, {"a": [1, {"b": "ș"}]})


def _write_json_lines(path):
    write_json_lines(path, [{"a": 1}, {"b": "ș"}], {"seed": "1"})


FORMATS = [
    pytest.param(_write_parquet, lambda path: read_parquet(path, SPLIT), id="parquet"),
    pytest.param(_write_json, read_json, id="json"),
    pytest.param(_write_json_lines, read_json_lines, id="json lines"),
]


@pytest.mark.parametrize(("write", "read"), FORMATS)
def test_every_bit_and_every_length_counts(tmp_path, write, read):
    """A file beside its record is read as it was written, or refused: whichever bit flips, wherever it ends."""
    path, tried = tmp_path / "file", 0
    write(path)
    record_of(path).write_text(record_text({"outputs": {str(path): sha256(path)}}))
    whole, content = path.read_bytes(), read(path)
    damaged = [whole[:length] for length in range(0, len(whole), max(1, len(whole) // 60))]
    for place in range(0, len(whole), max(1, len(whole) // 120)):
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


@pytest.mark.parametrize(("write", "read"), FORMATS)
def test_a_file_that_travels_alone_is_read_unless_its_form_shows_the_damage(tmp_path, write, read):
    path = tmp_path / "file"
    write(path)
    whole, content = path.read_bytes(), read(path)
    for length in range(0, len(whole) - 1, max(1, len(whole) // 60)):  # but for the last line's end, which says nothing
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="^" + re.escape(str(path))):
            read(path)
    path.write_bytes(whole)
    assert read(path) == content


def test_a_table_that_travels_alone_shows_damage_of_any_value(tmp_path):
    """Its pages carry checksums: no flipped bit in the rows is read as another value."""
    path = tmp_path / "x.parquet"
    rows = {name: [f"{name} {i}" for i in range(200)] for name in ("id", "group", "source")}
    write_parquet(path, rows | {"references": [[str(i)] for i in range(200)]}, SPLIT)
    whole, content = path.read_bytes(), read_parquet(path, SPLIT)
    end_of_pages = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")  # the footer, its length and PAR1 follow
    refused = 0
    for place in range(4, end_of_pages, 13):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(bytes(flipped))
        try:
            assert read_parquet(path, SPLIT) == content  # a bit of a page's header that nobody reads
        except UserError:
            refused += 1
    assert refused > 50


def test_a_file_from_elsewhere_is_refused(tmp_path):
    pq.write_table(pa.Table.from_pydict(ROWS, schema=SPLIT), tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"x\.parquet: not written by this workflow; give a file"):
        read_parquet(tmp_path / "x.parquet", SPLIT)
    for text in ('{"a": 1}\n', "[1]\n", "1\n"):
        (tmp_path / "x.jsonl").write_text(text)
        with pytest.raises(UserError, match=r"x\.jsonl: not one JSON object per line"):
            read_json_lines(tmp_path / "x.jsonl")
    for text in ("[1]", "null", '"a"'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(UserError, match=r"x\.json: not valid JSON"):
            read_json(tmp_path / "x.json")


def test_results_of_earlier_versions_are_refused_by_name(tmp_path):
    """Version 0.5.0 and earlier wrote a hash of a file into the file itself."""
    seal = "fdistill-sha256:" + "0" * 64
    (tmp_path / "x.json").write_text(json.dumps({"a": 1, "seal": seal}))
    (tmp_path / "x.jsonl").write_text(json.dumps({"a": 1}) + "\n" + json.dumps({"identity": {}, "seal": seal}) + "\n")
    table = pa.Table.from_pydict(ROWS, schema=SPLIT).replace_schema_metadata({"fdistill": "{}", "seal": seal})
    pq.write_table(table, tmp_path / "x.parquet")
    readers = {"json": read_json, "jsonl": read_json_lines, "parquet": lambda path: read_parquet(path, SPLIT)}
    for suffix, read in (*readers.items(), *((suffix, read_identity) for suffix in readers)):
        path = tmp_path / f"x.{suffix}"
        with pytest.raises(UserError, match=re.escape(f"{path}: was written by version 0.5.0 or earlier")):
            read(path)


# --- disks


@pytest.fixture
def disk(tmp_path):
    """A disk of 1 MB, and a function that makes it read-only; skipped without the rights to mount one."""
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


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_does_not_have_is_refused_with_its_key(tmp_path, value):
    with pytest.raises(UserError, match=r"risk.json: risks.r_llh\[1\] is (nan|-?inf), which is no result"):
        write_json(tmp_path / "risk.json", {"risks": {"r_llh": [1.0, value]}})
    with pytest.raises(UserError, match=r"train.jsonl: \[0\].loss is (nan|-?inf)"):
        write_json_lines(tmp_path / "train.jsonl", [{"loss": value}])
    assert not list(tmp_path.iterdir())


def test_a_folder_is_not_replaced_by_a_file_nor_a_file_by_a_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/mine").touch()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="folder: is a folder, where a file is to be written; remove or rename it"):
        write_json(tmp_path / "folder", {})
    with (
        pytest.raises(UserError, match="file: is a file, where a folder is to be written; remove or rename it"),
        atomic(tmp_path / "file", directory=True),
    ):
        pass
    assert (tmp_path / "folder/mine").exists() and (tmp_path / "file").is_file()
