"""Files of metrics and risks with the paper's published numbers, and functions that read a printed table."""

from aggregated_files import write_aggregated
from fdistill.evaluation import published
from fdistill.evaluation.metrics import METRICS
from fdistill.evaluation.tables import sections

TASKS = {
    "dart": "DART",
    "xsum": "XSum",
    "wmt16_en_ro": "WMT16 EN-RO",
    "commonsense_dialogue": "Commonsense Dialogue",
}
STUDENTS = {
    **{"mle": "Non-distill (MLE)", "predistill": "Pre-distill", "seqkd": "SeqKD", "engine": "ENGINE"},
    **{"kl": "KL", "rkl": "RKL", "js": "JS", "tvd": "TVD"},
}
LAYOUT = sections({"teacher": "Teacher"}, {"copy": "Copy"}, {**STUDENTS, "js_exact": "JS (exact mixture)"})
TABLE_2, TABLE_3 = (published.read(f"fdistill_table{n}") for n in (2, 3))
MISSING = {"reason": "no checkpoint", "fix": "give one"}
SHIFT = 0.25  # added to the published numbers of every student


def printed(task):
    """{system: {metric: number}} of Table 2."""
    rows = [dict(row) for row in TABLE_2.tasks[task]]
    return {row.pop("system"): {metric: float(text) for metric, text in row.items()} for row in rows}


def metrics_file(folder, task, system, values, missing=()):
    entries = {
        key: {
            **{"title": METRICS[key].title, "direction": METRICS[key].better, "std": None, "interval": None},
            "seeds": {"42": None if key in missing else value},
            "mean": None if key in missing else value,
            "signature": None if key in missing else "s",
            "missing": MISSING if key in missing else None,
        }
        for key, value in values.items()
    }
    path = folder / f"{task}.{system}.metrics.json"
    return write_aggregated(path, {"task": task, "method": system, "n_inputs": 400, "metrics": entries, "versions": {}})


def write_metrics(folder):
    """Metrics files with the published numbers, students' plus SHIFT, and two bad systems that are not in the paper."""
    paths = []
    for task in TASKS:
        numbers = printed(task)
        for system, values in numbers.items():
            shift = 0 if system == "teacher" else SHIFT
            paths.append(metrics_file(folder, task, system, {k: v + shift for k, v in values.items()}))
        other = {key: 1.0 if METRICS[key].better == "higher" else 99.0 for key in numbers["teacher"]}
        paths += [metrics_file(folder, task, system, other) for system in ("copy", "js_exact")]
    return paths


def write_risks(folder):
    """Aggregated risk files of the teacher and the students with the published numbers plus an eighth, others are 1."""
    return [_risk_file(folder, task, system) for task in TASKS for system in ("teacher", *STUDENTS)]


def _risk_file(folder, task, system):
    number = {risk: TABLE_3.number(task, risk, system) for risk in ("r_llh_token", "r_cvg_token")}
    risks = {risk: 1.0 if text is None else float(text) + 0.125 for risk, text in number.items()}
    risks |= {"r_llh_sequence": 20.0, "r_cvg_sequence": 30.0}
    risks["teacher_dist"] = float(TABLE_3.number(task, "teacher_dist", "teacher")) - 0.125
    entries = {
        key: {"mean": value, "std": None, "interval": None, "seeds": {"42": value}} for key, value in risks.items()
    }
    path = folder / f"{task}.{system}.risk.json"
    return write_aggregated(path, {"task": task, "method": system, "n_inputs": 400, "risks": entries})


def rows_of(markdown):
    """The rows of each panel of a Markdown table, as their cells."""
    blocks = [block for block in markdown.split("\n\n") if block.startswith("|")]
    return [[[c.strip() for c in line.strip("|").split("|")] for line in block.splitlines()] for block in blocks]


def below(panel, name):
    """The two rows below a system's, by their names, without the marks of emphasis."""
    at = next(i for i, row in enumerate(panel) if row[1] == name)
    rows = [[cell.strip("*") for cell in row] for row in panel[at + 1 : at + 3]]
    return {row[1]: row[2:] for row in rows}
