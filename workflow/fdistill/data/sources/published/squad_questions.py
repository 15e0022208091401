"""Question generation from SQuAD 1.1 (Rajpurkar et al. 2016): a paragraph and an answer in it -> the question.

A source is `{paragraph}; answer: {answer}` with the first of a question's answers, as in the code of Calderon et al.
2023. Every question is an example, and its group is the Wikipedia article.

The data set has no public test split. As in that code, its development split serves for both: questions of some
articles are dev, those of the others test. The code samples the questions regardless of articles, so that dev and test
share paragraphs.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from fdistill.data.lines import one_line
from fdistill.data.sources import Corpus, Example
from fdistill.data.sources.files.local_files import FORMATS as TABLES
from fdistill.data.sources.files.local_files import expanded
from fdistill.data.sources.files.rows import Row, Rows
from fdistill.data.sources.files.text_files import json_document
from fdistill.data.sources.filters import shuffled
from fdistill.data.sources.options import read_options
from fdistill.data.sources.published.dataset import Published, PublishedOptions, finish, read_corpus
from fdistill.data.sources.published.hub import PARQUET_BRANCH, Hub
from fdistill.data.sources.published.web import WebFiles
from fdistill.runtime.errors import UserError

ARCHIVES = ()
REPOSITORY = "rajpurkar/squad"
FILES = "https://rajpurkar.github.io/SQuAD-explorer/dataset/"


def load(archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus (see `fdistill.data.sources.source_module`)."""
    chosen = read_options(Options, options)
    corpus = read_corpus(DATASET, chosen)
    corpus.check_sizes(chosen.expected_counts)  # published are the sizes before the division
    if not chosen.path or _is_one_file(chosen.path["dev"], chosen.path["test"]):
        divide(corpus, chosen.dev_size)
    return finish(corpus, expected=None)


def _is_one_file(*names: str) -> bool:
    """Return whether all names, however they are spelt, are those of one file."""
    return len({expanded(name).resolve() for name in names}) == 1


def divide(corpus: Corpus, dev_size: int) -> None:
    """Leave in `dev` the first articles, in a fixed pseudo-random order, that have `dev_size` questions together.

    `test`, which has the same questions, keeps the other articles. Raises UserError when there is none.
    """
    questions = Counter(example.group for example in corpus.splits["dev"])
    size, of_dev = 0, set()
    for article in shuffled(questions, key=str):
        if size < dev_size:
            size += questions[article]
            of_dev.add(article)
    if len(of_dev) == len(questions):
        raise UserError(
            f"source.dev_size: {dev_size:,} leaves no article for test (the public development split has "
            f"{sum(questions.values()):,} questions about {len(questions):,} articles); lower it in the task file"
        )
    for split, kept in (("dev", of_dev), ("test", questions.keys() - of_dev)):
        examples = [example for example in corpus.splits[split] if example.group in kept]
        corpus.count(f"{split}: its articles of the public development split", sum(questions.values()), len(examples))
        corpus.splits[split] = examples
    corpus.split_rule += "; the development split is divided into dev and test by article"


def as_examples(row: Row, id: str) -> list[Example]:
    """Return a question with its paragraph and its first answer, each on one line."""
    source = f"{one_line(row.text('context'))}; answer: {one_line(answers(row)[0])}"
    return [Example(id, row.text("title"), source, (one_line(row.text("question")),))]


def answers(row: Row) -> list[str]:
    """Return the answers of a question; raises UserError when they have another form, or there is none.

    They are a list of mappings in the authors' files, and a mapping of lists on the hub.
    """
    value = row.get("answers")
    if isinstance(value, list) and all(isinstance(answer, dict) for answer in value):
        value = {"text": [answer.get("text") for answer in value]}
    texts = value.get("text") if isinstance(value, dict) else None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise row.wrong("answers", "a list of {text, answer_start} or {text: [...], answer_start: [...]}")
    if not texts:
        raise row.wrong("answers", "a list with an answer, as every question of SQuAD 1.1 has (2.0 has others too)")
    return texts


def json_questions(file: Path) -> Iterator[Row]:
    """Yield the questions of one of the authors' JSON files, which has articles of paragraphs of questions."""
    for article in rows_of(Row(f"{file}", json_document(file)), "data", "article"):
        for paragraph in rows_of(article, "paragraphs", "paragraph"):
            shared = {"title": article.get("title"), "context": paragraph.get("context")}
            for question in rows_of(paragraph, "qas", "question"):
                values = question.values if isinstance(question.values, dict) else {}
                yield Row(question.place, values | shared)


def rows_of(row: Row, key: str, name: str) -> Iterator[Row]:
    """Yield the elements of a list of a row; raises UserError when there is no list."""
    values = row.get(key)
    if not isinstance(values, list):
        raise UserError(f"{row.place}: '{key}' is not a list; give a file of SQuAD 1.1, such as dev-v1.1.json")
    for number, value in enumerate(values, start=1):
        yield Row(f"{row.place}, {name} {number}", value)


def web_rows(files: list[Path]) -> Rows:
    """Read the authors' files for train and dev, of which dev is test too."""
    train, dev = files
    return {"train": json_questions(train), "dev": json_questions(dev), "test": json_questions(dev)}


FORMATS = TABLES | {".json": json_questions}
DATASET = Published(
    name="SQuAD",
    licence="CC-BY-SA-4.0",
    places=(
        Hub(REPOSITORY, test="dev"),
        Hub(REPOSITORY, revision=PARQUET_BRANCH, test="dev"),
        WebFiles((f"{FILES}train-v1.1.json", f"{FILES}dev-v1.1.json"), web_rows),
    ),
    as_examples=as_examples,
    columns=("title", "context", "question", "answers"),
    local_files="the authors' train-v1.1.json and dev-v1.1.json, the latter for dev and test, JSON lines or Parquet "
    "with the columns title, context, question and answers, or .source with .target",
)


@dataclass(frozen=True)
class Options(PublishedOptions):
    """The options of a task file's `source:`."""

    formats: ClassVar = FORMATS
    dev_size: int = 1570  # questions at least of the articles that are dev; not used if `path` has a file for each
