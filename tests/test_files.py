"""Files: nothing half-written, and what is damaged is named."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fdistill.data.schemas import SPLIT
from fdistill.errors import UserError
from fdistill.files import atomic, read_json, read_parquet, write_parquet

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


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"not parquet"])
def test_a_damaged_parquet_file_is_named(tmp_path, damage):
    path = tmp_path / "x.parquet"
    write_parquet(path, ROWS, SPLIT)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r"x\.parquet: not a readable Parquet file"):
        read_parquet(path, SPLIT)


def test_missing_and_damaged_json(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_json(tmp_path / "x.json")
    (tmp_path / "x.json").write_text('{"a": ')
    with pytest.raises(UserError, match="not valid JSON"):
        read_json(tmp_path / "x.json")
