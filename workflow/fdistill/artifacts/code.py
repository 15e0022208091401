"""The version of the code that made a result, and what to say at the start of a run about results of other versions."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from fdistill.artifacts.records import SUFFIX, record_of
from fdistill.artifacts.shapes import parse

LIBRARY = Path(__file__).parents[1]
SCRIPTS = LIBRARY.parent / "scripts"

# The rules of a script whose name is not that of its only rule.
RULES = {
    "bench": ["bench_task"],
    "distill": ["distill", "predistill"],
    "figures": ["training_curves", "risk_figure", "cost_figure", "size_figure", "mixture_figure"],
    "human": ["human_kit", "human_table"],
    "metrics": ["metrics", "risks"],
    "modes": ["modes_figure"],
    "report": ["report_page"],
    "tables": ["main_table", "risk_table", "results_frame", "datasets_table", "examples_table"],
}


@cache
def code_hash(script: Path) -> str:
    """Return the SHA-256 of a script and of all Python files and templates of this library, with their names."""
    digest = hashlib.sha256()
    for path in [*sorted(LIBRARY.rglob("*.py")), *sorted(LIBRARY.rglob("*.jinja")), script]:
        name = path.relative_to(LIBRARY) if path.is_relative_to(LIBRARY) else path.name
        content = path.read_bytes() if path.is_file() else b""
        digest.update(f"{name}\n{len(content)}\n".encode() + content)
    return digest.hexdigest()


def start_messages(results: Path, expected: list[str]) -> Iterator[str]:
    """Yield what a user should know before a run that writes to `results`.

    Some results were made by other code than today's; or the main table shows systems that are not among `expected`,
    the files `.../TASK/SYSTEM/metrics.json` of the study, which replaces the table.
    """
    records = [record for _, record in _records(results.rglob(f"*{SUFFIX}")) if isinstance(record.get("stage"), str)]
    others = Counter(record["stage"] for record in records if not _is_current(record))
    if others:
        listed = ", ".join(f"{count} of {stage}" for stage, count in sorted(others.items()))
        rules = " ".join(rule for stage in sorted(others) for rule in RULES.get(stage, [stage]))
        yield (
            f"{results}: {others.total()} of {len(records)} jobs' results were made by other code than today's "
            f"({listed}). If the change matters to them, make them again: snakemake --forcerun {rules} -- TARGET, "
            "with the options of your study"
        )
    table = results / "tables" / "main.csv"
    for _, content in _records([record_of(table)]):
        inputs = content.get("inputs")
        paths = [Path(path) for path in inputs] if isinstance(inputs, dict) else []
        shown = {path.parts[-3:-1] for path in paths if path.name == "metrics.json"}
        if lost := sorted(shown - {Path(path).parts[-3:-1] for path in expected}):
            listed = ", ".join("/".join(place) for place in lost[:5]) + (", ..." if len(lost) > 5 else "")
            yield (
                f"{table.parent}: the tables there show results that this study does not have ({listed}); making its "
                "tables replaces them. To keep both, give this study a folder of its own: "
                "snakemake --config results=studies/NAME"
            )


def _is_current(record: dict) -> bool:
    code = record.get("code")
    stages = {path.stem for path in SCRIPTS.glob("*.py")}  # another text may not even be the name of a file
    return (
        isinstance(code, dict)
        and record["stage"] in stages
        and code.get("sha256") == code_hash(SCRIPTS / f"{record['stage']}.py")
    )


def _records(paths: Iterable[Path]) -> Iterator[tuple[Path, dict]]:
    """Yield the records that can be read; a damaged one is refused where the files beside it are read."""
    for path in paths:
        try:
            yield path, parse(path.read_text(encoding="utf-8"), {"stage?": str})
        except (OSError, ValueError):
            continue
