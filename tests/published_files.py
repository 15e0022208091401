"""Small files in the formats of published data sets, and the corpora that they make."""

import csv
import json
from dataclasses import replace

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from fdistill.data.sources import source_module

PAIR = {"document": "A long\n\nstory.", "summary": "Short."}


def write(path, content):
    """Write text, bytes, or rows in the format of the suffix; return the path as text."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(content if isinstance(content, pa.Table) else pa.Table.from_pylist(content), path)
    elif path.suffix in (".jsonl", ".ndjson"):
        path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    elif path.suffix in (".csv", ".tsv"):
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, content[0], delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(content)
    elif path.suffix == ".source":
        for side in ("source", "target"):
            path.with_suffix(f".{side}").write_text("".join(f"{row[side]}\n" for row in content), encoding="utf-8")
    else:
        path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def load(tmp_path, kind, suffix, train, dev=None, test=None, test_suffix=None, **options):
    """The corpus of local files; dev and test equal train unless given."""
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


def only_from(monkeypatch, kind, *places):
    """Make these the only places of a kind's data set; return its module."""
    module = source_module(kind)
    monkeypatch.setattr(module, "DATASET", replace(module.DATASET, places=places))
    return module


def publish(monkeypatch, tmp_path, hub, rows, splits=("train", "validation", "test")):
    """The hub's place as a local folder that its own library reads; rows by split, or the same for all."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    repository, config = tmp_path / hub.id.replace("/", "_"), hub.config or "default"
    for split in splits:
        (repository / config / split).mkdir(parents=True)
        write(repository / config / split / "0000.parquet", rows[split] if isinstance(rows, dict) else rows)
    files = [{"split": split, "path": f"{config}/{split}/*"} for split in splits]
    card = {"configs": [{"config_name": config, "data_files": files}]}
    (repository / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n")
    return replace(hub, id=str(repository))
