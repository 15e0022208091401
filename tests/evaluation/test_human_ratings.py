"""Annotators' files read back: both formats, what spreadsheets make of CSV, and every mistake by its place."""

import json
import re
import shutil
import subprocess
import unicodedata

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
    blank = [[""] * (len(header) + 2)] * 3
    sheet = [[*header, "", ""], *([*row, "", "a note"] for row in reversed(rows)), *blank]
    path = cases.write_csv(folder / "ratings/ana.CSV", sheet, delimiter, encoding)
    assert read_ratings([path], key).values.tolist() == [expected(key)]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_first_line_for_excel_names_the_delimiter(kit, delimiter, quote, mark):
    folder, key = kit
    path = cases.write_csv(folder / "ratings/ana.csv", cases.filled_csv(folder, key), delimiter)
    text = path.read_bytes().decode()
    path.write_bytes(f"{mark}{quote}sep={delimiter}{quote}\r\n{text}".encode())
    assert read_ratings([path], key).values.tolist() == [expected(key)]
    path.write_bytes(path.read_bytes().replace(b"Q1-A", b"Q0-A"))
    with pytest.raises(UserError, match=r"ana\.csv, line 3: the kit has no item \"Q0-A\""):
        read_ratings([path], key)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_the_command_of_the_refusal_converts_utf_16(kit, encoding):
    """Excel's `Unicode Text`, which has tabs."""
    folder, key = kit
    path = cases.write_csv(folder / "ratings/ana.csv", cases.filled_csv(folder, key), "\t", encoding)
    assert converted_by_refusal(path, "is text in UTF-16.*, not text; convert it: (iconv .*)", key) == [expected(key)]


@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("second", ["one line", "two\nlines"])
def test_the_command_of_the_refusal_converts_carriage_returns(kit, delimiter, second):
    """Excel's `CSV (Macintosh)`, in which the lines of one cell end in line feeds nevertheless."""
    folder, key = kit
    rows = cases.filled_csv(folder, key)
    for row in rows:
        row[1:3] = [" ".join(cell.split()) for cell in row[1:3]]
    rows[2][2] += f" {second}"
    path = cases.write_csv(folder / "ratings/ana.csv", rows, delimiter)
    path.write_bytes(path.read_bytes().replace(b"\r\n", b"\r"))
    assert converted_by_refusal(path, "its lines end in carriage returns alone.*: (tr .*)", key) == [expected(key)]


def converted_by_refusal(path, message, key):
    """The ratings in what the command, a group of `message`, makes of the file."""
    with pytest.raises(UserError, match=f"{re.escape(str(path))}: {message}") as refusal:
        read_ratings([path], key)
    command = re.search(message, str(refusal.value))[1].replace("NEW_FILE", "new.csv")
    subprocess.run(command, shell=True, check=True, cwd=path.parent)
    return read_ratings([path.with_name("new.csv")], key).values.tolist()


def test_an_export_may_have_decimals_and_a_byte_order_mark(kit):
    """As editors and other programs save it."""
    folder, key = kit
    content = cases.export(key)
    content["ratings"]["Q1-A"] = {title: float(value) for title, value in content["ratings"]["Q1-A"].items()}
    path = folder / "ana.json"
    path.write_text(json.dumps(content), encoding="utf-8-sig")
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


def double(text, entry):
    """The JSON text with an entry more, of a key that it has, before the first one of that key."""
    name = entry.partition(":")[0]
    return text.replace(name, entry + name, 1).encode()


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
    "an input beside another's text": (
        sheet(
            lambda rows: [rows[0], *([a[0], b[1], *a[2:]] for a, b in zip(rows[1:], reversed(rows[1:]), strict=True))]
        ),
        line(2) + "Q1-A stands beside another item's text: cells were sorted or moved without the rest of their row",
    ),
    "an item twice in an export": (
        lambda folder, key: of_text("ana.json", double(json.dumps(cases.export(key)), '"Q1-A": {}, '))(folder, key),
        r"ana.json: not valid JSON \(key 'Q1-A' occurs twice\); .*ask the annotator to export it again",
    ),
    "an aspect twice in an export": (
        lambda folder, key: of_text("ana.json", double(json.dumps(cases.export(key)), '"Fluency": 1, '))(folder, key),
        r"ana.json: not valid JSON \(key 'Fluency' occurs twice\); .*ask the annotator to export it again",
    ),
    "decimals in an export": (
        exported(lambda content: content["ratings"]["Q1-A"].update(Fluency=4.5)),
        f"ana.json: Q1-A has 4.5 for Fluency; {SCALE}",
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


def test_a_text_that_was_changed_is_named_and_its_ratings_count(kit, caplog):
    """A spreadsheet makes 1.5 of 1.50: only another item's text says that cells were moved."""
    folder, key = kit
    rows = cases.filled_csv(folder, key)
    rows[1][2], rows[3][1], rows[4][2], rows[4][3:6] = "a changed text", "", "not rated", ["", "", ""]
    values = expected(key)
    read = read_ratings([cases.write_csv(folder / "ana.csv", rows)], key).values[0]
    assert np.isnan(read[3]).all() and [*read[:3].tolist(), *read[4:].tolist()] == [*values[:3], *values[4:]]
    [warning] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    items = f"{rows[1][0]}, {rows[3][0]}"
    assert "ana.csv: other texts than the kit's" in warning and f"beside the ratings of {items}; ask" in warning
    assert json.loads((folder / "key.json").read_text()) == key


def test_texts_as_the_kit_and_spreadsheets_write_them_are_not_named(kit, caplog):
    """The mark before what looks like a formula, or none, other line ends, other encodings of accents."""
    folder, key = kit
    rows = cases.filled_csv(folder, key)
    files = [cases.write_csv(folder / "ana.csv", rows)]
    bare = [[cell.removeprefix("'").replace("\n", "\r\n") for cell in row] for row in rows]
    files.append(cases.write_csv(folder / "ben.csv", bare))
    read_ratings(files, key)
    assert bare != rows and not [record for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("again", ["Ané", " ANÉ", "Ané "])
def test_an_annotator_is_one_however_the_accents_are_encoded(kit, again):
    """macOS has decomposed letters in names of files."""
    folder, key = kit
    composed, decomposed = unicodedata.normalize("NFC", "Ané"), unicodedata.normalize("NFD", again)
    sheet = cases.write_csv(folder / f"{unicodedata.normalize('NFD', composed)}.csv", cases.filled_csv(folder, key))
    assert read_ratings([sheet], key).annotators == [composed]
    for name in (composed, decomposed):
        export = cases.write_export(folder / "x.json", cases.export(key, name, 1))
        with pytest.raises(UserError, match=r"x\.json: is a second file of this annotator"):
            read_ratings([sheet, export], key)
