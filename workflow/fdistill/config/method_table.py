"""The table of methods: read, completed, changed by a task (`method_overrides`), and checked by itself.

Whether its methods go with a task is `fdistill.config.method_checks`' to say.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from fdistill.config.files import merge
from fdistill.config.method_starts import start_problems
from fdistill.config.model_checks import Task
from fdistill.config.schedule_checks import check_schedule
from fdistill.config.schema import fill_defaults, section
from fdistill.config.term_checks import BETA, TEACHER_WEIGHT, term_problems
from fdistill.losses.sequences import FROM_STUDENT, REPLAYED_SAMPLES, STORED_SEQUENCES, STUDENT_SAMPLES
from fdistill.runtime.validation import Problem, chosen, condition_problems, nearest, problems, without
from fdistill.sampling.modes import sampling_mistakes

Method = dict[str, Any]
Methods = dict[str, Method]

OVERRIDES = "method_overrides"


def read_methods(table: dict[str, Any]) -> tuple[Methods, list[Problem]]:
    """Return the methods of a table with their defaults, and the mistakes in the table.

    A key with a mistake is left out of its method.
    """
    form_mistakes = problems(table, section("methods"))
    clean = without(table, form_mistakes)
    methods = {name: complete(clean.get(name, {})) for name in table}
    condition_mistakes = [
        problem.under(name)
        for name, method in methods.items()
        for problem in condition_problems(method, section("method"))
    ]
    term_mistakes = [problem.under(name) for name, method in clean.items() for problem in term_problems(method)]
    own_mistakes = [*form_mistakes, *term_mistakes, *condition_mistakes]
    schedule_mistakes = [problem.under(name) for name, method in methods.items() for problem in check_schedule(method)]
    own_mistakes += [*schedule_mistakes, *start_problems(methods)]
    return methods, [*own_mistakes, *_sequence_problems(methods)]


def read_terms(terms: Any) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Return the terms of one method as `read_methods` would, and the mistakes in them."""
    schema = {"type": "object", "properties": {"terms": section("method")["properties"]["terms"]}}
    method = {"terms": terms}
    if mistakes := problems(method, schema):
        return [], mistakes
    filled = complete(method)
    return filled["terms"], [*term_problems(method), *condition_problems({"terms": filled["terms"]}, schema)]


def complete(method: Method) -> Method:
    """Return a method with its defaults, and with `beta` in place of `teacher_weight`, which is 1 - beta."""
    terms = [_with_beta(term) for term in method.get("terms", [])]
    return fill_defaults({**method, **({"terms": terms} if "terms" in method else {})}, section("method"))


def _with_beta(term: dict[str, Any]) -> dict[str, Any]:
    schema, parameters = section("term")["properties"]["parameters"]["properties"], term.get("parameters", {})
    if TEACHER_WEIGHT not in parameters or not chosen(schema[TEACHER_WEIGHT]["only_for"], term, None):
        return term
    others = {key: value for key, value in parameters.items() if key != TEACHER_WEIGHT}
    # In decimal, so that 0.9 becomes 0.1 and not 0.09999999999999998.
    beta = float(1 - Decimal(str(parameters[TEACHER_WEIGHT])))
    return {**term, "parameters": {BETA: beta} | others}


def methods_for(task: Task, methods: Methods) -> tuple[Methods, list[Problem]]:
    """Return the methods with the task's changes, and the mistakes in these changes, by their keys in the task."""
    changes = task.get(OVERRIDES, {})
    if not (changes and methods):  # no methods: the table cannot be read, which is reported elsewhere
        return methods, []
    mistakes = []
    for name in changes:
        if name not in methods:
            mistakes.append(Problem((name,), f"unknown method '{name}'; {nearest(name, methods)}"))
        elif "title" in changes[name]:
            text = "a method has one title for all tasks; change it in config/methods.yaml"
            mistakes.append(Problem((name, "title"), text))
    known = {name: change for name, change in changes.items() if name in methods}
    table_mistakes = read_methods(methods)[1]  # reported with the table's own file
    changed, changed_mistakes = read_methods(merge(methods, known))
    mistakes += [mistake for mistake in changed_mistakes if mistake not in table_mistakes]
    return changed, [mistake.under(OVERRIDES) for mistake in mistakes]


def _sequence_problems(methods: Methods) -> Iterator[Problem]:
    """Yield the keys about sequences that no term learns from, and a search that has too few sequences."""
    keys = {
        STUDENT_SAMPLES: FROM_STUDENT,
        "replay_size": (REPLAYED_SAMPLES,),
        "include_original": STORED_SEQUENCES,
        "per_input": STORED_SEQUENCES,
    }
    unused = complete({})
    for name, method in methods.items():
        used = {term.get("sequences") for term in method.get("terms", [])}
        for key, kinds in keys.items():
            if used and not used & {*kinds} and method.get(key, unused[key]) != unused[key]:
                text = f"not used: no term of the method learns from {' or '.join(kinds)}; remove it"
                yield Problem((name, key), text)
        for key, text in sampling_mistakes(method[STUDENT_SAMPLES]):
            yield Problem((name, STUDENT_SAMPLES, key), text)


def stored_kinds(method: Method) -> list[str]:
    """Return the kinds of the teachers' offline sequences that the method learns from."""
    kinds = [term["sequences"] for term in method.get("terms", [])]
    return [kind for kind in kinds if kind in STORED_SEQUENCES]
