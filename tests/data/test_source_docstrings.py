"""Docstrings: summary and body, filters, and splits by package, on made-up wheels."""

import zipfile
from pathlib import Path

import pytest
from fdistill.data.sources import load
from fdistill.data.sources.embedded.docstring_text import letter_share, parse, plain
from fdistill.data.sources.embedded.docstring_wheels import ARCHIVES, DEV_PACKAGES, TEST_PACKAGES
from fdistill.runtime.errors import UserError


def body(word: str, count: int = 40) -> str:
    """Prose that shares no 8-gram with that of another word."""
    return " ".join(f"{word}{'abcdefghij'[i % 10]}{'klmnopqrst'[i // 10 % 10]}" for i in range(count)) + "."


def function(summary: str, text: str, name: str = "f") -> str:
    return f'def {name}():\n    """{summary}\n\n    {text}\n    """\n'


@pytest.fixture
def write(tmp_path):
    """Write wheels with these files, by package; every other package of the source gets an empty wheel."""

    def write(packages: dict[str, dict[str, str]]) -> dict[str, Path]:
        paths = {archive.package: tmp_path / archive.filename for archive in ARCHIVES}
        for package, path in paths.items():
            with zipfile.ZipFile(path, "w") as wheel:
                wheel.writestr("empty.py", "")
                for name, content in packages.get(package, {}).items():
                    wheel.writestr(name, content)
        return paths

    return write


def everything(corpus) -> list:
    return [example for split in corpus.splits.values() for example in split]


NUMPYDOC = """Sort an array along :func:`an axis <numpy.axis>`.

This function sorts ``a`` with :class:`~sorting.Quick` (see [1]_), or *stably*, as
`the guide <https://example.org>`_ explains\\\\:

.. versionadded:: 1.0
   Not before.

- first bullet
- second bullet

    indented code

>>> sort([2, 1])
[1, 2]

A display follows::

    x = 1

::

    y = 1

Parameters
----------
a : array
    What to sort.

Notes
-----
The notes are prose, too.

References
----------
.. [1] Somebody, "A title".
"""


def test_a_docstring_is_a_summary_and_the_prose_of_its_body():
    assert parse(NUMPYDOC.replace("\\\\", "\\")) == (
        "Sort an array along an axis.",
        "This function sorts a with Quick, or stably, as the guide explains: first bullet second bullet "
        "A display follows: The notes are prose, too.",
    )


def test_headings_with_a_colon_and_fields_are_dropped():
    fields = ":param x: not this\n    nor this\n:returns: nothing"
    text = f"Do it.\n\nAt once.\n\n{fields}\n\nReturns:\n    A thing.\n\nOr this."
    assert parse(text) == ("Do it.", "At once.")


@pytest.mark.parametrize(
    "docstring",
    [
        "sort(a)\n\nSort an array.",
        "Sort an array\n\nMore.",
        "Sort an array. Then stop.\n\nMore.",
        "Parameters\n----------\nA thing.\n\nMore.",
    ],
)
def test_a_first_paragraph_that_is_no_sentence(docstring):
    assert parse(docstring) is None


def test_a_wrapped_sentence_is_one_line():
    assert parse("Sort an\n array.\n\nMore.") == ("Sort an array.", "More.")


@pytest.mark.parametrize(
    ("marked", "text"),
    [
        (":meth:`.Session.merge` and :mod:`!re`", "Session.merge and re"),
        ("``x*y`` and `z`", "x*y and z"),
        ("**bold** and *slanted* but 2 * 3 * 4, a**b**c and *args, **kwargs", None),
        ("two\n  lines", "two lines"),
        ("a |Table| of [a2]_.", "a Table of."),
    ],
)
def test_plain(marked, text):
    expected = text or "bold and slanted but 2 * 3 * 4, a**b**c and *args, **kwargs"
    assert plain(marked) == expected


def test_letter_share():
    assert letter_share("ab c1") == 0.75
    assert letter_share(" ") == 0


def test_modules_classes_and_functions_are_read_but_not_run(write, tmp_path):
    ran = tmp_path / "ran"
    code = (
        f'"""Module of things.\n\n{body("module")}\n"""\nopen({str(ran)!r}, "w").close()\n'
        f'class A:\n    """Class of things.\n\n    {body("class")}\n    """\n\n'
        f'    async def f(self):\n        """Function of things.\n\n        {body("function")}\n        """\n'
        "pattern = '\\d'\n"  # a string escape that Python warns about
    )
    corpus = load("docstrings", write({"numpy": {"numpy/a.py": code, "numpy/a.pyi": code}}), {})
    assert {e.references[0]: e.source for e in everything(corpus)} == {
        "Module of things.": body("module"),
        "Class of things.": body("class"),
        "Function of things.": body("function"),
    }
    assert {e.group for e in everything(corpus)} == {"numpy"}
    assert not ran.exists()


