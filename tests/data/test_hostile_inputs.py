"""Damaged and hostile files, made from a seed: the answer is a UserError or right rows, soon, and never a traceback."""

import io
import json
import random
import tarfile

import datasets
import pyarrow.parquet as pq
import pytest
from fdistill.data.archives import read_members
from fdistill.data.sources import source_module
from fdistill.data.sources.files.local_files import FORMATS
from fdistill.data.sources.files.rows import BadRow
from fdistill.runtime.errors import UserError
from published_files import write

SEED = 20231
ROWS = [{"source": f'source {n}, with "words" ș\t{n}', "target": f"target\u2028{n}"} for n in range(12)]
PIECES = [
    *(b'"', b"\r", b"\n", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf"),
    *(b",", b"\t", b"{", b"[" * 3000, b"\\ud800", b"1e999"),
]


def damaged(content, chance):
    """The content with a few bits flipped, cut off, or with pieces put in, taken out or repeated."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at, other = sorted(chance.randrange(len(data) + 1) for _ in range(2))
        kind = chance.randrange(5)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del data[max(at, 1) :]
        elif kind == 2:
            data[at:at] = chance.choice(PIECES)
        elif kind == 3:
            del data[at : min(other, at + 40)]
        else:
            data[at:at] = data[other : other + 40]
    return bytes(data)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet", ".source"])
def test_damaged_files_make_a_corpus_of_text_or_are_refused_by_name(tmp_path, suffix):
    chance = random.Random(SEED)
    write(path := tmp_path / f"all{suffix}", ROWS)
    whole, made = path.read_bytes(), 0
    options = {"path": dict.fromkeys(("train", "dev", "test"), str(path)), "on_bad_rows": "drop"}
    for _ in range(100):
        path.write_bytes(damaged(whole, chance))
        try:
            corpus = source_module("files").load({}, options)
        except UserError as error:
            assert str(tmp_path) in str(error)
            continue
        made += 1
        for example in corpus.splits["train"]:
            json.dumps([example.source, *example.references], ensure_ascii=False).encode()
    assert 0 < made < 100


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_no_row_is_lost_when_one_line_is_bad(tmp_path, suffix):
    """As many rows come out, good and bad, as lines went in, and no text runs over lines."""
    chance = random.Random(SEED)
    write(path := tmp_path / f"all{suffix}", [{"source": f"s{n}", "target": f"t{n}"} for n in range(9)])
    lines = path.read_bytes().splitlines(keepends=True)
    for _ in range(100):
        number = chance.randrange(1, len(lines))
        line = lines[number].rstrip()
        at = chance.randrange(len(line) + 1)
        bad = line[:at] + chance.choice([b'"', b"\xff", b",", b"\t", b"{", b'"x']) + line[at:] + b"\n"
        path.write_bytes(b"".join([*lines[:number], bad, *lines[number + 1 :]]))
        rows = list(FORMATS[suffix](path))
        assert sum(row.count for row in rows) == 9, bad
        good = [row.values for row in rows if not isinstance(row, BadRow)]
        assert not any("\n" in text for values in good for text in values.values()), bad


def test_bits_of_a_compressed_archive(tmp_path):
    """A flipped bit changes no text without a word."""
    chance = random.Random(SEED)
    members = {f"{name}.{side}": f"{side} {name}\n" * 40 for name in ("train", "val") for side in ("source", "target")}
    path, refused = tmp_path / "a.tar.gz", 0
    make_archive(path, members)
    whole = path.read_bytes()
    for _ in range(200):
        content = bytearray(whole)
        content[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        try:
            read = {name: content.decode() for name, content in read_members(path, lambda name: True)}
        except UserError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            assert read == members
    assert refused > 180  # the others are in gzip's header, which has a time and a name


def make_archive(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))


@pytest.mark.parametrize("kind", ["wmt16", "xsum"])
def test_a_damaged_archive_of_a_published_data_set_in_the_cache(tmp_path, monkeypatch, kind):
    """It may have been put there by hand, so that nothing else has looked at it."""
    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", tmp_path)
    place = source_module(kind).DATASET.places[-1]
    path = tmp_path / place.urls[0].removeprefix("https://")
    path.parent.mkdir(parents=True)
    make_archive(path, {f"{n}.{s}": "one\n" for n in ("train", "val", "test") for s in ("source", "target")})
    content = bytearray(path.read_bytes())
    assert place.read()
    content[-5] ^= 1  # of the checksum
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged archive"):
        place.read()


def test_bits_of_a_parquet_file_with_checksums(tmp_path):
    chance = random.Random(SEED)
    write(path := tmp_path / "a.parquet", ROWS)
    pq.write_table(pq.read_table(path), path, write_page_checksum=True)
    whole = path.read_bytes()
    for _ in range(100):
        content = bytearray(whole)
        content[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        try:
            for row in FORMATS[".parquet"](path):
                assert isinstance(row, BadRow) or isinstance(row.values, dict)
        except UserError as error:
            assert str(path) in str(error)
