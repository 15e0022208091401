"""ART (Bhagavatula et al. 2020), abductive generation: two observations -> what happened in between.

A source is `{first observation}; outcome: {second observation}`, as in the code of Calderon et al. 2023.

Train has an example per row. Several people explained the same observations: in dev and test these rows are one
example, whose references are all their explanations.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from fdistill.data.archives import read_members
from fdistill.data.lines import one_line
from fdistill.data.sources import SPLITS, Corpus, Example
from fdistill.data.sources.files.rows import Row, Rows
from fdistill.data.sources.files.text_files import json_value
from fdistill.data.sources.options import read_options
from fdistill.data.sources.published.dataset import Published, finish, read_corpus
from fdistill.data.sources.published.dataset import PublishedOptions as Options
from fdistill.data.sources.published.hub import PARQUET_BRANCH, Hub
from fdistill.data.sources.published.web import WebFiles, decoded
from fdistill.data.sources.splits import one_per_source
from fdistill.runtime.errors import UserError

ARCHIVES = ()
REPOSITORY = "GEM/ART"
ARCHIVE = "https://storage.googleapis.com/ai2-mosaic/public/abductive-commonsense-reasoning-iclr2020/anlg.zip"
FILES = {f"{split}-w-comet-preds.jsonl": split for split in SPLITS}  # of the archive; inferences of COMET are unused


def load(archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus (see `fdistill.data.sources.source_module`)."""
    chosen = read_options(Options, options)
    corpus = read_corpus(DATASET, chosen)
    for split in ("dev", "test"):
        merged = one_per_source(corpus.splits[split])
        corpus.count(f"{split}: rows with the same observations merged", len(corpus.splits[split]), len(merged))
        corpus.splits[split] = merged
    corpus.split_rule += "; rows of dev and test with the same observations are one example"
    return finish(corpus, chosen.expected_counts)


def as_examples(row: Row, id: str) -> list[Example]:
    """Return the observations and their explanation, all on one line; the group is the observations."""
    first, second, explanation = (one_line(text) for text in texts(row))
    source = f"{first}; outcome: {second}" if first and second else ""
    return [Example(id, source, source, (explanation,))]


def texts(row: Row) -> tuple[str, str, str]:
    """Return the two observations and the explanation.

    The authors' rows have two hypotheses and the number of the plausible one, the hub's that one as `target`.
    """
    if not row.has("obs1"):
        return row.text("observation_1"), row.text("observation_2"), row.text("target")
    label = str(row.get("label"))
    if label not in ("1", "2"):
        raise row.wrong("label", "1 or 2, the number of the plausible hypothesis")
    return row.text("obs1"), row.text("obs2"), row.text(f"hyp{label}")


def archived_rows(files: list[Path]) -> Rows:
    """Read the authors' archive, with a file of JSON lines per split."""
    (archive,) = files
    rows = {}
    for member, content in read_members(archive, lambda member: PurePosixPath(member).name in FILES):
        name = PurePosixPath(member).name
        rows[FILES[name]] = _rows(f"{archive}, {name}", content)
    if missing := [name for name, split in FILES.items() if split not in rows]:
        raise UserError(f"{archive}: lacks {', '.join(missing)}: not the expected archive; delete it and run again")
    return rows


def _rows(place: str, content: bytes) -> Iterator[Row]:
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            line_place = f"{place}, line {number}"
            yield Row(line_place, json_value(decoded(line, line_place), line_place))


DATASET = Published(
    name="ART",
    licence="Apache-2.0",
    places=(
        Hub(REPOSITORY),
        Hub(REPOSITORY, revision=PARQUET_BRANCH),
        WebFiles((ARCHIVE,), archived_rows),
    ),
    as_examples=as_examples,
    columns=("observation_1", "observation_2", "target", "obs1", "obs2", "hyp1", "hyp2", "label"),
    local_files="the authors' JSON lines, a table with their columns obs1, obs2, hyp1, hyp2 and label or with the "
    "hub's observation_1, observation_2 and target, or .source with .target",
)