def test_packages_are_split_as_listed(write):
    files = {a.package: {"x/m.py": function("Do the thing.", body(a.package.replace("-", "")))} for a in ARCHIVES}
    files = {package: {f"{package}/m.py": code["x/m.py"]} for package, code in files.items()}
    corpus = load("docstrings", write(files), {})
    groups = {name: {e.group for e in split} for name, split in corpus.splits.items()}
    assert groups["dev"] == set(DEV_PACKAGES)
    assert groups["test"] == set(TEST_PACKAGES)
    assert groups["train"] == {a.package for a in ARCHIVES} - groups["dev"] - groups["test"]
    assert len({e.id for e in everything(corpus)}) == len(ARCHIVES)


@pytest.mark.parametrize(
    ("step", "summary", "text"),
    [
        ("one sentence", "do the thing.", body("a")),
        ("30 words", "Do the thing.", body("a", 29)),
        ("3 to 30 words", "Do it.", body("a")),
        ("3 to 30 words", "Do " + "the " * 30 + "thing.", body("a")),
        ("88% letters", "Do the thing.", body("a") + " 1" * 40),
        ("no TeX", "Do the thing.", body("a") + " \\\\alpha"),
        ("not in the body", "Do the thing.", body("a") + " Then do the thing again."),
    ],
)
def test_each_filter_drops_what_it_names_and_counts_it(write, step, summary, text):
    code = function(summary, text) + function("Keep the thing.", body("b"), "g")
    corpus = load("docstrings", write({"numpy": {"numpy/m.py": code}}), {})
    assert [e.references[0] for e in everything(corpus)] == ["Keep the thing."]
    dropped = [entry["step"] for entry in corpus.counts if entry["before"] != entry["after"]]
    assert len(dropped) == 1
    assert step in dropped[0]


def test_near_duplicates_do_not_cross_or_fill_the_splits(write):
    half = " ".join(body("a", 40).split()[:15])  # 15 words of 45: 8 of 38 8-grams are shared
    files = {
        "numpy": {"numpy/m.py": function("Do the thing.", body("a"))},
        "statsmodels": {"statsmodels/m.py": function("Do something else.", body("a") + " Or not.")},
        "scipy": {"scipy/m.py": function("Do another thing.", f"{half} {body('c', 30)}")},
    }
    corpus = load("docstrings", write(files), {})
    summaries = {e.references[0] for e in everything(corpus)}
    assert "Do another thing." in summaries
    assert len(summaries & {"Do the thing.", "Do something else."}) == 1


def test_the_body_is_cut_after_so_many_words(write):
    archives = write({"numpy": {"numpy/m.py": function("Do the thing.", body("a", 60))}})
    (example,) = everything(load("docstrings", archives, {"body_words": 35}))
    assert example.source == " ".join(body("a", 60).split()[:35])


@pytest.mark.parametrize(
    "name", ["numpy/tests/m.py", "numpy/testing/m.py", "numpy/test_m.py", "numpy/extern/m.py", "numpy/m.txt"]
)
def test_tests_and_vendored_code_are_left_out(write, name):
    assert everything(load("docstrings", write({"numpy": {name: function("Do the thing.", body("a"))}}), {})) == []


def test_sizes_take_a_fixed_sample(write):
    code = "".join(function("Do the thing.", body(f"word{c}"), c) for c in "abcdefghijklmnopqrst")
    archives = write({"numpy": {"numpy/m.py": code}, "networkx": {"networkx/m.py": code.replace("word", "other")}})
    whole = load("docstrings", archives, {}).splits
    assert load("docstrings", archives, {}).splits == whole
    assert [len(whole[name]) for name in ("train", "dev", "test")] == [20, 20, 0]
    some = load("docstrings", archives, {"train_size": 5, "dev_size": 3}).splits
    assert some == {"train": whole["train"][:5], "dev": whole["dev"][:3], "test": []}


def test_a_module_that_is_not_python(write):
    with pytest.raises(UserError, match=r"numpy-.*whl: 'numpy/m.py' cannot be parsed"):
        load("docstrings", write({"numpy": {"numpy/m.py": "def f(:"}}), {})


def test_bad_options_are_named():
    with pytest.raises(UserError, match=r"source.body_words: '40' is not a whole number above 0"):
        load("docstrings", {}, {"body_words": "40"})
