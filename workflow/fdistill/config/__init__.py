"""The configuration of a study: read, checked as a whole, and completed with every default.

Every start of Snakemake reads it, so nothing here imports torch or transformers.
"""

from collections.abc import Iterator
from pathlib import Path

from fdistill.config.claim_checks import compared_tasks, read_claims
from fdistill.config.crosschecks import (
    NOT_METHODS,
    NOT_TASKS,
    folder_problems,
    name_problems,
    own_output_problems,
    task_problems,
)
from fdistill.config.files import Merged, Report, Settings, at, merge, set_in
from fdistill.config.logging_checks import LOGGING, logging_problems
from fdistill.config.method_checks import check_labelled, check_stage
from fdistill.config.method_table import Methods, methods_for, read_methods
from fdistill.config.schema import STUDY, fill_defaults, nothing_required, section
from fdistill.config.student_checks import origin_problems
from fdistill.config.study import Study
from fdistill.config.usable_methods import without_refused
from fdistill.runtime.validation import KeyPath, Problem, condition_problems, nearest, problems, without
from fdistill.runtime.value_schemas import Schema

TASKS, METHODS = Path("config/tasks"), Path("config/methods.yaml")
OVERRIDES = "task_overrides"
RESULTS = "results"  # the default of the key of the same name


def load(config: Settings, files: list[Path], root: Path, keys: KeyPath = (), project: Path | None = None) -> Study:
    """Return the study that Snakemake's merged `config` describes; its tasks and methods lie in the folder `root`.

    `files` are the configuration files that Snakemake has merged, in order: a mistake is reported with the file that
    it is in. When another workflow imports this one as a module, `config` is the part of its files under `keys`.
    Tasks, methods and files of claims in its folder `project` then replace those of `root` with the same name.

    Raises one UserError that lists every mistake of every file, each with file, key, value and remedy. Mistakes that
    are only in the files of tasks that the study does not name are raised by `Study.task`.
    """
    report = Report(root)
    folders = [root] if project is None else [project, root]
    contents, all_read = _read_files(files, keys, report)
    # If a file cannot be read, nothing is known of what Snakemake has made of it.
    config = config if all_read else {}
    merged = Merged(config, contents)
    form_mistakes = _form_mistakes(config, section(STUDY)) if all_read else []
    for mistake in form_mistakes:
        report.add(merged.file_of(mistake.path), [mistake])
    study = fill_defaults(without(config, form_mistakes), section(STUDY))
    overrides = study.pop(OVERRIDES)
    for text in folder_problems(study["results"]) if "results" in study else ():
        report.add(merged.file_of(("results",)), [Problem(("results",), text)])
    for problem in logging_problems(study.get(LOGGING, {})):
        own = problem.under(LOGGING)
        report.add(merged.file_of(own.path), [own])

    methods = _methods(folders, report)
    tasks, reports, labels = {}, {}, {}
    paths = {path.stem: path for folder in reversed(folders) for path in (folder / TASKS).glob("*.yaml")}
    for path in sorted(paths.values(), key=lambda path: path.name):
        reports[path.stem] = Report(root)
        task = _Task(path, methods, study.get("methods", []), reports[path.stem])
        if path.stem in overrides:
            task.override(overrides[path.stem], form_mistakes, merged, report)
        else:
            reports[path.stem].add(task.label, task.check_mistakes)
        tasks[path.stem], labels[path.stem] = task.settings, task.label
        own = own_output_problems(task.settings.get("source"), Path(study.get("results", RESULTS)) / path.stem)
        reports[path.stem].add(task.label, own)
    if not tasks:
        report.add(str(TASKS), [Problem((), "no task here; write one as config/tasks/NAME.yaml")])

    for problem in _unknown_names(study, overrides, tasks, methods):
        report.add(merged.file_of(problem.path), [problem])
    for name in (name for name in study.get("tasks", []) if name in tasks):
        of_task = without_refused(tasks[name], methods_for(tasks[name], methods)[0])
        known = (name, tasks[name], of_task, study.get("methods", []))
        for index, text in (*check_labelled(*known), *check_stage(*known)):
            report.add(merged.file_of(("methods", index)), [Problem(("methods", index), text)])
    valid = {name: task for name, task in tasks.items() if not reports[name].lines}
    for name in valid:
        for problem in origin_problems(name, valid, study.get("tasks", [])):
            if set_in(overrides.get(name, {}), problem.path) is None:
                reports[name].add(labels[name], [problem])
            else:
                own = problem.under(OVERRIDES, name)
                report.add(merged.file_of(own.path), [own])
    study["claims"] = [_first(folders, file) for file in study.get("claims", [])]
    claims = read_claims(study["claims"], report, methods, tasks, study.get("tasks", []))
    broken = {name: of_task for name, of_task in reports.items() if of_task.lines}
    if report.lines or broken.keys() & set(study.get("tasks", [])):
        for of_task in broken.values():
            report.lines |= of_task.lines
        report.raise_mistakes()
    mistakes = {name: of_task.text() for name, of_task in broken.items()}
    tasks = {name: task for name, task in tasks.items() if name not in broken}
    compared = compared_tasks(claims, study["tasks"])
    return Study(**study, compared_tasks=compared, _tasks=tasks, _methods=methods, _task_mistakes=mistakes)


