"""The claims of a study, as the report shows them."""

from pathlib import Path
from typing import Any

from fdistill.artifacts.files import read_json
from fdistill.artifacts.shapes import COUNT
from fdistill.evaluation.report.tables import FORM, NONE
from fdistill.evaluation.tables.comparison import plain, signed
from fdistill.evaluation.tables.table import Table, cells_of

SIGNS = {"holds": "✓ holds", "fails": "✗ fails", "undecided": "? undecided", "n/a": "– n/a"}
_VERDICT = tuple(SIGNS)
_TEST = {
    **dict.fromkeys(("task", "metric", "title", "better", "than"), str),
    **{"difference": (float, None), "interval": ([float], None), "p": (float, None), "p_holm": (float, None)},
    "verdict": _VERDICT,
}
_CLAIM = {
    **dict.fromkeys(("name", "text", "source", "why"), str),
    **{"verdict": _VERDICT, "tests": [_TEST], "missing": ({"reason": str, "fix": str}, None)},
    "tasks": {...: _VERDICT},
}
CLAIMS_FILE = {"claims": [_CLAIM], "seeds": COUNT}


def read_claims(path: Path) -> list[dict[str, Any]]:
    """Return the claims of a file of `CLAIMS_FILE`; raises UserError as `read_json` does."""
    return read_json(path, CLAIMS_FILE)["claims"]


def claims_table(claims: list[dict[str, Any]], tasks: dict[str, str]) -> Table:
    """Build the table of verdicts: a row per claim, a column for all tasks together and for each."""
    rows = [
        [claim["text"], SIGNS[claim["verdict"]], *(SIGNS.get(claim["tasks"].get(task), NONE) for task in tasks)]
        for claim in claims
    ]
    headings = ["Claim", "Verdict", *tasks.values()]
    return Table("", cells_of(headings, [rows]), title="Verdicts", widths={"Claim": 0.4})


def tests_table(claim: dict[str, Any], tasks: dict[str, str], systems: dict[str, str]) -> Table:
    """Build the table of a claim's tests; the difference is the mean of the first system less that of the second."""
    rows = []
    for test in claim["tests"]:
        names = [systems.get(test[key], test[key]) for key in ("better", "than")]
        low, high = test["interval"] or (None, None)
        rows.append(
            [
                *(tasks.get(test["task"], test["task"]), test["title"], *names),
                NONE if test["difference"] is None else signed(test["difference"], FORM),
                NONE if low is None else f"{plain(low, FORM)} to {plain(high, FORM)}",
                NONE if test["p_holm"] is None else f"{test['p_holm']:.3f}",
                SIGNS[test["verdict"]],
            ]
        )
    headings = ["Task", "Metric", "Better", "Than", "Difference", "95 % interval", "p, corrected", "Verdict"]
    return Table("", cells_of(headings, [rows]), title=f"Tests of: {claim['text']}", names=4)
