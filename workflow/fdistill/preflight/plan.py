"""The input of a check, a study and where it will run, and its output, findings."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Any

from fdistill.config import Study
from fdistill.config.other_teacher_checks import OTHER_TEACHER, text_of
from fdistill.losses.sequences import OTHER_TEACHER_BEAM
from fdistill.preflight.architectures import Architecture, Layers, OtherTeacher, architecture, other_teacher
from fdistill.preflight.hub import Download
from fdistill.runtime.errors import UserError


@dataclass(frozen=True)
class Finding:
    """The result of one check; the text of a problem says what to do."""

    where: str  # such as "dart: teacher"
    text: str
    problem: bool = False

    def __str__(self) -> str:
        return f"{'PROBLEM' if self.problem else 'ok':8}{self.where}: {self.text}"


@dataclass(frozen=True)
class Plan:
    """A study and where it will run."""

    study: Study
    results: Path  # the folder that results are written to
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)  # resources by rule, if SLURM will run them

    def tasks(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the study's tasks: name and settings."""
        return ((name, self.study.task(name)) for name in self.study.tasks)

    def methods(self, task: str) -> dict[str, dict[str, Any]]:
        """Return the methods that the study trains, with the task's changes."""
        return self.study.trained(task)

    def on_the_hub(self, to_fetch: Download) -> str:
        """Return a text about a model that a job will download; compute nodes of a cluster often have no network."""
        advice = (
            f"; if compute nodes have no network, download it here first: hf download {to_fetch.model_id}"
            if self.jobs
            else ""
        )
        return f"{to_fetch}{advice}"

    @cached_property
    def architectures(self) -> dict[str, Architecture | UserError]:
        """The models of each task with a teacher, or with one from outside, or the error why they are not available."""
        tasks = {name: task for name, task in self.tasks() if task["model"]["teacher"] is not None}
        students = [
            {size: self.study.task(name, size)["model"]["student"] for size in self.study.sizes(name)} for name in tasks
        ]
        with ThreadPoolExecutor(max(1, len(tasks))) as pool:  # in parallel, because each waits for the hub
            found = pool.map(_architecture_or_error, tasks.values(), students, repeat(tasks))
            return dict(zip(tasks, found, strict=True))

    @cached_property
    def other_teachers(self) -> dict[str, OtherTeacher | UserError]:
        """The other teacher of each task with a method that learns from it, or the error; files of labels have none."""
        found: dict[str, OtherTeacher | UserError] = {}
        for task, settings in self.tasks():
            if OTHER_TEACHER_BEAM in self.study.sequences(task) and settings[OTHER_TEACHER]["labels"] is None:
                try:
                    found[task] = other_teacher(settings[OTHER_TEACHER], text_of(settings))
                except UserError as error:
                    found[task] = error
        return found

    def known(self) -> Iterator[tuple[str, dict[str, Any], Architecture]]:
        """Yield the tasks whose models are known: name, settings and models."""
        for name, result in self.architectures.items():
            if isinstance(result, Architecture):
                yield name, self.study.task(name), result


def _architecture_or_error(
    task: dict[str, Any], students: dict[str | None, Layers], tasks: dict[str, dict[str, Any]]
) -> Architecture | UserError:
    try:
        return architecture(task, students, tasks)
    except UserError as error:
        return error
