"""The table of stages: gains signed so that better is positive, their intervals, what is missing, and sizes."""

import csv
import io

import numpy as np
import pytest
import report_files
import warm
from fdistill.artifacts.files import read_json
from fdistill.evaluation import tables
from fdistill.evaluation.comparisons import Difference
from fdistill.evaluation.replicates import read_replicates
from fdistill.evaluation.report import report_page
from fdistill.evaluation.tables import sections
from fdistill.evaluation.tables.formats import to_csv
from fdistill.runtime.errors import UserError
from scipy import stats

TASKS = {"d2t": "Data-to-text", "other": "Other"}
STAGES = ["mle", "js", "kl"]  # ENGINE is no stage


def built(folder, bleu=report_files.BLEU, stages=STAGES, seeds=1):
    """The table of a made-up study of two tasks, and its files."""
    files, study = report_files.study(folder, bleu, tasks=TASKS, seeds=seeds)
    paths = (list(found.values()) for found in (files.metrics, files.risks, files.comparisons))
    return tables.stages_table(*paths, study.tasks, study.layout, stages), files


def rows(table):
    """The cells by the row's name and the column's (group, heading)."""
    cells = table.cells.set_axis(table.cells.iloc[:, 0])
    return {name: row.iloc[1:].to_dict() for name, row in cells.iterrows()}


def records(table):
    return {(row["task"], row["system"], row["metric"]): row for row in csv.DictReader(io.StringIO(to_csv(table)))}


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_gain_is_the_paired_difference_signed_so_that_better_is_positive(seeds, tmp_path):
    """The interval beside a naive computation from the replicates: percentiles, or t over inputs and seeds."""
    table, files = built(tmp_path, seeds=seeds)
    found, compared = records(table), read_json(files.comparisons["d2t"])
    for system, previous in (("js", "mle"), ("kl", "js")):
        for by_place, kind, metric, sign in (
            (files.metrics, "metrics", "bleu4", 1),
            (files.metrics, "metrics", "ter", -1),
            (files.risks, "risks", "r_llh_token", -1),
            (files.risks, "risks", "r_cvg_sequence", -1),
        ):
            one, other = (by_place["d2t", name] for name in (system, previous))
            values, others = (
                np.array(list(read_json(path)[kind][metric]["seeds"].values()), dtype=np.float64)
                for path in (one, other)
            )
            replicates = np.subtract(read_replicates(one)[metric], read_replicates(other)[metric])
            gain = sign * np.mean(values - others)
            record = found["d2t", system, metric]
            assert float(record["gain"]) == pytest.approx(gain) and record["before"] == previous
            low, high = float(record["gain_low"]), float(record["gain_high"])
            if seeds == 1:
                assert [low, high] == pytest.approx(sorted(sign * np.quantile(replicates[0], [0.025, 0.975])))
            else:  # the seeds' differences are equal: all variance is over inputs
                half = stats.norm.isf(0.025) * np.std(np.mean(replicates, axis=0))
                assert [low, high] == pytest.approx([gain - half, gain + half])
            (pair,) = [
                pair for pair in compared["metrics"][metric]["pairs"] if {pair["a"], pair["b"]} == {system, previous}
            ]
            assert float(record["gain_p"]) == pytest.approx(pair["p_holm"])
    assert {record["gain"] for (_, system, _), record in found.items() if system in ("mle", "teacher")} == {""}


def test_the_table_has_a_row_for_each_stage_and_two_columns_for_each_metric(tmp_path):
    table, _ = built(tmp_path)
    shown = rows(table)
    assert list(shown) == ["Teacher", "Non-distill (MLE)", "JS (exact)", "KL"]
    groups = TASKS | {"d2t/risks": "Data-to-text, risks", "other/risks": "Other, risks"}
    assert table.groups == groups and list(dict.fromkeys(table.cells.columns.get_level_values(0)))[1:] == list(groups)
    headings = [heading for group, heading in table.cells.columns if group == "d2t"]
    assert headings == ["BLEU-4 ↑", "BLEU-4 gain", "TER ↓", "TER gain", "METEOR ↑", "METEOR gain"]
    bleu, ter, risk = (("d2t", "BLEU-4 gain"), ("d2t", "TER gain"), ("d2t/risks", "R_cvg/token gain"))
    assert shown["Teacher"][bleu] == shown["Non-distill (MLE)"][bleu] == "–"
    assert shown["JS (exact)"][bleu].startswith("+9.80 ± ") and shown["JS (exact)"][ter].startswith("+9.80 ± ")
    assert shown["JS (exact)"][risk].startswith("+0.200 ± ")
    marks = table.marks.set_axis(list(shown))
    assert marks.loc["JS (exact)", bleu] == "best" and marks.loc["KL", bleu] == ""  # 0.2 BLEU are chance
    assert marks.loc["JS (exact)", ("d2t", "BLEU-4 ↑")] == ""


