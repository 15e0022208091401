"""Annotators' files read back: both formats, what spreadsheets make of CSV, and every mistake by its place."""

import json
import re
import shutil

import human_cases as cases
import numpy as np
import pytest
from fdistill.evaluation.human.ratings import read_ratings
from fdistill.runtime.errors import UserError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kit")
    return folder, cases.kit(folder)


@pytest.fixture
def kit(made, tmp_path):
    """A folder of its own with the kit, and the key."""
    folder, key = made
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return tmp_path, key


def expected(key, number=0):
    return [[cases.rating(key, item["item"], k, number) for k in range(3)] for item in key["items"]]


def test_both_formats_say_the_same(kit):
    folder, key = kit
    export = cases.write_export(folder / "ratings/x.json", cases.export(key, "Ana"))
    sheet = cases.write_csv(folder / "ratings/Björn.csv", cases.filled_csv(folder, key, number=1))
    read = read_ratings([export, sheet], key)
    assert read.annotators == ["Ana", "Björn"] and read.counts == {
        "Ana": 3 * len(key["items"]),
        "Björn": 3 * len(key["items"]),
    }
    assert read.values.tolist() == [expected(key), expected(key, 1)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_what_spreadsheets_make_of_the_file(kit, delimiter, encoding):
    """Other delimiters, a mark or none, blank rows and columns at the end, decimals, another order."""
    folder, key = kit
    header, *rows = cases.filled_csv(folder, key)
    for row in rows[::2]:
        row[3] = f" {row[3]},00" if delimiter == ";" else f"{row[3]}.0 "
    blank = [[""] * (len(header) + 1)] * 3
    sheet = [[*header, ""], *([*row, ""] for row in reversed(rows)), *blank]
    path = cases.write_csv(folder / "ratings/ana.CSV", sheet, delimiter, encoding)
    assert read_ratings([path], key).values.tolist() == [expected(key)]


def test_ratings_may_be_missing(kit, caplog):
    """In a row, whole rows, and of an item that the page has no answer for."""
    folder, key = kit
    caplog.set_level("INFO")
    sheet = cases.filled_csv(folder, key)
    sheet[1][3], sheet[2][3:6] = "", ["", " ", ""]
    content = cases.export(key, "Björn")
    last = key["items"][-1]["item"]
    del content["ratings"][last]["Fluency"]
    paths = [cases.write_csv(folder / "ana.csv", sheet[:-1]), cases.write_export(folder / "b.json", content)]
    read = read_ratings(paths, key)
    n = 3 * len(key["items"])
    assert read.counts == {"ana": n - 7, "Björn": n - 1} and f"ana: {n - 7} of {n} ratings" in caplog.text
    missing = [tuple(place) for place in np.argwhere(np.isnan(read.values))]
    end = len(key["items"]) - 1
    assert missing == [(0, 0, 0), (0, 1, 0), (0, 1, 1), (0, 1, 2), (0, end, 0), (0, end, 1), (0, end, 2), (1, end, 0)]


def line(number):
    return rf"ana\.csv, line {number}: "


def sheet(change):
    """A case: the rows of the CSV file, changed."""

    def write(folder, key):
        rows = cases.filled_csv(folder, key)
        rows = change(rows) or rows
        return [cases.write_csv(folder / "ratings/ana.csv", rows)]

    return write


def exported(change):
    """A case: the content of the page's export, changed."""

    def write(folder, key):
        content = cases.export(key)
        change(content)
        return [cases.write_export(folder / "ratings/ana.json", content)]

    return write


def cell(row, column, value):
    return sheet(lambda rows: rows[row].__setitem__(column, value))


def two(second, name):
    """A case: a good file, and a second one."""

    def write(folder, key):
        first = cases.write_export(folder / "ratings/ana.json", cases.export(key))
        return [first, cases.write_export(folder / "ratings" / name, second(key))]

    return write


def of_text(name, text):
    return lambda folder, key: [cases.write_export(folder / name, {}), (folder / name).write_bytes(text)][:1]


SCALE = "a rating is a whole number from 1 to 5, or left out; ask the annotator"
MISTAKES = {
    "an item of no kit": (cell(2, 0, "Q99-Z"), line(3) + 'the kit has no item "Q99-Z"; give the item its name again'),
    "an item without its name": (cell(2, 0, ""), line(3) + 'the kit has no item ""; give the item its name again'),
    "a rating twice": (
        sheet(lambda rows: [*rows, rows[1]]),
        r"line \d+: rates Q1-A a second time, after .*ana\.csv, line 2; remove one",
    ),
    "above the scale": (cell(1, 3, "6"), line(2) + f'Q1-A has "6" for Fluency; {SCALE}'),
    "below the scale": (cell(1, 4, "0"), line(2) + f'Q1-A has "0" for MissingInfo; {SCALE}'),
    "between two": (cell(1, 5, "4.5"), line(2) + f'Q1-A has "4.5" for Hallucination; {SCALE}'),
    "a word": (cell(1, 3, "good"), line(2) + f'Q1-A has "good" for Fluency; {SCALE}'),
    "a date": (cell(1, 3, "3. Jan"), line(2) + f'Q1-A has "3. Jan" for Fluency; {SCALE}'),
    "digits of another script": (cell(1, 3, "٣"), line(2) + f'Q1-A has "٣" for Fluency; {SCALE}'),
    "another kit's row": (cell(1, 6, "kit-0"), line(2) + 'belongs to the kit "kit-0", the key to kit-'),
    "a column less": (
        sheet(lambda rows: [[*row[:4], *row[5:]] for row in rows]),
        "ana.csv: has no column 'MissingInfo: How much",
    ),
    "a renamed column": (
        cell(0, 6, "Kit"),
        "ana.csv: has no column 'kit'; restore the first line of the kit's CSV file",
    ),
    "a field too many": (
        sheet(lambda rows: [*rows[:2], [*rows[2], "1"], *rows[3:]]),
        line(3) + "has 8 fields, the header 7",
    ),
    "no ratings": (
        sheet(lambda rows: [rows[0], *([*row[:3], "", "", "", row[6]] for row in rows[1:])]),
        "ana.csv: has no rating; ask for the file with the answers, or remove it",
    ),
    "a sorted column": (
        sheet(
            lambda rows: [rows[0], *([a[0], *b[1:]] for a, b in zip(rows[1:], [*rows[3:], *rows[1:3]], strict=True))]
        ),
        line(2)
        + "Q1-A stands beside another item's text: cells were sorted or moved without the rest of their row; ask",
    ),
    "another kit's export": (
        exported(lambda content: content.update(kit="kit-0")),
        'ana.json: belongs to the kit "kit-0", the key to kit-[0-9a-f]{12}; give files and key of one kit',
    ),
    "an unknown item in an export": (
        exported(lambda content: content["ratings"].update({"Q99-Z": {}})),
        'ana.json: the kit has no item "Q99-Z"; give the item its name again',
    ),
    "an unknown aspect in an export": (
        exported(lambda content: content["ratings"]["Q1-A"].update(Style=3)),
        'ana.json: the kit has no aspect "Style"; give one of Fluency, MissingInfo, Hallucination',
    ),
    "true in an export": (
        exported(lambda content: content["ratings"]["Q1-A"].update(Fluency=True)),
        f"ana.json: Q1-A has true for Fluency; {SCALE}",
    ),
    "an export of another form": (
        exported(lambda content: content.pop("annotator")),
        "ana.json: key 'annotator' is missing; no record .*; ask the annotator to export it again",
    ),
    "an empty export": (
        exported(lambda content: content["ratings"].clear()),
        "ana.json: has no rating; ask for the file",
    ),
    "a copy": (
        two(cases.export, "copy of ana.json"),
        r"copy of ana\.json: is a copy of .*ana\.json; remove one of them",
    ),
    "an annotator twice": (
        two(lambda key: cases.export(key, " ANA ", 1), "b.json"),
        r"b\.json: is a second file of this annotator, after .*ana\.json; keep the one that counts",
    ),
    "a spreadsheet": (
        of_text("ana.xlsx", b"PK\3\4"),
        "ana.xlsx: is no file of ratings; give the page's export .*save the sheet as CSV",
    ),
    "a spreadsheet by another name": (
        of_text("ana.csv", b"PK\3\4"),
        r"ana.csv: is a zip archive or a spreadsheet \(.xlsx\)",
    ),
    "another encoding": (
        of_text("ana.csv", "item,ä\n".encode("latin-1")),
        "ana.csv, line 1: not UTF-8 text .*convert it: iconv",
    ),
    "a truncated export": (
        of_text("ana.json", b'{"kit": "kit-'),
        "ana.json: not valid JSON .*ask the annotator to export it again",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_place_and_what_to_do(kit, name):
    folder, key = kit
    write, message = MISTAKES[name]
    with pytest.raises(UserError, match=f"^the ratings have mistakes:\n  .*{message}"):
        read_ratings(write(folder, key), key)


def test_the_mistakes_of_all_files_are_reported_at_once(kit):
    folder, key = kit
    rows = cases.filled_csv(folder, key)
    rows[1][3], rows[2][0] = "9", "Q0-A"
    content = cases.export(key, "Björn")
    content["ratings"]["Q1-A"]["Fluency"] = 0
    files = [cases.write_csv(folder / "ana.csv", rows), cases.write_export(folder / "b.json", content)]
    with pytest.raises(UserError) as error:
        read_ratings(files, key)
    assert re.findall(r"(\w+\.\w+)", str(error.value)) == ["ana.csv", "ana.csv", "b.json"]
    content["ratings"] = {f"x{i}": {} for i in range(50)}
    with pytest.raises(UserError, match=r"\n  and 30 more$"):
        read_ratings([cases.write_export(folder / "c.json", content)], key)


def test_a_text_that_a_spreadsheet_has_changed_is_no_mistake(kit):
    """Such as 1.50, which becomes 1.5: only another item's text says that cells were moved."""
    folder, key = kit
    rows = cases.filled_csv(folder, key)
    rows[1][2] = "a changed text"
    assert read_ratings([cases.write_csv(folder / "ana.csv", rows)], key).values.tolist() == [expected(key)]
    assert json.loads((folder / "key.json").read_text()) == key
