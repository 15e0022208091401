"""The tables of the pages of results have the numbers of the results that are committed beside them."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from snake import ROOT

PAGES = [ROOT / "docs" / name for name in ("results.md", "experiments.md")]
FOLDER = ROOT / "docs/results"
STUDIES = sorted(folder.name for folder in FOLDER.iterdir())
METHODS = yaml.safe_load((ROOT / "config/methods.yaml").read_text(encoding="utf-8"))
SYSTEMS = {"Most frequent target": "most_frequent", "Copy of the source": "copy"}
SYSTEMS |= {method["title"]: key for key, method in METHODS.items()}
# Tables of a study that have another study's numbers once more.
LEFT_OUT = {("shleifer_rush_small", name) for name in ("table8", "table10")}
CELL = re.compile(r"([\d.]+) ± ([\d.]+)")


def tables(heading: str) -> list[tuple[str, str, pd.DataFrame]]:
    """The study, the task's title, and the cells of each table with a column `heading`.

    A section has its study's file at the beginning of a line.
    """
    found = []
    for page in PAGES:
        for section in page.read_text(encoding="utf-8").split("\n## ")[1:]:
            study = re.search(r"^`config/(\w+)\.yaml`", section, re.MULTILINE)
            for part in section.split("\n### ")[1:]:
                for table in re.findall(r"(?:^\|.*\|\n)+", part, re.MULTILINE):
                    head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
                    if heading in head:
                        found.append((study[1], part.split("\n")[0], pd.DataFrame(rows, columns=head)))
    return found


def scores() -> list[tuple[str, str, pd.DataFrame]]:
    """The tables of metrics and of risks, each below the title of its task."""
    titles = {title_of(path.stem) for path in (ROOT / "config/tasks").glob("*.yaml")}
    return [entry for entry in tables("Model") if entry[1] in titles]


def title_of(task: str) -> str:
    return yaml.safe_load((ROOT / f"config/tasks/{task}.yaml").read_text(encoding="utf-8"))["title"]


def system_of(title: str) -> str:
    """The system that a table calls `title`: that of a method and, after a comma, of a student's size."""
    method, _, size = (title, "", "") if title in SYSTEMS else title.rpartition(", ")
    return "-".join([SYSTEMS.get(method, "teacher"), *filter(None, [size])])


def test_every_study_has_its_tables_on_a_page():
    assert sorted({study for study, _, _ in scores()}) == STUDIES


@pytest.mark.parametrize("study", STUDIES)
def test_the_numbers_are_those_of_the_results(study):
    frame = pd.read_csv(FOLDER / study / "results.csv")
    frame = frame[frame.seed.isna()]
    compared = 0
    for _, title, table in (entry for entry in scores() if entry[0] == study):
        of_task = frame[frame.task.map(title_of) == title]
        for _, row in table.iterrows():
            for heading, cell in row.iloc[2:].items():
                if shown := CELL.search(cell):
                    metric = re.sub(r" [↑↓]$", "", heading).replace("\\", "")
                    (result,) = of_task[
                        (of_task.system == system_of(row["Model"])) & (of_task.title == metric)
                    ].itertuples()
                    half = (result.high - result.low) / 2
                    assert shown.groups() == (f"{result.value:.2f}", f"{half:.2f}"), (title, row["Model"], heading)
                    compared += 1
    assert compared == frame.low.notna().sum()  # the page leaves none out


@pytest.mark.parametrize("study", STUDIES)
def test_the_hashes_are_of_all_systems(study):
    frame = pd.read_csv(FOLDER / study / "results.csv")
    hashed = [line.split("  ")[1] for line in (FOLDER / study / "SHA256SUMS").read_text().splitlines()]
    assert {Path(name).parent.as_posix() for name in hashed} == {f"{r.task}/{r.system}" for r in frame.itertuples()}


def test_the_steps_are_those_that_were_measured():
    ((study, _, table),) = tables("Step, ms")
    pairs = json.loads((FOLDER / study / "pronunciation.online.json").read_text())["pairs"]
    measured = [
        [METHODS[pair["offline"]]["title"], f"{pair['seconds']['online']['median'] * 1000:.0f}",
         f"{pair['seconds']['offline']['median'] * 1000:.0f}", f"{pair['speedup']['median']:.2f}"]
        for pair in pairs
    ]  # fmt: skip
    assert table.to_numpy().tolist() == measured


def test_the_first_gradients_are_those_that_were_measured():
    found = tables("Signal over noise")
    for study, task, table in found:
        (path,) = (
            path for path in (FOLDER / study).glob("*.mixture.json") if title_of(path.name.split(".")[0]) == task
        )
        gradients = json.loads(path.read_text())["gradients"]
        sizes = {METHODS[method]["title"]: size["signal"] / size["noise"] for method, size in gradients.items()}
        assert dict(zip(table["Method"], table["Signal over noise"], strict=True)) == {
            title: f"{size:.2f}" for title, size in sizes.items()
        }
    assert len(found) == 2


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/tables/*.md")), ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_the_tables_are_those_that_were_made(path):
    found = re.findall(r"(?:^\|.*\|\n)+", path.read_text(), re.MULTILINE)
    page = PAGES[0].read_text()
    assert found and (all(table in page for table in found) or (path.parts[-3], path.stem) in LEFT_OUT)


def test_the_verdicts_on_the_claims_of_shleifer_and_rush_are_those_that_were_decided():
    part = PAGES[0].read_text().split("### Their claims")[1].split("\n### ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in part.splitlines() if line.startswith("|")][2:]
    decided = [path.read_text() for path in FOLDER.glob("shleifer_rush_small*/claims.md")]
    assert len(rows) == 6
    for text, verdict, _ in rows:
        found = re.findall(rf"^\| \d+\. {re.escape(text)} *\| *(.+?) \|", "\n".join(decided), re.MULTILINE)
        assert len(found) == len(decided) and verdict in found


def test_the_claims_are_those_that_were_decided():
    (table,) = re.findall(
        r"(?:^\|.*\|\n)+", PAGES[0].read_text().split("\n## The paper's claims")[1].split("\n## ")[0], re.M
    )
    assert table in (FOLDER / "seeds/claims.md").read_text()
