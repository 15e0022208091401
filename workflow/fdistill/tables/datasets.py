"""The table of data sets (Wen et al. 2023, Table 6), with their sources and the leakage between splits."""

from pathlib import Path
from typing import Any

from fdistill.errors import UserError
from fdistill.files import read_json
from fdistill.tables.render import Cell, Column, Table


def datasets_table(paths: list[Path], tasks: dict[str, str]) -> Table:
    """The table of the tasks' `manifest.json` files; `tasks` maps keys to titles, in row order.

    CSV: one record per task; leakage as shares between 0 and 1, in percent in the other formats.
    """
    manifests = _read(paths, tasks)
    leaks = {
        split: list(
            dict.fromkeys(name for manifest in manifests for name in manifest["leakage"].get(split, {}))
        )
        for split in ("dev", "test")
    }
    columns = [
        Column("Data set"),
        Column("Stands for"),
        Column("Source (licence)", width=0.2),
        *(Column(split.title(), "Inputs", number=True) for split in ("train", "dev", "test")),
        *(Column(split.title(), "References", number=True) for split in ("dev", "test")),
        *(
            Column(name.replace("_", " "), f"{s.title()} in train, %", number=True)
            for s in leaks
            for name in leaks[s]
        ),
    ]
    rows, records, notes = [], [], []
    for manifest in manifests:
        title, splits, references = tasks[manifest["task"]], manifest["splits"], manifest["references"]
        shares = {(s, name): manifest["leakage"].get(s, {}).get(name) for s in leaks for name in leaks[s]}
        rows.append(
            [
                *(Cell(text) for text in (title, manifest["stands_for"], _sources(manifest["archives"]))),
                *(Cell(f"{splits[split]:,}") for split in ("train", "dev", "test")),
                *(Cell(f"{references[split]:,}") for split in ("dev", "test")),
                *(Cell("–" if share is None else f"{100 * share:.1f}") for share in shares.values()),
            ]
        )
        records.append(
            {key: manifest[key] for key in ("task", "description", "stands_for")}
            | {f"{split}_inputs": splits[split] for split in ("train", "dev", "test")}
            | {f"{split}_references": references[split] for split in ("dev", "test")}
            | {f"{split}_leakage_{name}": share for (split, name), share in shares.items()}
            | {"split_rule": manifest["split_rule"], "source": _sources(manifest["archives"])}
        )
        notes.append(f"{title}: {manifest['description']}. Split: {manifest['split_rule']}.")
    return Table(
        caption="The data sets: inputs and references per split, and the share of dev and test inputs that "
        "leak from the training split.",
        columns=columns,
        sections=[rows],
        records=records,
        notes=notes,
    )


def _read(paths: list[Path], tasks: dict[str, str]) -> list[dict[str, Any]]:
    manifests = {}
    for path in paths:
        manifest = read_json(path)
        task = manifest.get("task")
        if task not in tasks:
            raise UserError(f"{path}: task '{task}' has no place in the table; its tasks: {', '.join(tasks)}")
        manifests[task] = manifest
    return [manifests[task] for task in tasks if task in manifests]


def _sources(archives: list[dict[str, str]]) -> str:
    """`a 1.0, b 2.0 (MIT); c 3.0 (BSD)`: packages under one licence together."""
    licences: dict[str, list[str]] = {}
    for archive in archives:
        licences.setdefault(archive["licence"], []).append(f"{archive['package']} {archive['version']}")
    return "; ".join(f"{', '.join(packages)} ({licence})" for licence, packages in licences.items())
