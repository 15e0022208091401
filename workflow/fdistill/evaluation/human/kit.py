"""The kit of a human evaluation: a page and a CSV file of blinded, shuffled outputs, and the key that unblinds them.

As in Wen et al. 2023 ("Human Evaluation"), an annotator sees a test input with the outputs of all systems in shuffled
order, and rates each output by itself. Systems with the same output for an input have one text there, whose rating
counts for each of them: nobody rates a text twice, and equal outputs cannot differ.
"""

import csv
import hashlib
import io
import json
import logging
import random
import string
from pathlib import Path
from typing import Any

from fdistill.artifacts.atomic import write_text
from fdistill.artifacts.files import read_json, write_json
from fdistill.artifacts.lineage import common_lineage
from fdistill.artifacts.records import remedy
from fdistill.artifacts.shapes import AtLeast
from fdistill.evaluation.outputs import read_outputs
from fdistill.evaluation.tables.formats import visible
from fdistill.evaluation.tables.page import render
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import show

log = logging.getLogger(__name__)

EMPTY = "(empty output)"
LETTERS = string.ascii_uppercase  # of an input's outputs
KEY_FILE = {
    "kit": str,
    "task": str,
    "scale": AtLeast(int, 2),
    "aspects": [{"title": str, "better": str, "question": str, "lowest": str, "highest": str}],
    "systems": [str],
    "items": [{"item": str, "id": str, "input": str, "output": str, "systems": [str]}],
    "lineage": {...: str},
}

# Columns of the CSV file beside those of the aspects.
ITEM, INPUT, OUTPUT, KIT = "item", "input", "output", "kit"


def make_key(
    test: Path,
    generations: dict[str, Path],
    task: str,
    *,
    inputs: int,
    scale: int,
    aspects: list[dict[str, str]],
    seed: int,
) -> dict[str, Any]:
    """Return the content of the key, from which `write_kit` makes everything that annotators see.

    `generations` has the outputs of each of at most 26 systems on the test split; `inputs` of the split's inputs are
    sampled by `seed`, or all if it has fewer. Returns {"kit", "task", "scale", "aspects", "systems", "items",
    "lineage"}. An item is a text to rate, {"item" (`Q3-B`: the third input, its second text), "id" (of the input),
    "input", "output", "systems"}.
    `kit` is a name made from all the rest. Raises UserError for outputs of other runs or of another split.
    """
    outputs = {system: read_outputs(test, path) for system, path in generations.items()}
    lineage = common_lineage(test, *generations.values(), task=task, seeds_differ=True)
    split = next(iter(outputs.values()))
    generator = random.Random(f"{seed} {task}")
    items = []
    for number, i in enumerate(generator.sample(range(len(split.ids)), min(inputs, len(split.ids))), start=1):
        systems_of: dict[str, list[str]] = {}
        for system in outputs:
            systems_of.setdefault(visible(outputs[system].hypotheses[i]).strip() or EMPTY, []).append(system)
        texts = list(systems_of)
        generator.shuffle(texts)
        items += [
            {
                "item": f"Q{number}-{letter}",  # what no spreadsheet takes for a number or a date
                "id": split.ids[i],
                "input": visible(split.sources[i]),
                "output": text,
                "systems": systems_of[text],
            }
            for letter, text in zip(LETTERS[: len(texts)], texts, strict=True)
        ]
    key = {"task": task, "scale": scale, "aspects": aspects, "systems": list(outputs), "items": items}
    return {"kit": kit_name(key), **key, "lineage": lineage}


def kit_name(key: dict[str, Any]) -> str:
    """Return the name of a key's kit, which is made from all that the key says of it."""
    content = {name: value for name, value in key.items() if name in KEY_FILE and name not in ("kit", "lineage")}
    return f"kit-{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]}"


def read_key(path: Path) -> dict[str, Any]:
    """Read a key that `write_kit` wrote. Raises UserError also when it was changed since."""
    key = read_json(path, KEY_FILE)
    if key["kit"] != kit_name(key):
        raise UserError(f"{path}: was changed after {show(key['kit'])} was made; {remedy(path)}")
    return key


def write_kit(key: dict[str, Any], title: str, paths: dict[str, Path], ratings: Path | None = None) -> None:
    """Write the page, the CSV file and the key to `paths["page"]`, `["csv"]` and `["key"]`; `title` is the task's.

    `ratings` is the folder of the annotators' files. Raises UserError when it has some and another kit's key lies at
    `paths["key"]`: without that key nobody could unblind them.
    """
    rated = (
        [path for path in ratings.iterdir() if not path.name.startswith(".")] if ratings and ratings.is_dir() else []
    )
    if rated and paths["key"].exists() and (there := read_key(paths["key"])["kit"]) != key["kit"]:
        raise UserError(
            f"{paths['key']}: is the key of {there}, of which {ratings} has ratings; another kit, {key['kit']}, would "
            f"replace it, because outputs or settings have changed; to keep the ratings, move {paths['key'].parent} "
            "elsewhere (human.py table makes the table of a key and its ratings); otherwise delete them; then run again"
        )
    write_text(paths["page"], render("human_page", kit=_shown(key, title)))
    write_text(paths["csv"], _csv(key))
    write_json(paths["key"], key)
    rated_inputs = len({item["id"] for item in key["items"]})
    log.info(
        "%s: %d texts of %d inputs by %d systems", key["kit"], len(key["items"]), rated_inputs, len(key["systems"])
    )


def _shown(key: dict[str, Any], title: str) -> dict[str, Any]:
    """What the page shows: nothing of systems, nor of the ids of inputs, by which their outputs could be looked up."""
    texts: dict[str, dict[str, Any]] = {}
    for item in key["items"]:
        of_input = texts.setdefault(item["id"], {"source": item["input"], "outputs": []})
        of_input["outputs"].append({"item": item["item"], "text": item["output"]})
    shown = {name: key[name] for name in ("kit", "task", "scale", "aspects")}
    return shown | {"title": title, "inputs": list(texts.values())}


def heading(aspect: dict[str, str], scale: int) -> str:
    """Return an aspect's column of the CSV file, which says how to rate: the file has no other instructions.

    It is one line, as headers of tables are.
    """
    text = f"{aspect['title']}: {aspect['question']} 1 = {aspect['lowest']}, {scale} = {aspect['highest']}"
    return _no_formula(" ".join(text.split()))


def _csv(key: dict[str, Any]) -> str:
    """The items as CSV, with empty columns for the ratings; the mark at its start has spreadsheets read UTF-8."""
    headings = [heading(aspect, key["scale"]) for aspect in key["aspects"]]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([ITEM, INPUT, OUTPUT, *headings, KIT])
    for item in key["items"]:
        blank = [""] * len(headings)
        writer.writerow([item["item"], _no_formula(item["input"]), _no_formula(item["output"]), *blank, key["kit"]])
    return "\ufeff" + text.getvalue()


def _no_formula(text: str) -> str:
    """The text such that a spreadsheet does not calculate it, as it would one that begins like a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
