"""Hashes of the user's own files."""

import os

from fdistill.artifacts import contents
from fdistill.artifacts.contents import content_hashes
from fdistill.artifacts.files import sha256


def test_a_file_is_hashed_again_only_when_its_status_changed(tmp_path, monkeypatch):
    hashed = []
    monkeypatch.setattr(contents, "sha256", lambda file: hashed.append(file.name) or sha256(file))
    own, store = tmp_path / "own.csv", tmp_path / "store.json"
    own.write_text("one")
    os.utime(own, (1e9, 1e9))
    first = content_hashes([str(own)], store)
    assert content_hashes([str(own)], store) == first == [sha256(own)]
    assert hashed == ["own.csv"]
    other = tmp_path / "other.csv"  # of the same size, and not younger
    other.write_text("two")
    os.utime(other, (1e9, 1e9))
    other.rename(own)
    assert content_hashes([str(own)], store) == [sha256(own)] != first
    store.write_text("{damaged")
    assert content_hashes([str(own)], store) == [sha256(own)]


def test_what_cannot_be_read_has_no_hash(tmp_path):
    assert content_hashes([str(tmp_path / "missing"), str(tmp_path), "/dev/zero"], tmp_path / "store.json") == []
