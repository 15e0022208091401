"""What the tables read: each task's models, and the scores of its systems in the task's main metric."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdistill.artifacts.lineage import SEED, common_lineage, lineage_of
from fdistill.artifacts.systems import split_size
from fdistill.evaluation.aggregate import main_metric, read_aggregated
from fdistill.evaluation.comparisons import TEACHER, Measurement, compare, measurement
from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.shleifer_rush import Models, read_models
from fdistill.evaluation.tables.results import ARROWS
from fdistill.evaluation.tables.shleifer_rush.grid import Number
from fdistill.runtime.errors import UserError

NO_VALUE = {"reason": "no metric of the task has a value", "fix": "see the main table"}


@dataclass(frozen=True)
class Folders:
    """The folders of a task's teacher and of its untrained students, by size."""

    teacher: Path
    starts: dict[str | None, Path]

    def read(self, *files: Path) -> Models:
        """Return the models; raises UserError where `files`, of the same task, are of other data or teachers."""
        common_lineage(self.teacher, *self.starts.values(), *files, seeds_differ=True)
        return read_models(self.teacher, self.starts)


@dataclass(frozen=True)
class Scores:
    """A task's files of metrics by system, as they were read, and the metric that matters most, None without any."""

    metric: str | None
    files: dict[str, dict[str, Any]]

    @property
    def paths(self) -> list[Path]:
        """The files' paths."""
        return [file["path"] for file in self.files.values()]

    def title(self, task: str) -> str:
        """Return the task's title with that of the metric and its direction."""
        entry = self._entry(TEACHER)
        return f"{task}, {entry['title']}{ARROWS[entry['direction']]}" if entry else task

    def number(self, system: str, published: str | None = None) -> Number:
        """Return the mean over seeds; nothing of a system without a file."""
        if system not in self.files:
            return Number(published=published)
        entry = self._entry(system)
        if entry is None or entry["mean"] is None:
            return Number(missing=(entry or {}).get("missing") or NO_VALUE, published=published)
        more = {"metric": self.metric, "seeds": len(entry["seeds"])}
        return Number(entry["mean"], entry["interval"], published=published, more=more)

    def less_teacher(self, system: str, published: str | None = None) -> Number:
        """Return a system's mean less the teacher's, with the interval of their paired difference."""
        own, teacher = self.number(system, published), self.number(TEACHER)
        if own.value is None or teacher.value is None:
            return own if own.value is None else Number(missing=teacher.missing, published=published)
        measured, reference = (self._measurement(name) for name in (system, TEACHER))
        pair = compare({system: measured}, self._entry(system)["direction"], reference)["pairs"][0]
        return Number(pair["difference"], pair["interval"], published=published, more=own.more)

    def _entry(self, system: str) -> dict[str, Any] | None:
        return self.files[system]["metrics"].get(self.metric)

    def _measurement(self, system: str) -> Measurement:
        return measurement(self.files[system]["path"], self.metric, self._entry(system)["seeds"])


def read_scores(paths: Sequence[Path], tasks: Mapping[str, str]) -> dict[str, Scores]:
    """Return the scores of each task from `metrics.json` files.

    Raises UserError for a file of another task, a second file of a system, a task without the teacher's, a task in
    which no student has a file, and for systems whose main metric was computed in different ways.
    """
    files: dict[str, dict[str, dict[str, Any]]] = {task: {} for task in tasks}
    for path in paths:
        file = read_aggregated(path, "metrics")
        task, system = file["task"], file["method"]
        if task not in files:
            raise UserError(f"{path}: is of task '{task}', which is not among --tasks; add it, or leave out this file")
        if system in files[task]:
            raise UserError(f"{path}: a second file of '{system}' of task '{task}'; give one")
        files[task][system] = file | {"path": path}
    for task, of_task in files.items():
        if TEACHER not in of_task:
            raise UserError(f"task '{task}': the teacher's metrics.json is missing; give it, or leave out the task")
        if len(of_task) == 1:
            raise UserError(f"task '{task}': no metrics.json of a student; give one, or leave out the task")
    return {task: _scores(of_task) for task, of_task in files.items()}


def _scores(files: dict[str, dict[str, Any]]) -> Scores:
    metric = main_metric([files[TEACHER], *files.values()])
    first: dict[str, Any] = {}
    for file in files.values():
        signature = file["metrics"].get(metric, {}).get("signature")
        if signature is not None and first.setdefault("signature", signature) != signature:
            raise UserError(
                f"{file['path']}: its {metric} was computed in another way ({signature}) than that of other systems "
                f"({first['signature']}); delete the older one's score.json and metrics.json and run again"
            )
    return Scores(metric, files)


def check_seeds(logs: Sequence[tuple[str, Path]]) -> None:
    """Raise UserError for a training curve given twice, and for students of different seeds, which cannot be compared.

    `logs` has (system, `train.jsonl`) pairs of a task. A curve that does not say its seed has one of its own.
    """
    seeds: dict[str, dict[str, Path]] = {}
    for system, path in logs:
        seed = lineage_of(path).get(SEED) or str(path.resolve())
        if seed in seeds.setdefault(system, {}):
            raise UserError(f"{path}: a second training curve of {system}, seed {seed}; give each once")
        seeds[system][seed] = path
    first = next(iter(seeds), None)
    for system, of_system in seeds.items():
        if of_system.keys() != seeds[first].keys():
            found, expected = (", ".join(sorted(seeds[name])) for name in (system, first))
            raise UserError(
                f"{next(iter(of_system.values()))}: the training curves of {system} have the seeds {found}, but those "
                f"of {first} {expected}; give those of the same seeds"
            )


def sizes_of(systems: Mapping[str, Any], models: Models) -> list[str | None]:
    """Return the sizes of the students among `systems`, in the order of the starts."""
    found = {split_size(system)[1] for system in systems if system != TEACHER}
    for size in found - set(models.starts):
        models.starts_of(size)  # raises UserError for a size without a start
    return [size for size in models.starts if size in found]


Printed = Callable[[str], str | None]  # a column -> the paper's number of a row as printed, None without any


def printed(paper: PublishedTable | None, task: str, key: Mapping[str, str] | None) -> Printed:
    """Return the numbers of the paper's row that says `key`; without a table or a key there are none.

    The paper's tasks are data sets; a task such as `xsum_pegasus` is named after its data and its teacher's family.
    """
    if paper is None or key is None:
        return lambda column: None
    data = task.removesuffix(f"_{key['teacher']}")
    return lambda column: paper.number(data, column, **key)
