"""Reading and checking files of claims, which `fdistill.evaluation.claims` decides."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fdistill.artifacts.systems import split_size
from fdistill.config.files import Report, Settings
from fdistill.config.schema import fill_defaults, section
from fdistill.evaluation.aggregate import RISK_TITLES
from fdistill.evaluation.metrics import METRICS
from fdistill.runtime.validation import Problem, nearest, problems, without

Claim = dict[str, Any]
Claims = dict[str, Claim]

OTHERS = ("than", "than_one_of")  # the keys with the methods that are compared with those of `better`
MEASURES = (*METRICS, *RISK_TITLES)
BOUNDS = ("at_least", "at_most")
KEYS = ("better", *OTHERS, "than_on", *BOUNDS, "measured", "grows_with", "metrics", "tasks", "missing")
# By the key that says of which form a claim is, the keys that may be beside it; without one, it compares methods.
FORMS = {
    "missing": (),
    "measured": (*BOUNDS, "tasks"),
    "grows_with": ("better", "than", "tasks"),
    "than_one_of": ("better", "metrics", "tasks", "than", "than_on"),
    "than_on": ("better", *OTHERS, *BOUNDS, "metrics"),
}
AGAINST = (*OTHERS, "than_on")  # of which a claim with `better` has one
KINDS = {"better": "method", **dict.fromkeys(OTHERS, "method"), "metrics": "metric or risk", "tasks": "task"}


def read_claims(
    files: Iterable[Path],
    report: Report,
    methods: Collection[str] = (),
    tasks: Mapping[str, Settings] | None = None,
    selected: Collection[str] = (),
) -> Claims:
    """Return the claims of YAML files by name, with their defaults; add their mistakes to `report`.

    `methods` and `tasks` are all that exist; with none, names of that kind are not checked. The `selected` tasks are
    the study's, in which tasks that are compared must have the same source.
    """
    claims: Claims = {}
    file_of: dict[str, str] = {}
    tasks = tasks or {}
    known = {"better": methods, **dict.fromkeys(OTHERS, methods), "metrics": MEASURES, "tasks": tasks}
    sources = {name: settings.get("source") or {} for name, settings in tasks.items() if name in selected}
    for file in files:
        label = report.label(file)
        content = report.read(file)
        form_mistakes = [] if content is None else problems(content, section("claims"))
        report.add(label, form_mistakes)
        for name, given in without(content or {}, form_mistakes).items():
            claim = fill_defaults(given, section("claim"))
            if name in claims:
                report.add(label, [Problem((name,), f"{file_of[name]} has a claim of this name; choose another name")])
            elif not any(mistake.path[:1] == (name,) for mistake in form_mistakes):
                mistakes = (*_mistakes(claim, known), *_unlike(claim, tasks, sources))
                report.add(label, (mistake.under(name) for mistake in mistakes))
            claims[name], file_of[name] = claim, label
    return claims


def compared_tasks(claims: Claims, tasks: Collection[str]) -> list[str]:
    """Return those of the `tasks` that claims compare with others of them, which needs the scores of both."""
    pairs = [pair for claim in claims.values() for pair in (claim["than_on"] or {}).items()]
    return list(dict.fromkeys(task for pair in pairs if {*pair} <= {*tasks} for task in pair))


def _mistakes(claim: Claim, known: dict[str, Collection[str]]) -> Iterator[Problem]:
    yield from _misplaced(claim)
    for key, names in known.items():
        for index, name in enumerate(claim[key] or ()):
            # A method may have a size of the student, as `js-e2d1`. Sizes belong to tasks, so that only tests tell.
            one = split_size(name)[0] if KINDS[key] == "method" else name
            if names and one not in names:
                yield Problem((key, index), f"unknown {KINDS[key]} '{name}'; {nearest(name, names)}")
    for key in OTHERS:
        for index, name in enumerate(claim[key] or ()):
            if name in (claim["better"] or ()):
                yield Problem((key, index), f"'{name}' is under better too; remove it from one of them")


def _unlike(claim: Claim, tasks: Collection[str], sources: Mapping[str, Settings]) -> Iterator[Problem]:
    """What does not let two tasks be compared; `sources` are those of the study's tasks."""
    if not claim["than_on"]:
        return
    for index, metric in enumerate(claim["metrics"] or ()):
        if metric in RISK_TITLES:
            yield Problem(("metrics", index), f"{metric} is about a task's own teacher; compare tasks in other metrics")
    for task, other in claim["than_on"].items():
        key = ("than_on", task)
        for name in (name for name in (task, other) if tasks and name not in tasks):
            yield Problem(key, f"unknown task '{name}'; {nearest(name, tasks)}")
        if task == other:
            yield Problem(key, "is the same task; name another one")
        elif task in sources and other in sources:
            one, another = sources[task], sources[other]
            if differing := [option for option in {**one, **another} if one.get(option) != another.get(option)]:
                text = f"'{other}' has another source than '{task}' ({', '.join(differing)}), so that their test inputs"
                yield Problem(key, f"{text} may differ; give both the same, or leave one out of the study")


def _misplaced(claim: Claim) -> Iterator[Problem]:
    """The keys of a claim that it lacks, or that do not go together."""
    for alone, goes_with in FORMS.items():
        if claim[alone] is not None:
            for key in (key for key in KEYS if key not in (alone, *goes_with) and claim[key] is not None):
                yield Problem((key,), f"not used with {alone}; remove one of the two")
    if claim["missing"]:
        return
    bounds = [claim[key] for key in BOUNDS if claim[key] is not None]
    if len(bounds) == 2 and bounds[0] >= bounds[1]:
        yield Problem(("at_most",), f"must be larger than at_least, {bounds[0]:g}")
    if claim["measured"]:
        if not bounds:
            yield Problem((), f"has neither of {' and '.join(BOUNDS)}; say how large {claim['measured']} is")
        return
    given = [key for key in AGAINST if claim[key]]
    if not claim["better"]:
        yield Problem(
            ("better",), "missing; set a list of methods, or measured, or under missing why the claim cannot be tested"
        )
    elif claim["grows_with"]:
        for key in ("better", "than"):
            if len(claim[key] or ()) != 1:
                yield Problem((key,), "must be a list of one method with grows_with")
    elif len(given) != 1:
        found = f"has {' and '.join(given)}" if given else f"has none of {', '.join(AGAINST)}"
        yield Problem((), f"{found}; set one of them")
