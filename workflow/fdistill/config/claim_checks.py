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
    if claim["missing"]:
        for key in (key for key in known if claim[key]):
            yield Problem((key,), "not used with missing, by which the claim cannot be tested; remove one of the two")
        return
    given = [key for key in OTHERS if claim[key]]
    if not claim["better"]:
        yield Problem(("better",), "missing; set a list of methods, or under missing why the claim cannot be tested")
    elif len(given) != 1:
        both = " and ".join(OTHERS)
        yield Problem((), f"has {'both' if given else 'neither'} of {both}; set one of them, a list of methods")
    for key, names in known.items():
        for index, name in enumerate(claim[key] or ()):
            # A method may have a size of the student, as `js-e2d1`. Sizes belong to tasks, so that only tests tell.
            one = split_size(name)[0] if KINDS[key] == "method" else name
            if names and one not in names:
                yield Problem((key, index), f"unknown {KINDS[key]} '{name}'; {nearest(name, names)}")
    for key in given:
        for index, name in enumerate(claim[key]):
            if name in (claim["better"] or ()):
                yield Problem((key, index), f"'{name}' is under better too; remove it from one of them")
