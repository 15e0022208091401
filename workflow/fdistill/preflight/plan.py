"""What is to be run, and what a check has to say about it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fdistill.config import Study
from fdistill.preflight.architectures import Architecture, architecture
from fdistill.runtime.errors import UserError


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; the text of a problem says what to do."""

    where: str  # "dart: teacher"
    text: str
    problem: bool = False


@dataclass(frozen=True)
class Plan:
    """A study and where it is to run."""

    study: Study
    results: Path  # the folder that results are written to
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)  # resources by rule, where SLURM is to run them

    def tasks(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The study's tasks."""
        return ((name, self.study.task(name)) for name in self.study.tasks)

    def methods(self, task: str) -> dict[str, dict[str, Any]]:
        """The study's methods as the task has them, pre-distillation always among them if any starts from it."""
        methods = {name: self.study.method(name, task) for name in self.study.methods}
        starts = {method["start"] for method in methods.values()}
        return {name: self.study.method(name, task) for name in starts - {"init_student"}} | methods

    def on_the_hub(self, model_id: str) -> str:
        """What to say of a model that a job will fetch; nodes of a cluster often have no network to do so."""
        aside = f"; if compute nodes have no network, fetch it here first: hf download {model_id}" if self.jobs else ""
        return f"{model_id}, on the hub{aside}"

    @cached_property
    def architectures(self) -> dict[str, Architecture | UserError]:
        """The models of each task that has a teacher, or why there are none."""
        tasks = [(name, task) for name, task in self.tasks() if task["model"]["teacher"] is not None]
        with ThreadPoolExecutor(max(1, len(tasks))) as pool:  # they wait for the hub side by side
            return dict(zip((name for name, _ in tasks), pool.map(_tried, (task for _, task in tasks)), strict=True))

    def known(self) -> Iterator[tuple[str, dict[str, Any], Architecture]]:
        """Tasks whose models are known, with them."""
        for name, found in self.architectures.items():
            if isinstance(found, Architecture):
                yield name, self.study.task(name), found


def _tried(task: dict[str, Any]) -> Architecture | UserError:
    try:
        return architecture(task)
    except UserError as error:
        return error
