"""What the published data sets share: given splits, from the hub or from files, whose sizes are known."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from fdistill.data.sources import Corpus, Example
from fdistill.data.sources.hub import Hub
from fdistill.data.sources.local_files import Reader, read_files
from fdistill.data.sources.rows import SPLITS, Row
from fdistill.errors import UserError
from fdistill.files import sha256

SPLIT_RULE = "as published"

AsExamples = Callable[[Row, str], Iterable[Example]]  # (row, id) -> the examples that it holds


@dataclass(frozen=True)
class Options:
    """The task file's `source:` mapping, as far as all published data sets have it."""

    path: dict[str, str] | None = field(default_factory=dict)  # a file per split; without: the hub
    expected_counts: dict[str, int] | None = field(default_factory=dict)  # per split; without: any

    def __post_init__(self):
        for key, type_, what in (("path", str, "a file"), ("expected_counts", int, "a whole number")):
            given = getattr(self, key)
            if given and (set(given) != set(SPLITS) or not all(type(v) is type_ for v in given.values())):
                raise UserError(f"source.{key}: {given!r} does not give {what} for each of {', '.join(SPLITS)}")


def read_corpus(
    split_rule: str, options: Options, hub: Hub, readers: dict[str, Reader], as_examples: AsExamples
) -> Corpus:
    """A corpus of the examples of every row, in order, from `options.path` or else from the hub.

    `readers` are those of the data set's own file formats, by suffix.
    """
    corpus = Corpus({}, split_rule)
    if options.path:
        rows, files = read_files(options.path, readers)
        corpus.origins = [
            {"package": file.name, "version": "local file", "licence": "not stated", "sha256": sha256(file)}
            for file in files
        ]
    else:
        rows, origin = hub.read()
        corpus.origins = [origin]
    for split in SPLITS:
        numbered = enumerate(rows[split])
        corpus.splits[split] = [one for n, row in numbered for one in as_examples(row, f"{split}/{n}")]
    return corpus


def finish(corpus: Corpus, expected: dict[str, int] | None) -> Corpus:
    """Check the splits' sizes, then leave out what is blank, which nothing can learn from or be scored by.

    The sizes are those that papers give, and they count everything. Raises UserError with both numbers.
    """
    found = {split: len(corpus.splits[split]) for split in SPLITS}
    wrong = [
        f"{split} has {found[split]:,} examples, not {expected[split]:,}"
        for split in SPLITS
        if expected and found[split] != expected[split]
    ]
    if wrong:
        raise UserError(
            f"source.expected_counts: {'; '.join(wrong)}. Is this the whole data set, and the right version? "
            "To take it as it is, set source.expected_counts to null in the task file"
        )
    for split, examples in corpus.splits.items():
        kept = [one for one in map(_without_blanks, examples) if one.source.strip() and one.references]
        corpus.count(f"{split}: source and reference not blank", len(examples), len(kept))
        corpus.splits[split] = kept
    return corpus


def _without_blanks(example: Example) -> Example:
    return replace(example, references=tuple(text for text in example.references if text.strip()))


def one_line(text: str) -> str:
    """The text on one line, with single spaces."""
    return " ".join(text.split())
