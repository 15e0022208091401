"""The table of methods, and what a task makes of it (`method_overrides`). See `fdistill.config.crosschecks`."""

from collections.abc import Iterator
from typing import Any

from fdistill.config.files import merge
from fdistill.config.model_checks import NLL, SCRATCH, Task
from fdistill.config.schema import fill_defaults, section
from fdistill.runtime.validation import Problem, condition_problems, nearest, problems, show, without

Method = dict[str, Any]
Methods = dict[str, Method]

OVERRIDES = "method_overrides"
STUDENT_SAMPLES = "student_samples"  # a kind of sequence, and the method's key that says how it is drawn
TEACHER_SEQUENCES = ("teacher_samples", "teacher_beam")  # likewise, the task's keys
PREDISTILL = "predistill"  # the method that `start: predistill` refers to
DISTILL = "distill"  # the training stage whose examples the teacher answers


def read_methods(table: dict[str, Any]) -> tuple[Methods, list[Problem]]:
    """The methods of a table with their defaults, and what is wrong with the table.

    A key with a mistake is left out of its method.
    """
    form = problems(table, section("methods"))
    clean = without(table, form)
    methods = {name: fill_defaults(clean.get(name, {}), section("method")) for name in table}
    conditions = [
        problem.under(name)
        for name, method in methods.items()
        for problem in condition_problems(method, section("method"))
    ]
    return methods, [*form, *conditions, *_start_problems(methods), *_unused_sampling(methods)]


def methods_for(task: Task, methods: Methods) -> tuple[Methods, list[Problem]]:
    """The methods as the task changes them, and what is wrong with its changes, by their keys in the task."""
    changes = task.get(OVERRIDES, {})
    if not (changes and methods):  # a table that cannot be read has its own mistakes
        return methods, []
    found = []
    for name in changes:
        if name not in methods:
            found.append(Problem((name,), f"unknown method '{name}'; {nearest(name, methods)}"))
        elif "title" in changes[name]:
            text = "a method has one title for all tasks; change it in config/methods.yaml"
            found.append(Problem((name, "title"), text))
    known = {name: change for name, change in changes.items() if name in methods}
    before = read_methods(methods)[1]  # mistakes of the table, reported with its own file
    changed, after = read_methods(merge(methods, known))
    found += [problem for problem in after if problem not in before]
    return changed, [problem.under(OVERRIDES) for problem in found]


def check_no_teacher(task: Task, methods: Methods) -> Iterator[Problem]:
    """The methods that a task without a teacher cannot have, each with what it wants the teacher for."""
    if task.get("model", {}).get("teacher", {}) is not None:
        return
    for name, method in methods.items():
        yield Problem(
            ("model", "teacher"),
            f"null, but method '{name}' needs a teacher: {_use_of_teacher(method)}; "
            f"give one ({{init: {SCRATCH}}}, or a folder or hub id), or take '{name}' out of methods",
        )


def check_stored(task: Task, methods: Methods) -> Iterator[Problem]:
    """A method that learns from the teacher's stored sequences trains on the examples they were drawn for."""
    sampled = task["training"][DISTILL]["max_examples"]
    for name, method in methods.items():
        stored = _stored(method)
        if not stored or "training" not in method:
            continue
        stage = method["training"]
        used = task["training"][stage]["max_examples"]
        if used != sampled:
            yield Problem(
                ("training", stage, "max_examples"),
                f"{show(used)}, but method '{name}' trains with it on {stored[0]}, which are drawn for "
                f"training.{DISTILL}.max_examples, {show(sampled)}; "
                f"make the two equal, or give the method training: {DISTILL}",
            )


def check_lengths(task: Task, methods: Methods) -> Iterator[Problem]:
    """No sequence is drawn that is longer than targets may be, whose positions the models are known to have."""
    longest = task["text"]["max_target_tokens"]
    configs = [((kind, "max_new_tokens"), kind, task[kind]) for kind in TEACHER_SEQUENCES]
    configs += [  # which may stand in the table of methods: what every task has is its own bound
        (("text", "max_target_tokens"), f"method '{name}'", method[STUDENT_SAMPLES]) for name, method in methods.items()
    ]
    for path, what, sampling in configs:
        wanted = sampling["max_new_tokens"]
        if wanted is not None and wanted > longest:
            text = f"{what} asks for sequences of {wanted} tokens (max_new_tokens), more than text.max_target_tokens"
            yield Problem(path, f"{text}, {longest}; lower the one or raise the other")


def check_cache(task: Task, methods: Methods) -> Iterator[Problem]:
    """What a method reads of the teacher on its samples is in the cache."""
    stored = task["teacher_cache"]
    for name, method in methods.items() if stored != "none" else ():
        for term in method.get("terms", []):
            if term["sequences"] != "teacher_samples":
                continue
            missing = None
            if term["loss"] == "hidden_mse":
                missing = "hidden states (loss hidden_mse)"
            elif stored == "topk" and term["parameters"].get("exact"):
                missing = "every sampled token's probability (parameter exact)"
            elif stored == "topk" and term["temperature"] != 1:
                missing = "distributions at another temperature"
            if missing:
                text = f"{stored}, but method '{name}' reads of the teacher on its samples {missing}"
                yield Problem(("teacher_cache",), f"{text}; write none, or leave the method out of methods")


def _start_problems(methods: Methods) -> Iterator[Problem]:
    for name, method in methods.items():
        if method.get("start") != PREDISTILL:
            continue
        if name == PREDISTILL:
            yield Problem((name, "start"), "the method cannot start from itself; write start: init_student")
        elif PREDISTILL not in methods:
            yield Problem(
                (name, "start"),
                f"there is no method '{PREDISTILL}' to start from; add it, or start from init_student",
            )


def _unused_sampling(methods: Methods) -> Iterator[Problem]:
    default = fill_defaults({}, section("sampling"))
    for name, method in methods.items():
        used = any(term.get("sequences") == STUDENT_SAMPLES for term in method.get("terms", []))
        if not used and method.get(STUDENT_SAMPLES, default) != default:
            yield Problem(
                (name, STUDENT_SAMPLES), f"not used: no term of the method learns from {STUDENT_SAMPLES}; remove it"
            )


def _use_of_teacher(method: Method) -> str:
    for term in method.get("terms", []):
        if term["sequences"].startswith("teacher_"):
            return f"it learns from {term['sequences']}"
        if term["loss"] != NLL:
            return f"its loss '{term['loss']}' reads the teacher's distributions"
    return "its student starts as a copy of the teacher's layers (init_student)"


def _stored(method: Method) -> list[str]:
    """The kinds of stored teacher sequences that the method learns from."""
    kinds = [term["sequences"] for term in method.get("terms", [])]
    return [kind for kind in kinds if kind.startswith("teacher_")]
