"""XSum (Narayan et al. 2018): a BBC article -> its one-sentence summary."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from fdistill.data.archives import read_members
from fdistill.data.lines import one_line
from fdistill.data.sources import SPLITS, Corpus, Example
from fdistill.data.sources.files.rows import SPLIT_NAMES, Row, Rows
from fdistill.data.sources.files.text_files import json_document
from fdistill.data.sources.options import read_options
from fdistill.data.sources.published.dataset import Published, finish, read_corpus
from fdistill.data.sources.published.dataset import PublishedOptions as Options
from fdistill.data.sources.published.hub import PARQUET_BRANCH, Hub
from fdistill.data.sources.published.web import WebFiles, archived_pairs, decoded
from fdistill.runtime.errors import UserError

ARCHIVES = ()
REPOSITORY = "EdinburghNLP/xsum"

SECTIONS = {"FIRST-SENTENCE": "summary", "RESTBODY": "document"}  # in the authors' files -> columns on the hub
# Lines of the web pages that are in the authors' files but not in the articles on the hub.
BUTTONS = {
    *("Share this with", "Email", "Facebook", "Messenger", "Twitter", "Pinterest", "WhatsApp", "LinkedIn", "Linkedin"),
    *("Copy this link", "These are external links and will open in a new window"),
}


def load(archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus (see `fdistill.data.sources.source_module`)."""
    chosen = read_options(Options, options)
    return finish(read_corpus(DATASET, chosen), chosen.expected_counts)


def as_examples(row: Row, id: str) -> list[Example]:
    """Return an article with its summary, both on one line, as in the data that BART was fine-tuned on."""
    return [Example(id, id, one_line(row.text("document")), (one_line(row.text("summary")),))]


def summary_files(files: list[Path]) -> Rows:
    """Read the authors' archive, with a file per article, in the order of their list of ids per split."""
    archive, list_file = files
    ids = {SPLIT_NAMES.get(split, split): names for split, names in json_document(list_file).items()}
    if set(ids) != set(SPLITS):
        raise UserError(
            f"{list_file}: has ids of {', '.join(ids)}, not of train, validation and test; delete it and run again"
        )
    wanted = {name for names in ids.values() for name in names}
    articles = {}
    for member, content in read_members(archive, lambda member: member.endswith(".summary")):
        name = PurePosixPath(member).name.removesuffix(".summary")
        if name in wanted:
            articles[name] = content
    if missing := wanted - articles.keys():
        raise UserError(
            f"{archive}: lacks {len(missing):,} of the {len(wanted):,} articles of {list_file.name} (one is "
            f"{min(missing)}.summary); the file is incomplete, delete it and run again"
        )

    def rows(names: list[str]) -> Iterator[Row]:
        for name in names:
            place = f"{archive}, {name}.summary"
            yield Row(place, sections(decoded(articles.pop(name), place)))  # pop frees memory

    return {split: rows(names) for split, names in ids.items()}


def sections(text: str) -> dict[str, str]:
    """Return the sections of an article's file, each headed by `[SN]NAME[SN]`, by their names on the hub."""
    parts = re.split(r"\[SN\](.*?)\[SN\]", text)[1:]
    bodies = (
        "\n".join(line for line in body.splitlines() if line.strip() and line.strip() not in BUTTONS)
        for body in parts[1::2]
    )
    return {SECTIONS.get(name, name): body for name, body in zip(parts[::2], bodies, strict=True)}


DATASET = Published(
    name="XSum",
    licence="unknown",  # as the hub states it
    places=(
        Hub(REPOSITORY),
        Hub(REPOSITORY, revision=PARQUET_BRANCH),
        WebFiles(
            (
                "http://bollin.inf.ed.ac.uk/public/direct/XSUM-EMNLP18-Summary-Data-Original.tar.gz",
                "https://raw.githubusercontent.com/EdinburghNLP/XSum/master/XSum-Dataset/"
                "XSum-TRAINING-DEV-TEST-SPLIT-90-5-5.json",
            ),
            summary_files,
        ),
        WebFiles(("https://cdn-datasets.huggingface.co/summarization/xsum.tar.gz",), archived_pairs),
    ),
    as_examples=as_examples,
    columns=("document", "summary"),
    local_files="JSON lines, CSV, TSV or Parquet with the columns document and summary, or .source with .target",
)
