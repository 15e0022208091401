"""Reads annotators' files back: exports of the page (.json), and the kit's CSV file as spreadsheets save it (.csv)."""

import logging
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fdistill.artifacts.files import note_input, read_json
from fdistill.data.sources.files.identification import suffix_of
from fdistill.data.sources.files.rows import listed
from fdistill.data.sources.files.table_files import spreadsheet_rows
from fdistill.evaluation.human.kit import INPUT, ITEM, KIT, OUTPUT, heading
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import show

log = logging.getLogger(__name__)

EXPORT = {"kit": str, "annotator": str, "ratings": {...: dict}}
NAMED = 20  # mistakes that a refusal names
_ALLOWED = "a rating is a whole number from 1 to {}, or left out; ask the annotator"
WHOLE = re.compile(r"([0-9]{1,9})([.,]0+)?")  # a spreadsheet may save 4 as 4.00


@dataclass(frozen=True)
class Ratings:
    """What `annotators` have rated: `values` (A, I, K) by annotator, item of the key and aspect; NaN is not rated."""

    annotators: list[str]
    values: np.ndarray

    @property
    def counts(self) -> dict[str, int]:
        """The number of ratings by annotator."""
        return dict(zip(self.annotators, np.sum(~np.isnan(self.values), axis=(1, 2)).tolist(), strict=True))


@dataclass(frozen=True)
class _Answers:
    """What a file says of one item: values as they are there, by aspect, and, in a table, the texts beside them."""

    place: str  # "ana.csv, line 7", or "ana.json"
    item: str
    values: dict[str, Any]
    texts: dict[str, str] = field(default_factory=dict)  # by column


def read_ratings(paths: list[Path], key: dict[str, Any]) -> Ratings:
    """Read the files of all annotators, who have rated the kit of `key` (see `kit.make_key`).

    An annotator is the one that a JSON file names, and the name of a CSV file. Ratings may be missing; they are counted
    in the log, which also names rated items whose texts are not the kit's. Raises one UserError with the mistakes of
    all files: another kit's file, unknown items and aspects, second ratings of an item, values that the scale does not
    have, rows whose cells were moved, an annotator's second file, copies of a file, and files without a rating.
    """
    ratings: dict[str, dict[str, list[float]]] = {}  # by annotator and item
    mistakes: list[str] = []
    files: dict[str, Path] = {}  # by what there is to be one of: a content, and an annotator
    for path in paths:
        before = len(mistakes)
        try:
            _check_first(files, note_input(path), path, "is a copy of {first}; remove one of them")
            annotator, answers = _open(path, key, mistakes)
            again = "is a second file of this annotator, after {first}; keep the one that counts"
            _check_first(files, f"annotator {annotator.casefold()}", path, again)
            ratings[annotator] = dict(_checked(path, answers, key, mistakes))
            if not ratings[annotator] and len(mistakes) == before:
                raise UserError(f"{path}: has no rating; ask for the file with the answers, or remove it")
        except UserError as error:
            mistakes.append(str(error))
    if mistakes:
        rest = f"\n  and {len(mistakes) - NAMED} more" if len(mistakes) > NAMED else ""
        raise UserError("the ratings have mistakes:\n  " + "\n  ".join(mistakes[:NAMED]) + rest)
    missing = [float("nan")] * len(key["aspects"])
    values = [[of_item.get(item["item"], missing) for item in key["items"]] for of_item in ratings.values()]
    read = Ratings(list(ratings), np.array(values, dtype=np.float64))
    for annotator, count in read.counts.items():
        log.info("%s: %d of %d ratings", annotator, count, read.values[0].size)
    return read


def _check_first(files: dict[str, Path], kind: str, path: Path, mistake: str) -> None:
    if (first := files.setdefault(kind, path)) != path:
        raise UserError(f"{path}: {mistake.format(first=first)}")


