"""A valid configuration: what the study names, and the settings of every task, method and size of the student."""

from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from fdistill.artifacts.systems import of_size, split_size
from fdistill.config.files import Settings, merge
from fdistill.config.method_starts import with_starts
from fdistill.config.method_table import OVERRIDES, complete
from fdistill.models.student_layers import read_notation
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import nearest

SIZES = "student_sizes"  # a key of a task's section `model`


@dataclass(frozen=True)
class Study:
    """A valid configuration; `tasks` and `methods` are those that the target `all` makes, `claims` are files.

    `compared_tasks` are those of the tasks that claims compare with each other.
    """

    tasks: list[str]
    methods: list[str]
    seeds: list[int]
    teacher_seed: int
    device: str
    gpu_memory: int | None
    cache: str
    results: str
    examples_per_task: int
    deployment: bool
    stages: list[str] | None
    tables: Settings
    logging: Settings
    claims: list[Path]
    compared_tasks: list[str]
    _tasks: dict[str, Settings] = field(repr=False)
    _task_mistakes: dict[str, str] = field(repr=False)
    _methods: dict[str, Settings] = field(repr=False)

    @property
    def all_tasks(self) -> list[str]:
        """Return the names of all tasks that have a file in config/tasks, with mistakes or without."""
        return sorted({*self._tasks, *self._task_mistakes})

    @property
    def task_mistakes(self) -> dict[str, str]:
        """Return the mistakes of tasks that the study does not name, by task: `task` raises them."""
        return dict(self._task_mistakes)

    @property
    def all_methods(self) -> list[str]:
        """Return the names of all methods in config/methods.yaml."""
        return list(self._methods)

    @property
    def all_sizes(self) -> list[str | None]:
        """Return the student's sizes in any task: None, the default size, and the names of the others."""
        return [None, *dict.fromkeys(size for task in self._tasks.values() for size in task["model"][SIZES])]

    def task(self, name: str, size: str | None = None) -> Settings:
        """Return a task's settings: its file, the study's `task_overrides`, and the defaults.

        `model.student` has the layers of the student's `size`; None is the default size. Raises UserError for an
        unknown name, for a task with mistakes, and for a size that the task does not have.
        """
        task = self._task(name)
        sizes = task["model"].pop(SIZES)
        if size is not None and size not in sizes:
            raise UserError(f"task '{name}' has no student size '{size}' (model.{SIZES}); {nearest(size, sizes)}")
        student = task["model"]["student"] if size is None else sizes[size]
        task["model"]["student"] = read_notation(student)
        return task

    def sizes(self, task: str) -> list[str | None]:
        """Return a task's sizes of the student: None, the default size, and the names of the others."""
        return [None, *self._task(task)["model"][SIZES]]

    def students(self, task: str) -> list[str]:
        """Return the students that the study has of a task: every method in the default size, then in each other."""
        return [of_size(method, size) for size in self.sizes(task) for method in self.methods]

    def trained(self, task: str | None = None) -> dict[str, Settings]:
        """Return the methods that the study trains, with the changes of `task`: its own, and those they start from."""
        methods = {name: self.method(name, task) for name in self._methods}
        return {name: methods[name] for name in with_starts(self.methods, methods)}

    def sequences(self, task: str) -> set[str]:
        """Return the kinds of sequence that the study's methods learn from in a task."""
        return {term["sequences"] for method in self.trained(task).values() for term in method["terms"]}

    def training(self, task: str, stage: str) -> Settings:
        """Return a task's settings of one training stage; UserError if it does not have the stage.

        They are those that every stage has: `lora`, of the teacher's alone, is left out.
        """
        stages = self.task(task)["training"]
        if stage not in stages:
            raise UserError(
                f"task '{task}': training.{stage} is missing; set its learning_rate and epochs, or leave out the "
                "methods that are trained with it"
            )
        return {key: value for key, value in stages[stage].items() if key != "lora"}

    def selection(self, task: str, stage: str) -> Settings:
        """Return a task's section `selection` for one training stage, with that stage's `selection_overrides`."""
        settings = self.task(task)
        return merge(settings["selection"], settings["selection_overrides"].get(stage, {}))

    def method(self, name: str, task: str | None = None) -> Settings:
        """Return a method's entry with the defaults, and with the `method_overrides` of `task` if it is given.

        `name` may end in a size of the student, as in `js-e2d1`: then the title says so, and it starts from a student
        of this size, untrained or another method's. Raises UserError for an unknown name, and for a size that `task`
        does not have.
        """
        key, size = split_size(name)
        method = _entry(self._methods, "method", key)
        if task is not None:
            method = complete(merge(method, self.task(task, size)[OVERRIDES].get(key, {})))
        if size is not None:
            method["title"] = f"{method['title']}, {size}"
        method["start"] = of_size(method["start"], size)
        return method

    def _task(self, name: str) -> Settings:
        """Return a task's settings with all sizes of the student."""
        if name in self._task_mistakes:
            raise UserError(self._task_mistakes[name])
        return _entry(self._tasks, "task", name)


def _entry(entries: dict[str, Settings], kind: str, name: str) -> Settings:
    if name not in entries:
        raise UserError(f"unknown {kind} '{name}'; {nearest(name, entries)}")
    return deepcopy(entries[name])
