"""The records of the result tables: one per task, system and metric, with the best students marked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fdistill.artifacts.files import read_json
from fdistill.artifacts.lineage import common_lineage
from fdistill.artifacts.shapes import Shape
from fdistill.runtime.errors import UserError

DECIMALS = 2  # of every printed number, as in the paper


@dataclass(frozen=True)
class Section:
    """Rows between two rules: systems with their titles; only `ranked` ones can be marked as best or second."""

    label: str
    systems: dict[str, str]
    ranked: bool = False


def sections(teacher: dict[str, str], trivial: dict[str, str], students: dict[str, str]) -> list[Section]:
    """Return the sections in the paper's order: teacher, trivial systems, and students, which are ranked."""
    all_sections = [
        Section("Teacher", teacher),
        Section("Trivial", trivial),
        Section("Student", students, ranked=True),
    ]
    return [section for section in all_sections if section.systems]


def read_results(paths: list[Path], tasks: dict[str, str], layout: list[Section], shape: Shape) -> list[dict[str, Any]]:
    """Read the files, which have the given shape, and return their contents in the order of tasks and rows.

    Raises UserError for a file of a task or system that is not in the table, for a second file of the same, and for
    files that belong to different data or teachers.
    """
    order = {(task, system): None for task in tasks for section in layout for system in section.systems}
    files: dict[tuple[str, str], dict] = {}
    by_task: dict[str, list[Path]] = {}
    for path in paths:
        file = read_json(path, shape)
        place = (file["task"], file["method"])
        if place not in order:
            raise UserError(
                f"{path}: task '{place[0]}', method '{place[1]}' has no place in the table; "
                f"its tasks: {', '.join(tasks)}; its rows: {', '.join(dict.fromkeys(s for _, s in order))}; "
                "give another file"
            )
        if place in files:
            raise UserError(f"{path}: a second file for task '{place[0]}', method '{place[1]}'; give one")
        files[place] = file
        by_task.setdefault(place[0], []).append(path)
    for of_task in by_task.values():
        common_lineage(*of_task, seeds_differ=True)
    return [files[place] for place in order if place in files]


def as_record(file: dict, metric: str, title: str, direction: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Return the record of one entry of an aggregated file."""
    return {
        "task": file["task"],
        "system": file["method"],
        "metric": metric,
        "title": title,
        "direction": direction,
        "mean": entry["mean"],
        "std": entry["std"],
        "seeds": len(entry["seeds"]),
    }


def check_signatures(records: list[dict[str, Any]]) -> None:
    """Raise UserError when a metric of a task has different signatures."""
    first: dict[tuple[str, str], dict] = {}
    for record in records:
        if record["signature"] is None:
            continue
        other = first.setdefault((record["task"], record["metric"]), record)
        if other["signature"] != record["signature"]:
            raise UserError(
                f"{record['task']}: metric '{record['metric']}' was computed in different ways for "
                f"'{other['system']}' ({other['signature']}) and "
                f"'{record['system']}' ({record['signature']}); delete the older one's score.json and metrics.json "
                "and run again"
            )


def mark(records: list[dict[str, Any]], layout: list[Section], places: tuple[str, ...]) -> None:
    """Add the key `mark` to all records: the place among the ranked systems of the same task and metric, or "".

    Records that are `below_teacher` (see `compare_with_teacher`) have no place.
    """
    ranked = {system for section in layout if section.ranked for system in section.systems}
    competing: dict[tuple[str, str], list[dict]] = {}
    for record in records:
        record["mark"] = ""
        if record["system"] in ranked and record["mean"] is not None and not record.get("below_teacher"):
            competing.setdefault((record["task"], record["metric"]), []).append(record)
    for group in competing.values():
        place = marks({record["system"]: record["mean"] for record in group}, group[0]["direction"], places)
        for record in group:
            record["mark"] = place[record["system"]]


def marks(values: dict[str, float], better: Literal["higher", "lower"], places: tuple[str, ...]) -> dict[str, str]:
    """Return for each of `values` the word of `places` for its rank, or "" behind the last place.

    Values are compared as printed, with two decimals: numbers that look equal share a place, and the next different
    number has the next place.
    """
    shown = {key: round(value, DECIMALS) for key, value in values.items()}
    ranking = sorted(set(shown.values()), reverse=better == "higher")
    place = dict(zip(ranking, places, strict=False))
    return {key: place.get(value, "") for key, value in shown.items()}


def compare_with_teacher(records: list[dict[str, Any]], collapses: tuple[str, ...]) -> None:
    """Add the keys `above_teacher` and `below_teacher` to all records.

    `above_teacher` is the record's mean less that of the teacher for the same task and metric, None for the teacher
    itself and where a value is missing. `below_teacher` says for the metrics `collapses` whether the mean, as printed,
    is below the teacher's; it is None for other metrics.
    """
    teachers = {(r["task"], r["metric"]): r["mean"] for r in records if r["system"] == "teacher"}
    for record in records:
        own, teacher = record["mean"], teachers.get((record["task"], record["metric"]))
        comparable = record["system"] != "teacher" and own is not None and teacher is not None
        record["above_teacher"] = own - teacher if comparable else None
        can_collapse = comparable and record["metric"] in collapses
        record["below_teacher"] = round(own, DECIMALS) < round(teacher, DECIMALS) if can_collapse else None


def teacher_dist(files: list[dict[str, Any]], task: str) -> float | None:
    """Return the mean of TeacherDist over seeds, or None; raises UserError when systems differ in it.

    All systems of a task measure the same teacher's samples, so that they must agree.
    """
    seeds: dict[str, tuple[float, str]] = {}
    for file in files:
        if file["task"] != task:
            continue
        for seed, value in file["risks"]["teacher_dist"]["seeds"].items():
            if value is None:
                continue
            known, system = seeds.setdefault(seed, (value, file["method"]))
            if known != value:
                raise UserError(
                    f"{task}: the risks of '{system}' and '{file['method']}' (seed {seed}) come from "
                    f"different teacher samples (TeacherDist {known:.4f} and {value:.4f}); "
                    "delete the older one and run again"
                )
    return sum(value for value, _ in seeds.values()) / len(seeds) if seeds else None