def _open(path: Path, key: dict[str, Any], mistakes: list[str]) -> tuple[str, Iterator[_Answers]]:
    """The annotator of a file, and the answers in it; mistakes of single rows are added to `mistakes`."""
    if suffix_of(path) == ".csv":
        return _plain(path.stem), _of_csv(path, key, mistakes)
    if suffix_of(path) != ".json":
        raise UserError(f"{path}: is no file of ratings; give the page's export (.json), or save the sheet as CSV")
    content = read_json(path, EXPORT, "ask the annotator to export it again")
    _check_kit(path, content["kit"], key)
    answers = (_Answers(str(path), item, values) for item, values in content["ratings"].items())
    return _plain(content["annotator"]) or _plain(path.stem), answers


def _of_csv(path: Path, key: dict[str, Any], mistakes: list[str]) -> Iterator[_Answers]:
    titles = {heading(aspect, key["scale"]): aspect["title"] for aspect in key["aspects"]}
    for row in spreadsheet_rows(path, ITEM):
        try:
            cells = {column: text.strip() for column, text in row.values.items()}
        except UserError as error:
            mistakes.append(str(error))
            continue
        if absent := [column for column in (ITEM, INPUT, OUTPUT, *titles, KIT) if column not in cells]:
            raise UserError(f"{path}: has no column '{absent[0]}'; restore the first line of the kit's CSV file")
        if any(cells.values()):  # spreadsheets save blank rows at the end
            _check_kit(row.place, cells[KIT], key)
            values = {title: cells[column] or None for column, title in titles.items()}
            yield _Answers(row.place, cells[ITEM], values, {column: cells[column] for column in (INPUT, OUTPUT)})


def _check_kit(place: Path | str, kit: str, key: dict[str, Any]) -> None:
    if kit != key["kit"]:
        raise UserError(
            f"{place}: belongs to the kit {show(kit)}, the key to {key['kit']}; give files and key of one kit"
        )


def _checked(
    path: Path, found: Iterator[_Answers], key: dict[str, Any], mistakes: list[str]
) -> Iterator[tuple[str, list[float]]]:
    """Yield each item that has a rating, with its ratings in the key's order; what is wrong is added to `mistakes`."""
    texts = {item["item"]: {column: _text(item[column]) for column in (INPUT, OUTPUT)} for item in key["items"]}
    of_items = {(column, text) for of_item in texts.values() for column, text in of_item.items()}
    changed: list[str] = []
    titles = [aspect["title"] for aspect in key["aspects"]]
    places: dict[str, str] = {}
    for answers in found:
        place, item = answers.place, answers.item
        beside = {(column, _text(text)) for column, text in answers.texts.items()}
        if item not in texts:
            mistakes.append(f"{place}: the kit has no item {show(item)}; give the item its name again")
        elif (first := places.setdefault(item, place)) != place:
            mistakes.append(f"{place}: rates {item} a second time, after {first}; remove one of them")
        elif (wrong := beside - texts[item].items()) & of_items:
            moved = "stands beside another item's text: cells were sorted or moved without the rest of their row"
            mistakes.append(f"{place}: {item} {moved}; ask for a file with whole rows")
        else:
            for title in [title for title in answers.values if title not in titles]:
                mistakes.append(f"{place}: the kit has no aspect {show(title)}; give one of {', '.join(titles)}")
            values = []
            for title in titles:
                try:
                    values.append(_rating(answers.values.get(title), key["scale"]))
                except ValueError as error:
                    mistakes.append(f"{place}: {item} has {error} for {title}; {_ALLOWED.format(key['scale'])}")
            if not np.isnan(values).all():
                changed += [item] if wrong else []
                yield item, values
    if changed:
        log.warning(
            "%s: other texts than the kit's, which somebody or the spreadsheet has edited, beside the ratings of %s; "
            "ask the annotator which texts were rated (the ratings count)",
            path,
            listed(changed),
        )


def _plain(text: str) -> str:
    """The text as one line, in one of the ways to encode its accents: file names of macOS have another one."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _text(text: str) -> str:
    """A text of the kit as it is compared: without what the CSV file, or a spreadsheet, puts before one or removes."""
    return _plain(text).removeprefix("'")


def _rating(value: Any, scale: int) -> float:
    """The rating that a file has, NaN for none. Raises ValueError with what it has instead."""
    if value is None:
        return float("nan")
    match = WHOLE.fullmatch(str(value)) if type(value) in (int, float, str) else None
    if match is None or not 1 <= int(match[1]) <= scale:
        raise ValueError(show(value))
    return float(match[1])
