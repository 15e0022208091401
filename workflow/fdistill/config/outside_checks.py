"""Checks of a task whose teacher is from outside: its files of outputs, its student, and the methods that it can use.

See `fdistill.config.crosschecks`, which runs them.
"""

from collections.abc import Callable, Iterator
from typing import Any

from fdistill.config.method_starts import INIT_STUDENT
from fdistill.config.method_table import OVERRIDES, Methods
from fdistill.config.model_checks import NLL, OUTPUTS, SCRATCH, Task, outputs_of
from fdistill.config.student_checks import INIT
from fdistill.config.term_checks import not_stored
from fdistill.config.unlabelled import has_unlabelled
from fdistill.data.outputs import outputs_file
from fdistill.data.sources import UNLABELLED
from fdistill.data.unlabelled import SHARE
from fdistill.losses.sequences import (
    ONLINE_TEACHER_SAMPLES,
    OTHER_TEACHER_BEAM,
    STORED_SEQUENCES,
    TEACHER_SEQUENCES,
)
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import KeyPath, Problem, show
from fdistill.sampling.cache_kinds import TOPK

FILES = ("train", UNLABELLED, "test")  # keys of `model.teacher.outputs`
# Losses that a teacher's probability of 0 makes infinite: where only the token itself is known, all others have it.
NEED_EVERY_TOKEN: dict[str, Callable[[dict[str, Any]], bool]] = {
    "energy": lambda parameters: True,
    "rkl": lambda parameters: True,
    "jeffreys": lambda parameters: True,
    "alpha": lambda parameters: parameters["alpha"] <= 0,
    "skew_rkl": lambda parameters: parameters["skew"] == 0,
}
KEY: KeyPath = ("model", "teacher", OUTPUTS)
# Keys of a task about a teacher that is a model, or another one.
UNUSED = (
    *STORED_SEQUENCES,
    "teacher_cache",
    "teacher_cache_tokens",
    "other_teacher",
)


def check_outputs(task: Task) -> Iterator[Problem]:
    """Check the names of the files of outputs, which need not exist yet, and that unlabelled inputs have theirs."""
    outputs = outputs_of(task)
    if outputs is not None and has_unlabelled(task) != (outputs[UNLABELLED] is not None):
        missing = "outputs for them" if has_unlabelled(task) else "unlabelled inputs"
        text = f"the task has no {missing}: give this file and source.path.{UNLABELLED} (or source.{SHARE}), or neither"
        yield Problem((*KEY, UNLABELLED), text)
    for split in FILES if outputs is not None else ():
        if outputs[split] is not None:
            try:
                outputs_file(outputs[split])
            except UserError as error:
                yield Problem((*KEY, split), str(error))


def check_student(task: Task) -> Iterator[Problem]:
    """Check that a student is a model by itself (`init`) if, and only if, there is no teacher to copy layers from."""
    student, path = task["model"]["student"], ("model", "student")
    has_init = isinstance(student, dict) and INIT in student
    if outputs_of(task) is None:
        sizes = task["model"]["student_sizes"]
        paths = [path] if has_init else []
        paths += [
            (*path[:1], "student_sizes", name)
            for name, size in sizes.items()
            if isinstance(size, dict) and INIT in size
        ]
        for found in paths:
            text = (
                "not used: the student copies the teacher's layers; write their numbers instead (docs/methods.md), or"
            )
            yield Problem((*found, INIT), f"{text} give the teacher as files of outputs (model.teacher.outputs)")
        return
    if not has_init:
        text = f"{show(student)}: a teacher from outside has no layers to copy; set init to a checkpoint or {SCRATCH}"
        yield Problem(path, text)
    for stack in (key for key in ("encoder", "decoder") if has_init and key in student):
        yield Problem((*path, stack), "not used with init, which decides the layers; remove it")
    for name in task["model"]["student_sizes"]:
        text = "not possible with a teacher from outside: outputs are encoded with the tokenizer of one student"
        yield Problem(("model", "student_sizes", name), f"{text}; remove it, and write a task per student")


