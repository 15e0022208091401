"""What the report is made from: files of results, and what their tasks and systems are called."""

from dataclasses import dataclass, field
from pathlib import Path

from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.tables.frame import Section

COMMAND = "snakemake --cores 1 --"
FIGURES = {  # by kind, what the page calls the part of the report that shows it
    "risk": "Risk figure",
    "cost": "Quality against cost",
    "latency": "Quality against latency",
    "sizes": "Quality against size",
    "mixture": "The mixture of JS",
    "curves": "Learning curves",
}


@dataclass(frozen=True)
class Files:
    """The results that the report shows, by task, by (task, system), or by (task, kind of figure)."""

    metrics: dict[tuple[str, str], Path]
    risks: dict[tuple[str, str], Path]
    comparisons: dict[str, Path]
    manifests: dict[str, Path]
    tests: dict[str, Path]
    generations: dict[tuple[str, str], Path]
    logs: list[tuple[str, str, Path]]  # task, student, train.jsonl of a seed
    figures: dict[tuple[str, str], Path]  # kinds: those of FIGURES
    claims: Path
    deployments: dict[tuple[str, str], Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """What the report calls tasks and systems, and what it shows of them; see `fdistill.evaluation.tables`."""

    tasks: dict[str, str]
    layout: list[Section]
    stands_for: dict[str, str]
    descriptions: dict[str, str]
    examples: int
    paper: dict[str, PublishedTable | None] = field(default_factory=dict)  # by table: main, risk, datasets
    stages: list[str] = field(default_factory=list)  # methods, each of which adds one thing to the one before
    command: str = COMMAND  # makes the file whose path is added to it

    @property
    def systems(self) -> dict[str, str]:
        """Return the titles of all systems, in the order of the rows."""
        return {key: title for section in self.layout for key, title in section.systems.items()}

    @property
    def students(self) -> dict[str, str]:
        """Return the titles of the students."""
        return {key: title for section in self.layout if section.ranked for key, title in section.systems.items()}