def test_a_loss_is_below_zero_and_a_collapse_is_marked(tmp_path):
    table, _ = built(tmp_path, stages=["kl", "engine"])
    shown = rows(table)["ENGINE"]
    assert shown["d2t", "BLEU-4 gain"].startswith("−5.00 ± ")
    assert shown["d2t/risks", "R_llh/token ↓"].endswith("†")  # lower than KL's, and no gain
    assert shown["d2t/risks", "R_llh/token gain"].startswith("+2.000")


def test_a_gain_of_nothing_is_no_negative_zero():
    gain = -Difference(0.0, 0.0, 0.0, 1.0)
    assert "-" not in str([gain.value, gain.low, gain.high])


def test_what_has_no_value_has_no_gain_and_a_note(tmp_path):
    table, _ = built(tmp_path, report_files.BLEU | {"js": None})
    shown = rows(table)
    bleu, gain = ("d2t", "BLEU-4 ↑"), ("d2t", "BLEU-4 gain")
    assert shown["JS (exact)"][bleu].startswith("n/a [") and shown["JS (exact)"][gain] == shown["KL"][gain] == "n/a"
    assert shown["KL"][bleu].startswith("30.00") and "METEOR: no Java. Remedy: install Java." in " ".join(table.notes)


def test_every_size_of_the_student_has_its_stages(tmp_path, monkeypatch):
    more = {"kl-e2": "KL, e2", "mle-e2": "MLE, e2"}
    values = {"kl-e2": 33.0, "mle-e2": 32.0}
    for name, own in (("STUDENTS", more), ("SYSTEMS", more), ("LIKELIHOOD", values), ("COVERAGE", values)):
        monkeypatch.setattr(report_files, name, getattr(report_files, name) | own)
    table, _ = built(tmp_path, report_files.BLEU | values, stages=["mle", "kl"])
    assert list(rows(table)) == ["Teacher", "Non-distill (MLE)", "KL", "MLE, e2", "KL, e2"]
    assert list(table.cells.index.get_level_values(0)) == [0, 1, 1, 2, 2]
    assert records(table)["d2t", "kl-e2", "bleu4"]["before"] == "mle-e2"
    assert rows(table)["MLE, e2"]["d2t", "BLEU-4 gain"] == "–"


def test_a_stage_that_is_no_student_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"--stages: 'kll' is no student of --students \(mle, kl, js, engine\); add it"):
        built(tmp_path, stages=["mle", "kll"])


def test_script_and_report_have_the_table(tmp_path):
    files, study = report_files.study(tmp_path)
    outputs = [tmp_path / f"stages.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    done = warm.run_script(
        "tables", "stages", "--metrics", *files.metrics.values(), "--risks", *files.risks.values(),
        "--comparisons", f"d2t={files.comparisons['d2t']}", "--stages", *STAGES, "--tasks", "d2t=Data-to-text",
        "--teacher", "teacher", "--trivial", "copy", "--students", *report_files.STUDENTS, "--output", *outputs,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "| js" in outputs[1].read_text() and "**+9.80 ± " in outputs[1].read_text()
    without = report_page(files, study)
    study.stages[:] = STAGES
    page = report_page(files, study)
    assert 'id="stages"' in page and "+9.80 ± " in page and 'href="#stages"' in page
    assert "stages-heading" not in without and "#stages" not in without


def test_the_layout_may_have_no_teacher(tmp_path):
    files, study = report_files.study(tmp_path)
    metrics = [path for (_, system), path in files.metrics.items() if system in report_files.STUDENTS]
    layout = sections({}, {}, report_files.STUDENTS)
    table = tables.stages_table(metrics, [], list(files.comparisons.values()), study.tasks, layout, STAGES)
    assert list(rows(table)) == ["Non-distill (MLE)", "JS (exact)", "KL"]
