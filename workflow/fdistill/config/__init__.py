"""The configuration of a study: read, checked as a whole, and with every default filled in.

It is read at every start of Snakemake, so nothing here imports torch or transformers.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from fdistill.config.crosschecks import NOT_METHODS, NOT_TASKS, name_problems, task_problems
from fdistill.config.files import Merged, Report, Settings, at, merge, set_in
from fdistill.config.method_checks import OVERRIDES as METHOD_OVERRIDES
from fdistill.config.method_checks import Methods, read_methods
from fdistill.config.schema import STUDY, fill_defaults, nothing_required, section
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import KeyPath, Problem, condition_problems, nearest, problems, without

TASKS, METHODS = Path("config/tasks"), Path("config/methods.yaml")
OVERRIDES = "task_overrides"


@dataclass(frozen=True)
class Study:
    """A valid configuration; `tasks` and `methods` are those of the target `all`."""

    tasks: list[str]
    methods: list[str]
    seeds: list[int]
    teacher_seed: int
    device: str
    gpu_memory: int | None
    cache: str
    examples_per_task: int
    tables: Settings
    _tasks: dict[str, Settings] = field(repr=False)
    _methods: dict[str, Settings] = field(repr=False)

    @property
    def all_tasks(self) -> list[str]:
        """Every task that has a file in config/tasks."""
        return list(self._tasks)

    @property
    def all_methods(self) -> list[str]:
        """Every method in config/methods.yaml."""
        return list(self._methods)

    def task(self, name: str) -> Settings:
        """A task's file with the study's changes to it and the defaults; UserError for an unknown name."""
        return _entry(self._tasks, "task", name)

    def selection(self, task: str, stage: str) -> Settings:
        """A task's `selection` with its changes for one training stage."""
        settings = self.task(task)
        return merge(settings["selection"], settings["selection_overrides"].get(stage, {}))

    def method(self, name: str, task: str | None = None) -> Settings:
        """A method's entry with the defaults, and with the changes of a task if one is named.

        UserError for an unknown name.
        """
        method = _entry(self._methods, "method", name)
        if task is None:
            return method
        changes = self.task(task)[METHOD_OVERRIDES].get(name, {})
        return fill_defaults(merge(method, changes), section("method"))


def _entry(entries: dict[str, Settings], what: str, name: str) -> Settings:
    if name not in entries:
        raise UserError(f"unknown {what} '{name}'; {nearest(name, entries)}")
    return deepcopy(entries[name])


def load(config: Settings, files: list[Path], root: Path, keys: KeyPath = (), project: Path | None = None) -> Study:
    """The study of Snakemake's merged `config`, made from `files` in order, in the repository at `root`.

    When another workflow imports this one as a module, `config` may be a section of its files, the one under `keys`,
    and its folder `project` may have tasks and methods of its own, which come before those of `root` of the same name.

    Raises one UserError that lists every mistake of every file, each with its file, key, value and remedy.
    """
    report = Report(root)
    folders = [root] if project is None else [project, root]
    contents, unread = {}, 0
    for file in files:
        content = report.read(file)
        unread += content is None
        if isinstance(part := at(content, keys, None), dict):
            contents[": ".join((report.label(file), *keys))] = part
    for label, content in contents.items():
        report.add(label, problems(content, nothing_required(section(STUDY))))
    whole = Merged(config, contents)
    # With a file that cannot be read, nothing certain can be said of what was merged from it.
    form = [] if unread else problems(config, section(STUDY))
    for problem in form:
        report.add(whole.file_of(problem.path), [problem])
    study = fill_defaults(without(config, form), section(STUDY))
    changes = study.pop(OVERRIDES)

    methods = _methods(folders, report)
    tasks = {}
    paths = {path.stem: path for folder in reversed(folders) for path in (folder / TASKS).glob("*.yaml")}
    for path in sorted(paths.values(), key=lambda path: path.name):
        task = _Task(path, methods, study.get("methods", []), report)
        if path.stem in changes:
            task.change(changes[path.stem], form, whole)
        tasks[path.stem] = task.settings
    if not tasks:
        report.add(str(TASKS), [Problem((), "no task here; write one as config/tasks/NAME.yaml")])

    named = [(("tasks", index), "task", name, tasks) for index, name in enumerate(study.get("tasks", []))]
    named += [((OVERRIDES, name), "task", name, tasks) for name in changes]
    named += [(("methods", index), "method", name, methods) for index, name in enumerate(study.get("methods", []))]
    for key, what, name, known in named:
        if known and name not in known:
            report.add(whole.file_of(key), [Problem(key, f"unknown {what} '{name}'; {nearest(name, known)}")])
    report.finish()
    return Study(**study, _tasks=tasks, _methods=methods)


def _methods(folders: list[Path], report: Report) -> Methods:
    """The folders' tables of methods as one, with its defaults; empty when one cannot be read."""
    *more, last = [folder / METHODS for folder in folders]
    tables = [report.read(file) for file in (last, *(file for file in more if file.exists()))]
    if None in tables:
        return {}
    content = {name: method for table in tables for name, method in table.items()}
    methods, found = read_methods(content)
    names = [Problem((name,), text) for name in content for text in name_problems(name, NOT_METHODS)]
    report.add(str(METHODS), [*names, *found])
    return methods


class _Task:
    """A task's file, checked; then the same task with the study's changes."""

    def __init__(self, path: Path, methods: Methods, selected: list[str], report: Report):
        """`methods` are all there are; `selected`, those that the study uses the task with."""
        self.methods, self.selected = methods, selected
        self.report, self.label = report, report.label(path)
        self.key = (OVERRIDES, path.stem)
        report.add(self.label, [Problem((), text) for text in name_problems(path.stem, NOT_TASKS)])
        content = report.read(path)
        self.readable = content is not None
        self.form = problems(content, section("task")) if self.readable else []
        self.given = without(content or {}, self.form)
        self.settings = fill_defaults(self.given, section("task"))
        self.found = self._problems() if self.readable else []
        report.add(self.label, [*self.form, *self.found])

    def change(self, changes: Settings, form: list[Problem], whole: Merged) -> None:
        """Merge `changes`; `form` holds the mistakes of `whole`, which were left out of them."""
        # Over the defaults too: `teacher_beam: {num_beams: 2}` changes one key of the default beam search.
        self.settings = fill_defaults(merge(self.settings, changes), section("task"))
        self.given = merge(self.given, changes)
        self.form = self.form + [Problem(p.path[2:], p.text) for p in form if p.path[:2] == self.key]
        for problem in self._problems() if self.readable else []:
            if problem in self.found:
                continue
            setting = set_in(changes, problem.path)
            if setting is None:  # a key of the task's file that the changes disagree with
                self.report.add(self.label, [Problem(problem.path, f"{problem.text} (with {'.'.join(self.key)})")])
            else:
                self.report.add(whole.file_of((*self.key, *setting)), [problem.under(*self.key)])

    def _problems(self) -> list[Problem]:
        """What the checks find, less what only follows from a mistake of form."""
        bad_keys = {mistake.path for mistake in self.form}
        bad_mappings = {path[:-1] for path in bad_keys}  # where a choice may be what is wrong
        conditions = condition_problems(self.settings, section("task"))
        checked = task_problems(self.settings, self.given, self.methods, self.selected, complete=not self.form)
        return [
            *(problem for problem in conditions if problem.path[:-1] not in bad_mappings),
            *(problem for problem in checked if problem.path not in bad_keys),
        ]