def _read_files(files: list[Path], keys: KeyPath, report: Report) -> tuple[dict[str, Settings], bool]:
    """Return the part under `keys` of each file, by the name of the file in messages, and whether all could be read."""
    contents, all_read = {}, True
    for file in files:
        content = report.read(file)
        all_read &= content is not None
        if isinstance(part := at(content, keys, None), dict):
            contents[": ".join((report.label(file), *map(str, keys)))] = part
    for label, content in contents.items():
        report.add(label, _form_mistakes(content, nothing_required(section(STUDY))))
    return contents, all_read


def _form_mistakes(study: Settings, schema: Schema) -> list[Problem]:
    """Return the mistakes of form of a study, or of one file of it; of a task's key it says where that belongs."""
    of_tasks = {(key,) for key in section("task")["properties"].keys() - schema["properties"].keys()}
    text = f"a key of tasks, not of the study; write it into a task's file, or under {OVERRIDES}.TASK"
    return [Problem(m.path, text) if m.path in of_tasks else m for m in problems(study, schema)]


def _unknown_names(
    study: Settings, overrides: Settings, tasks: dict[str, Settings], methods: Methods
) -> Iterator[Problem]:
    """Yield a problem for each task, method and stage that the study names and that does not exist."""
    names = [(("tasks", index), "task", name, tasks) for index, name in enumerate(study.get("tasks", []))]
    names += [((OVERRIDES, name), "task", name, tasks) for name in overrides]
    names += [(("methods", index), "method", name, methods) for index, name in enumerate(study.get("methods", []))]
    for key, kind, name, known in names:
        if known and name not in known:
            yield Problem(key, f"unknown {kind} '{name}'; {nearest(name, known)}")
    for index, name in enumerate(study.get("stages") or ()):
        if name not in study.get("methods", [name]):
            yield Problem(("stages", index), f"'{name}' is not among the study's methods; add it there, or remove it")


def _first(folders: list[Path], file: str) -> Path:
    """Return the path of a file in the first of the folders that has it, or else in the last."""
    return next((path for folder in folders if (path := folder / file).exists()), folders[-1] / file)


def _methods(folders: list[Path], report: Report) -> Methods:
    """Return the folders' tables of methods as one, with its defaults; empty if one cannot be read."""
    *more, last = [folder / METHODS for folder in folders]
    tables = [report.read(file) for file in (last, *(file for file in more if file.exists()))]
    if None in tables:
        return {}
    content = {name: method for table in tables for name, method in table.items()}
    methods, table_mistakes = read_methods(content)
    name_mistakes = [Problem((name,), text) for name in content for text in name_problems(name, NOT_METHODS)]
    report.add(str(METHODS), [*name_mistakes, *table_mistakes])
    return methods


class _Task:
    """A task: its file, and the study's overrides. What the checks find in the file alone, overrides may cure."""

    def __init__(self, path: Path, methods: Methods, selected: list[str], report: Report):
        """Read and check the file; `methods` are all that exist, `selected` the names of those that the study uses."""
        self.methods, self.selected = methods, selected
        self.report, self.label = report, report.label(path)
        self.override_key = (OVERRIDES, path.stem)
        report.add(self.label, [Problem((), text) for text in name_problems(path.stem, NOT_TASKS)])
        content = report.read(path)
        self.is_readable = content is not None
        self.form_mistakes = problems(content, section("task")) if self.is_readable else []
        self.given = without(content or {}, self.form_mistakes)
        self.settings = fill_defaults(self.given, section("task"))
        self.check_mistakes = self._check() if self.is_readable else []
        report.add(self.label, self.form_mistakes)

    def override(self, changes: Settings, form_mistakes: list[Problem], merged: Merged, study: Report) -> None:
        """Merge `changes`, and report what the checks find then, mistakes in the study's own files to `study`.

        `form_mistakes` are those of the merged configuration, which were left out of `changes`.
        """
        # Over the defaults too: `teacher_beam: {num_beams: 2}` changes one key of the default beam search.
        self.settings = fill_defaults(merge(self.settings, changes), section("task"))
        self.given = merge(self.given, changes)
        own_mistakes = [mistake for mistake in form_mistakes if mistake.path[:2] == self.override_key]
        self.form_mistakes = self.form_mistakes + [Problem(mistake.path[2:], mistake.text) for mistake in own_mistakes]
        for problem in self._check() if self.is_readable else []:
            if (overridden := set_in(changes, problem.path)) is not None:
                file = merged.file_of((*self.override_key, *overridden))
                study.add(file, [problem.under(*self.override_key)])
            elif problem in self.check_mistakes:
                self.report.add(self.label, [problem])
            else:  # a key of the task's file that the changes disagree with
                text = f"{problem.text} (with {'.'.join(self.override_key)})"
                self.report.add(self.label, [Problem(problem.path, text)])

    def _check(self) -> list[Problem]:
        """Return what the checks find, without what is only a consequence of a mistake of form."""
        bad_keys = {mistake.path for mistake in self.form_mistakes}
        bad_mappings = {path[:-1] for path in bad_keys}  # here the choice that a condition refers to may be the mistake
        conditions = condition_problems(self.settings, section("task"))
        is_complete = not self.form_mistakes
        checked = task_problems(self.settings, self.given, self.methods, self.selected, is_complete)
        return [
            *(problem for problem in conditions if problem.path[:-1] not in bad_mappings),
            *(problem for problem in checked if problem.path not in bad_keys),
        ]
