"""Summarisation: the body of a docstring -> its summary line, which the body lacks, as in XSum.

The docstrings are those of scientific packages, whose wheels are read as archives and parsed with `ast`; none of their
modules is imported.
"""

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fdistill.data.archives import read_members
from fdistill.data.sources import Corpus, Example
from fdistill.data.sources.embedded.docstring_text import letter_share, parse
from fdistill.data.sources.embedded.docstring_wheels import ARCHIVES, DEV_PACKAGES, TEST_PACKAGES
from fdistill.data.sources.filters import Overlap, shuffled, words
from fdistill.data.sources.options import read_options
from fdistill.runtime.errors import UserError

__all__ = ["ARCHIVES", "Options", "load"]

SKIPPED = re.compile(r"(?:^|/)(?:tests?|testing|conftest\.py|externals?|extern|vendor|_vendor)(?:/|$)|/test_")
SUMMARY_WORDS = (3, 30)
BODY_WORDS = 30  # a shorter body has nothing to summarise
LETTERS = 0.88  # least share of letters among non-space characters; texts with fewer are formulae and code
ALIKE = 0.5  # largest share of its 8-grams that a body may have in common with another
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Options:
    """The options of a task file's `source:`; a size of None keeps all examples."""

    body_words: int = 400  # a longer body is cut
    train_size: int | None = None
    dev_size: int | None = None
    test_size: int | None = None


def load(archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus (see `fdistill.data.sources.source_module`)."""
    chosen = read_options(Options, options)
    dev, test = ", ".join(DEV_PACKAGES), ", ".join(TEST_PACKAGES)
    corpus = Corpus({}, split_rule=f"by package: dev {dev}; test {test}; the others train")
    raw = [entry for archive in ARCHIVES for entry in docstrings(archive.package, archives[archive.package])]
    parsed = [(id, package, parse(docstring)) for id, package, docstring in raw]
    pairs = [Example(id, package, parts.body, (parts.summary,)) for id, package, parts in parsed if parts]
    corpus.count("summary is one sentence", len(raw), len(pairs))
    pairs = select(pairs, chosen.body_words, corpus)
    for name, size in (("train", chosen.train_size), ("dev", chosen.dev_size), ("test", chosen.test_size)):
        examples = [pair for pair in pairs if split_of(pair.group) == name]
        if size is not None:
            corpus.count(f"{name}: sampled", len(examples), min(size, len(examples)))
        corpus.splits[name] = examples[:size]
    return corpus


def split_of(package: str) -> str:
    """Return the split that a package belongs to."""
    return "dev" if package in DEV_PACKAGES else "test" if package in TEST_PACKAGES else "train"


def docstrings(package: str, wheel: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (id, package, docstring) of a wheel's modules, classes and functions, without tests and vendored code."""
    for name, content in read_members(wheel, lambda name: name.endswith(".py") and not SKIPPED.search(name)):
        try:
            with warnings.catch_warnings(action="ignore"):  # from parsing others' code, about string escapes
                tree = ast.parse(content)
        except (SyntaxError, ValueError) as error:
            raise UserError(f"{wheel}: '{name}' cannot be parsed ({error}); delete the wheel and run again") from None
        for node in ast.walk(tree):
            if isinstance(node, DOCUMENTED) and (docstring := ast.get_docstring(node)):
                yield f"{name}:{getattr(node, 'lineno', 0)}", package, docstring


def select(pairs: list[Example], body_words: int, corpus: Corpus) -> list[Example]:
    """Return the pairs that pass every filter, bodies cut, in a fixed random order; `corpus` counts what each keeps."""

    def keep(step: str, kept: list[Example]) -> None:
        nonlocal pairs
        corpus.count(step, len(pairs), len(kept))
        pairs = kept

    low, high = SUMMARY_WORDS
    keep(f"body of {BODY_WORDS} words or more", [p for p in pairs if len(p.source.split()) >= BODY_WORDS])
    keep(f"summary of {low} to {high} words", [p for p in pairs if low <= len(p.references[0].split()) <= high])
    keep(f"{LETTERS:.0%} letters", [p for p in pairs if letter_share(p.source) >= LETTERS])
    keep("no TeX", [p for p in pairs if not re.search(r"\\|\$", p.source + p.references[0])])
    keep("summary not in the body", [p for p in pairs if words_of(p.references[0]) not in words_of(p.source)])
    pairs = [replace(p, source=" ".join(p.source.split()[:body_words])) for p in shuffled(pairs, lambda p: p.id)]
    keep(f"at most {ALIKE:.0%} of its 8-grams in another body", unlike(pairs))
    return pairs


def words_of(text: str) -> str:
    """Return the words with a space around each, so that `in` finds whole words only."""
    return f" {' '.join(words(text))} "


def unlike(pairs: list[Example]) -> list[Example]:
    """Return the pairs whose body is not nearly that of an earlier one."""
    overlap, kept = Overlap(n=8), []
    for pair in pairs:
        body = words(pair.source)
        if overlap(body) <= ALIKE:
            overlap.add(body)
            kept.append(pair)
    return kept
