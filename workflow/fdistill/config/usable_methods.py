"""Which methods a task's models can be used with: a teacher from outside, or a student that copies no layers of it.

See `fdistill.config.crosschecks`, which runs the check.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from fdistill.artifacts.systems import INIT_STUDENT
from fdistill.config.method_table import OVERRIDES, Methods
from fdistill.config.model_checks import NLL, OUTPUTS, Task, is_whole, outputs_of, shares_tokenizer
from fdistill.config.term_checks import LAYER_LOSSES, not_stored
from fdistill.losses.sequences import ONLINE_TEACHER_SAMPLES, OTHER_TEACHER_BEAM, TEACHER_SEQUENCES
from fdistill.runtime.validation import KeyPath, Problem
from fdistill.sampling.cache_kinds import TOPK

# Losses that a teacher's probability of 0 makes infinite: where only the token itself is known, all others have it.
NEED_EVERY_TOKEN: dict[str, Callable[[dict[str, Any]], bool]] = {
    "energy": lambda parameters: True,
    "rkl": lambda parameters: True,
    "jeffreys": lambda parameters: True,
    "alpha": lambda parameters: parameters["alpha"] <= 0,
    "skew_rkl": lambda parameters: parameters["skew"] == 0,
}
SAMPLES_ONLINE = "it samples from the teacher while it trains"


@dataclass(frozen=True)
class Limit:
    """What a task's models do not have: the key that decides it, in words what methods need, and which ones do.

    `mistake` returns why a method's terms need it, None for a method that does not.
    """

    key: KeyPath
    needed: str
    mistake: Callable[[dict[str, Any]], str | None]

    def refusal(self, name: str, methods: Methods) -> str | None:
        """Return the method by which `name`, or what it starts from, fails, and why; None if none does."""
        seen: set[str] = set()
        while name in methods and name not in seen:  # a chain of starts; its own mistakes are reported elsewhere
            if reason := self.mistake(methods[name]):
                return f"'{name}', which needs {self.needed} ({reason})"
            seen.add(name)
            name = methods[name].get("start", INIT_STUDENT)
        return None


def limit_of(task: Task) -> Limit | None:
    """Return what limits a task's methods; None where its students copy layers of a teacher that is a model."""
    outputs = outputs_of(task)
    if outputs is not None:
        mistake = partial(_needs_more_than_outputs, log_probs=outputs["log_probs"])
        return Limit(("model", "teacher", OUTPUTS), "the teacher itself", mistake)
    if not shares_tokenizer(task):
        return Limit(
            ("model", "student", "own_tokenizer"), "a student with the teacher's tokenizer", _needs_one_tokenizer
        )
    if is_whole(task["model"]["student"]):
        return Limit(("model", "student", "init"), "a student with layers of the teacher", _needs_layers)
    return None


def check_methods(task: Task, methods: Methods, selected: list[str]) -> Iterator[Problem]:
    """Yield the `selected` methods that the task's models cannot be used with; `methods` are all of the table."""
    limit = limit_of(task)
    if limit is None:
        return
    usable = [name for name in methods if limit.refusal(name, methods) is None]
    offered = f"methods that work: {', '.join(usable) or 'none'}"
    for name in selected:
        if reason := limit.mistake(methods[name]):
            yield Problem(
                limit.key, f"method '{name}' needs {limit.needed}: {reason}; remove it from methods ({offered})"
            )
        elif reason := limit.refusal(name, methods):
            remedy = f"set {OVERRIDES}.{name}.start to {INIT_STUDENT} or to a method that works"
            yield Problem((OVERRIDES,), f"method '{name}' starts from {reason}; {remedy} ({offered})")


def impossible(task: Task, methods: Methods) -> list[str]:
    """Return the methods whose terms need what no setting of the task's models but another model gives.

    Outputs from outside may yet get log-probabilities.
    """
    limit = limit_of(task)
    if outputs_of(task) is not None:
        return [name for name, method in methods.items() if _needs_more_than_outputs(method, log_probs=True)]
    return [name for name, method in methods.items() if limit and limit.mistake(method)]


def without_refused(task: Task, methods: Methods) -> Methods:
    """Return the methods but those that `check_methods` refuses for what their own terms need."""
    try:
        limit = limit_of(task)
    except KeyError:  # a mistake of form, which is reported itself: `check_methods` has ended early too
        return methods
    return {name: method for name, method in methods.items() if limit is None or not limit.mistake(method)}


def _needs_more_than_outputs(method: dict[str, Any], log_probs: bool) -> str | None:
    """Return what a method's terms need of the teacher that its outputs do not have; None if they need nothing more."""
    for term in method.get("terms", []):
        kind, loss = term["sequences"], term["loss"]
        if kind == ONLINE_TEACHER_SAMPLES:
            return SAMPLES_ONLINE
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


def _needs_one_tokenizer(method: dict[str, Any]) -> str | None:
    """Return what a method's terms read in tokens of the teacher and not as text; None if they read nothing so."""
    for term in method.get("terms", []):
        if term["sequences"] == ONLINE_TEACHER_SAMPLES:
            return SAMPLES_ONLINE
        if term["loss"] != NLL:
            return f"its loss '{term['loss']}' compares the two models token by token"
    return None


def _needs_layers(method: dict[str, Any]) -> str | None:
    """Return what a method's terms compare layer by layer; None if they compare nothing so."""
    for term in method.get("terms", []):
        if term["loss"] in LAYER_LOSSES:
            return f"its loss '{term['loss']}' compares the {LAYER_LOSSES[term['loss']]} of their layers"
    return None
