"""The verdicts on claims as a table, and with every test as a page in Markdown."""

from collections.abc import Mapping
from typing import Any

from fdistill.evaluation.claims import FAILS, HOLDS, MISSING, UNDECIDED
from fdistill.evaluation.claims.verdicts import RATIO
from fdistill.evaluation.tables.markdown import escape_markdown, to_markdown
from fdistill.evaluation.tables.numbers import FINE, NONE, p_value, signed
from fdistill.evaluation.tables.results import ARROWS
from fdistill.evaluation.tables.table import Table, cells_of

SIGNS = {HOLDS: "✓ holds", FAILS: "✗ fails", UNDECIDED: "? undecided", MISSING: "– n/a"}
NONE_TESTED = (
    "None of these claims can be decided here, since the study lacks the methods, tasks or measurements that they are "
    "about: a claim's note says what to add, and the study's key claims may name other files of claims. "
)
CAPTION = (
    "Claims, and whether they hold here. A claim holds if each of its tests is significant in its direction (p < 0.05, "
    "corrected by Holm for the number of the claim's tests), and fails if one is in the other direction; if one of "
    "several others is enough, it fails where a student is worse than all of them. If it says how large a number is, "
    "it holds if each 95 % interval is within that, and fails if one is outside. Tests are paired, of two students "
    "on the same inputs and seeds; without a size they are of the task's own. "
    "In a risk lower is better, also below the teacher's own. "
    "{certainty}"
)
BOUNDS = {"at_least": "at least", "at_most": "at most"}
CERTAINTY = {
    True: "There is one seed: intervals and p-values are over test inputs, and say nothing of another training run.",
    False: "Intervals and p-values are over test inputs and {seeds} seeds.",
}


def claims_table(decided: Mapping[str, Any], tasks: Mapping[str, str]) -> Table:
    """Build the table of the result of `decide_claims`: a row per claim, a column for all tasks together and for each.

    `tasks` has their titles. The notes are why, by the number of the claim.
    """
    claims = decided["claims"]
    rows = [
        [f"{number}. {claim['text']}", SIGNS[claim["verdict"]]]
        + [SIGNS[claim["tasks"][task]] if task in claim["tasks"] else NONE for task in tasks]
        for number, claim in enumerate(claims, start=1)
    ]
    certainty = CERTAINTY[decided["seeds"] <= 1].format(seeds=decided["seeds"])
    lead = NONE_TESTED if all(claim["verdict"] == MISSING for claim in claims) else ""
    return Table(
        title="Claims",
        caption=lead + CAPTION.format(certainty=certainty),
        cells=cells_of(["Claim", "All", *tasks.values()], [rows]),
        widths={"Claim": 0.5},
        notes=[f"{number}. {_reason(claim)}" for number, claim in enumerate(claims, start=1)],
    )


def claim_tests(claim: Mapping[str, Any], tasks: Mapping[str, str], systems: Mapping[str, str]) -> Table:
    """Build the table of a claim's tests; a difference is the mean of the first system less that of the second."""
    rows = []
    for test in claim["tests"]:
        names = [NONE if test[key] is None else systems.get(test[key], test[key]) for key in ("better", "than")]
        if test["than_task"] is not None:
            names[1] += f", on {tasks.get(test['than_task'], test['than_task'])}"
        form = signed if claim["quantity"] != RATIO else format
        numbers = [test["value"], *(test["interval"] or [None, None])]
        value, low, high = (NONE if number is None else form(number, FINE) for number in numbers)
        rows.append(
            [
                "All" if test["task"] is None else tasks.get(test["task"], test["task"]),
                test["title"] + ARROWS.get(test["direction"], ""),
                *names,
                value,
                f"{low} to {high}" if test["interval"] else NONE,
                *(NONE if test[key] is None else p_value(test[key]) for key in ("p", "p_holm")),
                SIGNS[test["verdict"]],
            ]
        )
    headings = ["Task", "Metric", "Better", "Than", claim["quantity"].capitalize(), "95 % interval", "p", "p (Holm)"]
    cells = cells_of([*headings, "Verdict"], [rows])
    return Table(caption="", title=claim["text"], cells=cells, names=4)


def claims_markdown(decided: Mapping[str, Any], tasks: Mapping[str, str], systems: Mapping[str, str]) -> str:
    """Return the verdicts, and then each claim with its source and, if any could be made, its tests, in Markdown."""
    parts = ["# Claims", to_markdown(claims_table(decided, tasks))]
    for number, claim in enumerate(decided["claims"], start=1):
        parts.append(f"## {number}. {escape_markdown(claim['text'])}")
        parts.append(f"**{SIGNS[claim['verdict']]}**. {escape_markdown(_reason(claim))}")
        parts.append(f"Source: {escape_markdown(claim['source'])}.{_bounds(claim)}")
        if any(test["missing"] is None for test in claim["tests"]):
            parts.append(to_markdown(claim_tests(claim, tasks, systems)).strip())
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _reason(claim: Mapping[str, Any]) -> str:
    missing = claim["missing"]
    return claim["why"] + (f" N/a: {missing['reason']}. Remedy: {missing['fix']}." if missing else "")


def _bounds(claim: Mapping[str, Any]) -> str:
    """What the claim says of the size of its quantity, as a sentence after another."""
    given = [f"{words} {claim[key]:g}".replace("-", "−") for key, words in BOUNDS.items() if claim[key] is not None]
    return f" The {claim['quantity']} is claimed to be {' and '.join(given)}." if given else ""
