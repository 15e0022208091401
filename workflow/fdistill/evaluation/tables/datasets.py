"""The table of data sets (Wen et al. 2023, Table 6): sizes, sources and leakage."""

from pathlib import Path
from typing import Any

import pandas as pd

from fdistill.artifacts.files import read_json
from fdistill.artifacts.shapes import COUNT
from fdistill.data.sources import SPLITS, UNLABELLED
from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.tables import comparison
from fdistill.evaluation.tables.numbers import NONE
from fdistill.evaluation.tables.table import Table, cells_of
from fdistill.runtime.errors import UserError

# What is read of a manifest.json, as `artifacts.shapes` describes it.
SHAPE = {
    "source": {"kind": str},
    "archives": [{"package": str, "version": str, "licence?": str}],
    "splits": dict.fromkeys(SPLITS, COUNT) | {f"{UNLABELLED}?": COUNT},
    "references": {"dev": COUNT, "test": COUNT},
    "leakage": {f"{split}?": {...: (float, None)} for split in ("dev", "test", UNLABELLED)},
    "split_rule": str,
    "dropped?": {...: COUNT},
}
SOURCE = "Source (licence)"
_UNLABELLED_CAPTION = (
    " Groups and sources of the unlabelled inputs, whose labels nothing learns from, count as those of the training "
    "split; unlabelled sources: the share of them that is in the training split with its label, which is no leakage."
)
GROUPS = {"sizes": "Inputs and references", "leakage": "Share of the inputs that is in the training split, %"}


def datasets_table(
    manifests: dict[str, Path],
    tasks: dict[str, str],
    stands_for: dict[str, str],
    descriptions: dict[str, str],
    paper: PublishedTable | None = None,
) -> Table:
    """Build the table from the tasks' `manifest.json` files.

    The other arguments map tasks to titles (`tasks`, which fixes the order of the rows), to the task of the paper that
    each has the shape of, and to descriptions. `paper` is the published table to compare the sizes with. CSV has one
    record per task, with leakage as shares in [0, 1]; the other formats show percent. Unlabelled inputs are counted if
    any task has some. Raises UserError for a task without a manifest.
    """
    missing = [task for task in tasks if task not in manifests]
    if missing:
        raise UserError(f"no manifest for task {', '.join(missing)}; give {missing[0]}=FILE")
    files = {task: read_json(manifests[task], SHAPE) for task in tasks}
    leaks = {
        split: list(dict.fromkeys(name for manifest in files.values() for name in manifest["leakage"].get(split, {})))
        for split in ("dev", "test", UNLABELLED)
    }
    has_unlabelled = any(manifest["splits"].get(UNLABELLED) for manifest in files.values())
    counted = (*SPLITS, UNLABELLED) if has_unlabelled else SPLITS
    stand_ins = any(stands_for[task] != NONE for task in tasks)
    names = ["Data set", *(["Stands for"] if stand_ins else []), SOURCE]
    headings = [
        *(("", name) for name in names),
        *(("sizes", f"{split.title()} inputs") for split in counted),
        *(("sizes", f"{split.title()} references") for split in ("dev", "test")),
        *(("leakage", f"{split.title()} {name.replace('_', ' ')}") for split in leaks for name in leaks[split]),
    ]
    rows, marks, records, notes, found = [], [], [], [], {}
    for task, manifest in files.items():
        splits, references, source = manifest["splits"], manifest["references"], _sources(manifest)
        sizes = {s: comparison.compare(splits[s], paper.number(task, s)) for s in SPLITS} if paper else {}
        shares = {(s, name): manifest["leakage"].get(s, {}).get(name) for s in leaks for name in leaks[s]}
        rows.append(
            [
                *(tasks[task], *([stands_for[task]] if stand_ins else []), source),
                *(f"{splits.get(split, 0):,}" for split in counted),
                *(f"{references[split]:,}" for split in ("dev", "test")),
                *(NONE if share is None else f"{100 * share:.1f}" for share in shares.values()),
            ]
        )
        found[tasks[task]] = any(place["published"] is not None for place in sizes.values())
        if found[tasks[task]]:
            left, right = [""] * (len(names) - 1), [""] * (len(headings) - len(names) - len(SPLITS))
            for key, title in comparison.ROWS.items():
                rows.append([title, *left, *(comparison.shown(key, s[key], ",.0f") for s in sizes.values()), *right])
        marks += [["aside" if i and text else "" for text in row] for i, row in enumerate(rows[len(marks) :])]
        records.append(
            {"task": task, "description": descriptions[task], "stands_for": stands_for[task]}
            | {f"{split}_inputs": splits.get(split, 0) for split in counted}
            | {f"{split}_{key}": place[key] for split, place in sizes.items() for key in place}
            | {f"{split}_references": references[split] for split in ("dev", "test")}
            | {f"{split}_leakage_{name}": share for (split, name), share in shares.items()}
            | {"split_rule": manifest["split_rule"], "source": source}
        )
        dropped = {split: manifest.get("dropped", {}).get(split, 0) for split in counted}
        records[-1] |= {f"{split}_dropped": count for split, count in dropped.items()}
        counts = ", ".join(f"{split} {count:,}" for split, count in dropped.items() if count)
        bad = f" Bad rows left out: {counts}." if counts else ""
        notes.append(f"{tasks[task]}: {descriptions[task]}. Split: {manifest['split_rule']}.{bad}")
    cells = cells_of(pd.MultiIndex.from_tuples(headings), [rows])
    return Table(
        title="Data sets",
        caption="The data sets: inputs and references per split, and what of the dev and test splits is also in the "
        "training split. Groups: of the texts that must stay together, those in both. Sources: inputs. Targets: "
        "references. Ngrams: of a reference's sequences of eight words, or of a shorter one as a whole, those that "
        "training references contain, averaged over references; common phrases count."
        + (_UNLABELLED_CAPTION if has_unlabelled else ""),
        cells=cells,
        groups=GROUPS,
        names=len(names),
        widths={SOURCE: 0.2},
        marks=pd.DataFrame(marks, cells.index, cells.columns),
        records=pd.DataFrame(records, dtype=object),
        notes=notes + (comparison.notes(found, paper) if paper else []),
    )


def _sources(manifest: dict[str, Any]) -> str:
    """The sources as `a 1.0, b 2.0 (MIT); c 3.0 (BSD)`, by licence; the source's kind if none is recorded."""
    licences: dict[str, list[str]] = {}
    for archive in manifest["archives"]:
        licences.setdefault(archive.get("licence", "licence not stated"), []).append(
            f"{archive['package']} {archive['version']}"
        )
    named = "; ".join(f"{', '.join(packages)} ({licence})" for licence, packages in licences.items())
    return named or manifest["source"]["kind"]
