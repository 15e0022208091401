"""Prepares a task's data: its splits as Parquet, and a manifest of origin, filters, sizes and leakage."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import sha256, write_json, write_parquet
from fdistill.artifacts.lineage import DATA, TASK
from fdistill.artifacts.lineage import SPLIT as SPLIT_NAME
from fdistill.data import sources
from fdistill.data.archives import fetch
from fdistill.data.leakage import leakage
from fdistill.data.schemas import SPLIT
from fdistill.data.sources import SPLITS, UNLABELLED
from fdistill.data.unlabelled import SHARE, hold_out_labels
from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)

FILES = (*SPLITS, UNLABELLED)  # what is written, a file each


def prepare(
    kind: str,
    options: dict[str, Any],
    cache: Path,
    outputs: dict[str, Path],
    manifest: Path | None = None,
    task: str | None = None,
    written: dict[str, Path] | None = None,
) -> None:
    """Fetch, build and check one task's data, and write what is asked for.

    `kind` and `options` are the task file's `source:`, `cache` is the folder of downloaded packages, and `outputs` has
    the Parquet files to write, by name (`FILES`); that of unlabelled inputs has no rows if the task has none. `written`
    has those of `FILES` that another job wrote, whose hashes `manifest` needs too. `task` is the task's key, for the
    lineage. Raises UserError, before anything is written, when a source file is missing or
    damaged, and as `checked_corpus` does.
    """
    archives = sources.source_module(kind).ARCHIVES
    corpus = checked_corpus(kind, fetch(archives, cache), options)
    splits = _by_file(corpus)
    lineage = {DATA: _fingerprint(corpus)} | ({} if task is None else {TASK: task})
    overlap = None if manifest is None else leakage(corpus.splits, corpus.unlabelled)
    for name, file in outputs.items():
        columns = {key: [getattr(example, key) for example in splits[name]] for key in SPLIT.names}
        write_parquet(file, columns, SPLIT, {"lineage": lineage, SPLIT_NAME: name})
        log.info("%s: %d examples", name, len(splits[name]))
    if manifest is None:
        return
    write_json(
        manifest,
        {
            "source": {"kind": kind, **options},
            "archives": [vars(archive) for archive in archives] + corpus.origins,
            "counts": corpus.counts,
            "dropped": corpus.dropped,
            "split_rule": corpus.split_rule,
            "splits": {name: len(splits[name]) for name in FILES},
            "references": {name: sum(len(e.references) for e in corpus.splits[name]) for name in SPLITS},
            "leakage": overlap,
            "sha256": {name: sha256(file) for name, file in {**(written or {}), **outputs}.items()},
            "lineage": lineage,
        },
    )


def checked_corpus(kind: str, archives: dict[str, Path], options: dict[str, Any]) -> sources.Corpus:
    """Return a task's corpus, with the labels held out that `options` ask for (see `hold_out_labels`).

    Raises UserError when a split is empty, or a file of unlabelled inputs after filters, when an example is blank, and
    when an id occurs twice.
    """
    corpus = sources.load(kind, archives, {key: value for key, value in options.items() if key != SHARE})
    for name in SPLITS:
        if not corpus.splits[name]:
            raise UserError(f"{name}: the split is empty after filtering; relax the source's options in the task file")
    if UNLABELLED in (options.get("path") or {}) and not corpus.unlabelled:
        raise UserError(f"source.path.{UNLABELLED}: no input is left after filtering; relax the source's options")
    if (share := options.get(SHARE)) is not None:
        hold_out_labels(corpus, share)
    split_of: dict[str, str] = {}
    for name, examples in _by_file(corpus).items():
        _check(name, examples, split_of)
    return corpus


def _by_file(corpus: sources.Corpus) -> dict[str, list[sources.Example]]:
    """Return the examples of each of `FILES`, in their order."""
    return {name: corpus.splits[name] for name in SPLITS} | {UNLABELLED: corpus.unlabelled}


def _fingerprint(corpus: sources.Corpus) -> str:
    """SHA-256 of the splits, which identifies this version of the data.

    It is the same with other unlabelled inputs, so that a teacher stays the one of these data; what is made of the
    inputs has the hash of their file.
    """
    digest = hashlib.sha256()
    for name, examples in corpus.splits.items():
        for example in examples:
            digest.update(json.dumps([name, *vars(example).values()]).encode())
    return digest.hexdigest()


def _check(name: str, examples: list[sources.Example], split_of: dict[str, str]) -> None:
    """Raise UserError for an example that is blank or has a known id; `split_of` has the ids of all splits so far."""
    for example in examples:
        if not example.source.strip() or not all(reference.strip() for reference in example.references):
            raise UserError(f"{name}: example '{example.id}' has an empty source or reference; fill it in or remove it")
        if name != UNLABELLED and not example.references:
            raise UserError(f"{name}: example '{example.id}' has no reference; add one or remove it")
        if example.id in split_of:
            place = "twice" if split_of[example.id] == name else f"in {split_of[example.id]} too"
            raise UserError(f"{name}: id '{example.id}' occurs {place}; ids must be unique within the task")
        split_of[example.id] = name
