"""Reading and checking files of claims, which `fdistill.evaluation.claims` decides."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from fdistill.artifacts.systems import split_size
from fdistill.config.files import Report
from fdistill.config.schema import fill_defaults, section
from fdistill.evaluation.aggregate import RISK_TITLES
from fdistill.evaluation.metrics import METRICS
from fdistill.runtime.validation import Problem, nearest, problems, without

Claim = dict[str, Any]
Claims = dict[str, Claim]

OTHERS = ("than", "than_one_of")  # the keys with the methods that are compared with those of `better`
MEASURES = (*METRICS, *RISK_TITLES)
BOUNDS = ("at_least", "at_most")
KEYS = ("better", *OTHERS, *BOUNDS, "measured", "grows_with", "metrics", "tasks", "missing")
# By the key that says of which form a claim is, the keys that may be beside it; without one, it compares methods.
FORMS = {
    "missing": (),
    "measured": (*BOUNDS, "tasks"),
    "grows_with": ("better", "than", "tasks"),
    "than_one_of": ("better", "metrics", "tasks", "than"),
}
KINDS = {"better": "method", **dict.fromkeys(OTHERS, "method"), "metrics": "metric or risk", "tasks": "task"}


def read_claims(
    files: Iterable[Path], report: Report, methods: Collection[str] = (), tasks: Collection[str] = ()
) -> Claims:
    """Return the claims of YAML files by name, with their defaults; add their mistakes to `report`.

    `methods` and `tasks` are all that exist; with none, names of that kind are not checked.
    """
    claims: Claims = {}
    file_of: dict[str, str] = {}
    known = {"better": methods, **dict.fromkeys(OTHERS, methods), "metrics": MEASURES, "tasks": tasks}
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
                report.add(label, (mistake.under(name) for mistake in _mistakes(claim, known)))
            claims[name], file_of[name] = claim, label
    return claims


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
    given = [key for key in OTHERS if claim[key]]
    if not claim["better"]:
        yield Problem(
            ("better",), "missing; set a list of methods, or measured, or under missing why the claim cannot be tested"
        )
    elif claim["grows_with"]:
        for key in ("better", "than"):
            if len(claim[key] or ()) != 1:
                yield Problem((key,), "must be a list of one method with grows_with")
    elif len(given) != 1:
        both = " and ".join(OTHERS)
        yield Problem((), f"has {'both' if given else 'neither'} of {both}; set one of them, a list of methods")
