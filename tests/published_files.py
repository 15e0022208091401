"""Small files in the formats of published data sets, and the corpora that they make."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
from fdistill.data.sources import source_module

PAIR = {"document": "A long\n\nstory.", "summary": "Short."}


def write(path, content):
    """A file from text, from bytes, or (as its suffix says) from rows."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(content), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    else:
        path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def load(tmp_path, kind, suffix, train, dev=None, test=None, test_suffix=None, **options):
    """The corpus of local files; dev and test are train's unless given."""
    contents = {
        "train": train,
        "dev": train if dev is None else dev,
        "test": train if test is None else test,
    }
    path = {
        split: write(tmp_path / f"{split}{(test_suffix if split == 'test' else None) or suffix}", content)
        for split, content in contents.items()
    }
    return source_module(kind).load({}, {"kind": kind, "path": path, **options})


def pairs(corpus, split):
    """(source, reference, ...) of each example."""
    return [(example.source, *example.references) for example in corpus.splits[split]]