def check_unused(task: Task, given: Task) -> Iterator[Problem]:
    """Check that a task with outputs says nothing of a teacher that is a model; `given` is it without its defaults."""
    if outputs_of(task) is None:
        return
    teacher = given.get("model", {}).get("teacher") or {}
    paths = [("model", "teacher", key) for key in teacher if key != OUTPUTS]
    paths += [(key,) for key in UNUSED if given.get(key) is not None]
    paths += [("training", "teacher")] if "teacher" in given.get("training", {}) else []
    for path in paths:
        yield Problem(path, "not used: the teacher is files of outputs (model.teacher.outputs); remove it")


def check_methods(task: Task, methods: Methods, selected: list[str]) -> Iterator[Problem]:
    """Yield the `selected` methods that need more of the teacher than its outputs; `methods` are all of the table."""
    outputs = outputs_of(task)
    if outputs is None:
        return
    log_probs = outputs["log_probs"]
    usable = [name for name in methods if unusable(name, methods, log_probs) is None]
    offered = f"methods that work: {', '.join(usable) or 'none'}"
    for name in selected:
        if reason := _terms_mistake(methods[name], log_probs):
            yield Problem(
                KEY, f"method '{name}' needs the teacher itself: {reason}; remove it from methods ({offered})"
            )
        elif reason := unusable(name, methods, log_probs):
            remedy = f"set {OVERRIDES}.{name}.start to {INIT_STUDENT} or to a method that works"
            yield Problem((OVERRIDES,), f"method '{name}' starts from {reason}; {remedy} ({offered})")


def unusable(name: str, methods: Methods, log_probs: bool) -> str | None:
    """Return the method, and why it cannot be used, by which `name` or what it starts from fails; None if none does."""
    seen: set[str] = set()
    while name in methods and name not in seen:  # a chain of starts; its own mistakes are reported elsewhere
        if reason := _terms_mistake(methods[name], log_probs):
            return f"'{name}', which needs the teacher itself ({reason})"
        seen.add(name)
        name = methods[name].get("start", INIT_STUDENT)
    return None


def need_teacher(methods: Methods, log_probs: bool = True) -> list[str]:
    """Return the methods whose terms need more of a teacher than its outputs, with log-probabilities or without."""
    return [name for name, method in methods.items() if _terms_mistake(method, log_probs)]


def without_refused(task: Task, methods: Methods) -> Methods:
    """Return the methods but those that `check_methods` refuses for what they need of the task's teacher."""
    try:
        outputs = outputs_of(task)
        refused = [] if outputs is None else need_teacher(methods, outputs["log_probs"])
    except KeyError:  # a mistake of form, which is reported itself: `check_methods` has ended early too
        return methods
    return {name: method for name, method in methods.items() if name not in refused}


def _terms_mistake(method: dict[str, Any], log_probs: bool) -> str | None:
    """Return what a method's terms need of the teacher that its outputs do not have; None if they need nothing more."""
    for term in method.get("terms", []):
        kind, loss = term["sequences"], term["loss"]
        if kind == ONLINE_TEACHER_SAMPLES:
            return "it samples from the teacher while it trains"
        if kind == OTHER_TEACHER_BEAM:
            return "labels of another teacher go with a teacher that is a model"
        if loss == NLL:
            continue
        if kind not in TEACHER_SEQUENCES:
            return f"its loss '{loss}' on {kind} reads the teacher's distributions there"
        if not log_probs:
            return f"its loss '{loss}' reads distributions; set log_probs: true if the outputs have log-probabilities"
        if missing := not_stored(method, term, TOPK):
            return f"the outputs do not contain {missing}"
        if loss in NEED_EVERY_TOKEN and NEED_EVERY_TOKEN[loss](term["parameters"]):
            return f"its loss '{loss}' is infinite where the teacher's probability of a token is not known"
    return None
