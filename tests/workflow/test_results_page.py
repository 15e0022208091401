"""The tables of docs/results.md have the numbers of the results that are committed beside the page."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from snake import ROOT

FOLDER = ROOT / "docs/results"
STUDIES = sorted(folder.name for folder in FOLDER.iterdir())
METHODS = yaml.safe_load((ROOT / "config/methods.yaml").read_text(encoding="utf-8"))
SYSTEMS = {"Most frequent target": "most_frequent", "Copy of the source": "copy"}
SYSTEMS |= {method["title"]: key for key, method in METHODS.items()}
CELL = re.compile(r"([\d.]+) ± ([\d.]+)")


def tables() -> list[tuple[str, str, pd.DataFrame]]:
    """The study, the task's title, and the cells of each table of results; a section begins with its study's name."""
    found = []
    page = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    for section in page.split("\n## ")[1:]:
        study = re.search(r"^`config/(\w+)\.yaml`", section, re.MULTILINE)
        for part in section.split("\n### ")[1:]:
            for table in re.findall(r"(?:^\|.*\|\n)+", part, re.MULTILINE):
                head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
                found.append((study[1], part.split("\n")[0], pd.DataFrame(rows, columns=head)))
    return found


def title_of(task: str) -> str:
    return yaml.safe_load((ROOT / f"config/tasks/{task}.yaml").read_text(encoding="utf-8"))["title"]


def test_every_study_has_its_tables_on_the_page():
    assert sorted({study for study, _, _ in tables()}) == STUDIES


@pytest.mark.parametrize("study", STUDIES)
def test_the_numbers_are_those_of_the_results(study):
    frame = pd.read_csv(FOLDER / study / "results.csv")
    frame = frame[frame.seed.isna()]
    compared = 0
    for _, title, table in (entry for entry in tables() if entry[0] == study):
        of_task = frame[frame.task.map(title_of) == title]
        for _, row in table.iterrows():
            system = SYSTEMS.get(row["Model"], "teacher")
            for heading, cell in row.iloc[2:].items():
                if shown := CELL.search(cell):
                    metric = re.sub(r" [↑↓]$", "", heading).replace("\\", "")
                    (result,) = of_task[(of_task.system == system) & (of_task.title == metric)].itertuples()
                    half = (result.high - result.low) / 2
                    assert shown.groups() == (f"{result.value:.2f}", f"{half:.2f}"), (title, row["Model"], heading)
                    compared += 1
    assert compared == frame.low.notna().sum()  # the page leaves none out


@pytest.mark.parametrize("study", STUDIES)
def test_the_hashes_are_of_all_systems(study):
    frame = pd.read_csv(FOLDER / study / "results.csv")
    hashed = [line.split("  ")[1] for line in (FOLDER / study / "SHA256SUMS").read_text().splitlines()]
    assert {Path(name).parent.as_posix() for name in hashed} == {f"{r.task}/{r.system}" for r in frame.itertuples()}
