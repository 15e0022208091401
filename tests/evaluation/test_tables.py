"""The tables of results: what is marked, what each format shows, what the CSV keeps, and what is refused."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import warm
from aggregated_files import main_table, risk_table, write_aggregated, write_comparisons
from fdistill.artifacts.files import write_json
from fdistill.evaluation import tables
from fdistill.evaluation.replicates import write_replicates
from fdistill.evaluation.risks import NO_MODEL, NO_OUTPUTS
from fdistill.evaluation.tables import results_frame, sections, write_frame
from fdistill.evaluation.tables.formats import to_csv
from fdistill.evaluation.tables.frame import COLUMNS
from fdistill.evaluation.tables.latex import to_latex
from fdistill.evaluation.tables.markdown import to_markdown
from fdistill.runtime.errors import UserError
from snake import ROOT

SCRIPT = ROOT / "workflow" / "scripts" / "tables.py"
TASKS = {"d2t": "Data_to_text", "mt": "EN & RO"}
STUDENTS = {"mle": "Non-distill (MLE)", "kl": "KL", "js": "JS", "tvd": "TVD"}
LAYOUT = sections({"teacher": "Teacher"}, {"copy": "Copy"}, STUDENTS)


def cells(markdown):
    """Rows of all Markdown tables in a text, by their `Model` cell (or the section's, when that is empty)."""
    rows = {}
    for line in markdown.splitlines():
        if line.startswith("|"):
            first, second, *values = (cell.strip() for cell in line.strip("|").split("|"))
            rows.setdefault(second or first, []).extend(values)
    return rows


# The main table


def metric(title, mean, direction="higher", std=None, signature="s", missing=None):
    return {
        **{"title": title, "direction": direction, "mean": mean, "std": std, "interval": None},
        "seeds": {"1": mean},
        **{"signature": signature, "missing": missing},
    }


MISSING = {"reason": "no Java", "fix": "install Java"}
VALUES = {"teacher": 50.0, "copy": 60.0, "mle": 10.0, "kl": 1 / 3, "js": 30.0, "tvd": 20.0}


@pytest.fixture
def files(tmp_path):
    """BLEU and TER of two tasks, METEOR missing; JS was not run on the second task."""
    paths = []
    for task in TASKS:
        for system, value in VALUES.items():
            if (task, system) == ("mt", "js"):
                continue
            metrics = {
                "bleu4": metric("BLEU-4", value, std=0.5 if system == "kl" else None),
                "meteor": metric("METEOR", None, signature=None, missing=MISSING),
                "ter": metric("TER", value, "lower"),
            }
            if system == "kl":
                metrics["bleu4"]["interval"] = [value - 0.5, value + 0.5]
            path = tmp_path / f"{task}.{system}.json"
            write_aggregated(
                path, {"task": task, "method": system, "n_inputs": 400, "metrics": metrics, "versions": {}}
            )
            paths.append(path)
    return paths


def test_main_table_in_markdown(files):
    text = to_markdown(main_table(files[::-1], TASKS, LAYOUT))  # the order of the files does not matter
    rows = cells(text)
    assert rows["Model"] == ["BLEU-4 ↑", "METEOR ↑", "TER ↓"] * 2
    assert rows["Teacher"] == ["50.00", "n/a [1]", "50.00"] * 2  # neither the teacher nor copying is ranked
    assert rows["Copy"] == ["60.00", "n/a [1]", "60.00"] * 2
    assert rows["KL"] == ["0.33 ± 0.50", "n/a [1]", "**0.33**"] * 2
    assert rows["Non-distill (MLE)"] == ["10.00", "n/a [1]", "10.00"] * 2
    assert rows["JS"] == ["**30.00**", "n/a [1]", "30.00"]  # the other task does not have it
    assert rows["TVD"] == ["20.00", "n/a [1]", "20.00", "**20.00**", "n/a [1]", "20.00"]
    assert text.count("[1] METEOR: no Java. Remedy: install Java.") == 1
    assert r"Data\_to\_text" in text


def test_students_that_cannot_be_told_apart_are_marked_alike(files, tmp_path):
    """Neither is bold: JS's mean is higher than TVD's, but not beyond chance."""
    noise = np.random.default_rng(0).normal(size=(2, 1000))
    for system, spread in (("js", noise[0]), ("tvd", noise[1])):
        content = json.loads((tmp_path / f"d2t.{system}.json").read_text())
        value = content["metrics"]["bleu4"]["mean"] = {"js": 30.0, "tvd": 29.0}[system]
        content["metrics"]["bleu4"]["seeds"] = {"1": value}
        path = write_aggregated(tmp_path / f"d2t.{system}.json", content)
        write_replicates(path, {"bleu4": [(value + spread).tolist()], "ter": [[VALUES[system]] * 1000]}, {})
    rows = cells(to_markdown(main_table(files, TASKS, LAYOUT)))
    assert (rows["JS"][0], rows["TVD"][0], rows["KL"][0]) == ("<u>30.00</u>", "<u>29.00</u>", "0.33 ± 0.50")


def test_rows_keep_the_given_order_and_sections(files):
    table = main_table(files, TASKS, LAYOUT)
    names = {place: tuple(row[:2]) for place, row in zip(table.cells.index, table.cells.to_numpy(), strict=True)}
    assert names == {
        **{(0, 0): ("Teacher", ""), (1, 0): ("Trivial", "Copy"), (2, 0): ("Student", "Non-distill (MLE)")},
        **{(2, 1): ("", "KL"), (2, 2): ("", "JS"), (2, 3): ("", "TVD")},
    }


def test_main_table_in_latex(files):
    text = to_latex(main_table(files, TASKS, LAYOUT))
    assert r"\multicolumn{3}{c}{Data\_to\_text} & \multicolumn{3}{c}{EN \& RO} \\" in text
    assert r"\cmidrule(lr){3-5}\cmidrule(lr){6-8}" in text
    assert r" & JS & \textbf{30.00} & n/a [1] & 30.00 & \textendash{}" in text
    assert r"0.33 $\pm$ 0.50" in text and r"BLEU-4 $\uparrow$" in text
    assert text.count(r"\midrule") == 3 and text.count(r"\toprule") == text.count(r"\bottomrule") == 1
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count(" & ") for line in body[1:]} == {7}  # the first line has the headings


def test_main_csv_is_long_and_in_full_precision(files):
    records = list(csv.DictReader(io.StringIO(to_csv(main_table(files, TASKS, LAYOUT)))))
    assert len(records) == 3 * len(files)
    by_place = {(r["task"], r["system"], r["metric"]): r for r in records}
    kl = by_place["mt", "kl", "bleu4"]
    assert float(kl["mean"]) == 1 / 3 and kl["std"] == "0.5" and kl["seeds"] == "1" and kl["signature"] == "s"
    assert by_place["d2t", "js", "bleu4"]["leads"] == "True" and by_place["d2t", "copy", "bleu4"]["leads"] == ""
    meteor = by_place["d2t", "kl", "meteor"]
    assert (meteor["mean"], meteor["missing_reason"], meteor["missing_fix"]) == (
        "",
        "no Java",
        "install Java",
    )


def test_main_table_refusals(files, tmp_path):
    with pytest.raises(UserError, match=r"d2t.teacher.json: task 'd2t', method 'teacher' has no place"):
        main_table(files, {"mt": "EN-RO"}, LAYOUT)
    with pytest.raises(UserError, match="a second file for task 'd2t', method 'teacher'"):
        main_table([files[0], files[0]], TASKS, LAYOUT)
    other = tmp_path / "other.json"
    metrics = {"bleu4": metric("BLEU-4", 1.0, signature="t")}
    write_aggregated(other, {"task": "d2t", "method": "tvd", "n_inputs": 400, "metrics": metrics, "versions": {}})
    with pytest.raises(UserError, match=r"'bleu4' was computed in different ways for 'teacher' \(s\) and 'tvd' \(t\)"):
        main_table([files[0], other], TASKS, LAYOUT)


def test_only_the_students_and_seeds_that_were_compared_are_in_a_table(files, tmp_path):
    """Otherwise the best may be a student that is not there, so that none is marked, or one of other seeds."""
    compared = write_comparisons(files, ["mle", "js", "tvd"])
    with pytest.raises(UserError, match="'kl' was not compared with the other students of 'd2t' in 'bleu4'"):
        tables.main_table(files, compared, TASKS, LAYOUT)
    compared = write_comparisons(files, STUDENTS)
    other = write_comparisons(files, STUDENTS)[0]
    content = json.loads(other.read_text())
    content["metrics"]["bleu4"]["pairs"][0]["difference"] += 0.5
    write_json(other, content)
    with pytest.raises(UserError, match=r"d2t: the comparisons say that 'mle' and 'kl' are .* apart in 'bleu4', but"):
        tables.main_table(files, [other, *compared[1:]], TASKS, LAYOUT)
    compared = write_comparisons(files, STUDENTS)
    few = sections({}, {}, {"mle": "MLE", "kl": "KL", "tvd": "TVD"})
    given = [path for path in files if path.name.split(".")[1] in ("mle", "kl", "tvd")]
    with pytest.raises(UserError, match=r"d2t: 'js' was compared with these students in 'bleu4', but .*--students"):
        tables.main_table(given, compared, TASKS, few)
    path = tmp_path / "d2t.kl.json"
    write_json(path, json.loads(path.read_text().replace('"1":', '"2":')))
    with pytest.raises(UserError, match=r"d2t/kl: has the seeds 2 in 'bleu4', but the .* of the seeds 1; .*compare.py"):
        tables.main_table(files, compared, TASKS, LAYOUT)


def test_rows_without_a_file_and_systems_with_two_rows_are_refused(files):
    compared = write_comparisons(files, STUDENTS)
    misspelt = sections({"teacher": "Teacher"}, {"copy": "Copy"}, STUDENTS | {"klx": "KL"})
    with pytest.raises(UserError, match="'klx' has a row in the table, but the files are of teacher, copy, mle"):
        tables.main_table(files, compared, TASKS, misspelt)
    with pytest.raises(UserError, match="'mle' is given as teacher and student; a system has one row"):
        sections({"mle": "MLE"}, {}, {"mle": "MLE"})


def test_files_of_the_other_kind_or_of_one_seed_are_refused_with_what_to_do(files, tmp_path):
    compared = write_comparisons(files, STUDENTS)
    with pytest.raises(UserError, match=r"d2t.teacher.json: has metrics, not risks; give it with --metrics"):
        tables.risk_table(files, compared, TASKS, LAYOUT)
    write_json(tmp_path / "score.json", json.loads(files[0].read_text()) | {"seed": 1})
    with pytest.raises(UserError, match=r"score.json: is of one seed; give the .* which metrics.py makes"):
        tables.main_table([tmp_path / "score.json"], compared, TASKS, LAYOUT)


def test_what_comparisons_cannot_say_is_below_the_table(files, tmp_path):
    path = write_comparisons(files, STUDENTS)[0]
    content = json.loads(path.read_text())
    for metric in ("bleu4", "ter"):
        content["metrics"][metric]["notes"] = ["too few inputs. Remedy: take more."]
    content["metrics"]["r_llh_token"] = content["metrics"]["ter"]  # which the main table does not have
    write_json(path, content)
    table = tables.main_table(files, [path, tmp_path / "mt.comparisons.json"], TASKS, LAYOUT)
    assert table.notes[1:] == ["Data_to_text, BLEU-4, TER: too few inputs. Remedy: take more."]


def test_script(files, tmp_path):
    output = [tmp_path / f"main.{suffix}" for suffix in ("csv", "md", "tex")]
    done = subprocess.run(
        [
            *(
                sys.executable,
                SCRIPT,
                "main",
                "--metrics",
                *files,
                "--tasks",
                *(f"{k}={v}" for k, v in TASKS.items()),
                "--comparisons",
                *(f"{file.name.partition('.')[0]}={file}" for file in write_comparisons(files, STUDENTS)),
            ),
            *("--teacher", "teacher=Teacher", "--trivial", "copy=Copy"),
            *("--students", *(f"{k}={v}" for k, v in STUDENTS.items()), "--output", *output),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    table = main_table(files, TASKS, LAYOUT)
    assert [path.read_text() for path in output] == [to_csv(table), to_markdown(table), to_latex(table)]


# Risks


def risk_file(path, task, system, llh, dist=26.1):
    keys = ("r_llh_token", "r_llh_sequence", "r_cvg_token", "r_cvg_sequence")
    risks = {
        key: {"mean": llh + i, "std": None, "interval": None, "seeds": {"1": llh + i}} for i, key in enumerate(keys)
    }
    risks["teacher_dist"] = {"mean": dist, "std": None, "interval": None, "seeds": {"1": dist}}
    write_aggregated(path, {"task": task, "method": system, "n_inputs": 400, "risks": risks})
    return path


def test_risk_table(tmp_path):
    paths = [
        risk_file(tmp_path / f"{task}.{system}", task, system, llh)
        for task in TASKS
        for system, llh in (("teacher", 0.1), ("kl", 0.5), ("js", 0.25))
    ]
    table = risk_table(paths, TASKS, sections({"teacher": "Teacher"}, {}, {"kl": "KL", "js": "JS"}))
    text = to_markdown(table)
    assert text.index(r"**Data\_to\_text**") < text.index("**EN & RO**")  # each task has a table of its own
    rows = cells(text)
    risks = [r"R\_llh/token ↓", r"R\_cvg/token ↓", r"R\_llh/seq. ↓", r"R\_cvg/seq. ↓"]
    assert rows["Model"] == [*risks, "TeacherDist"] * 2
    # llh and cvg per token, then per sequence; in brackets what they are above the teacher's
    assert rows["KL"] == [*(f"{value} (+0.40)" for value in ("0.50", "2.50", "1.50", "3.50")), "–"] * 2
    assert rows["JS"] == [*(f"**{value} (+0.15)**" for value in ("0.25", "2.25", "1.25", "3.25")), "–"] * 2
    assert rows["Teacher"] == ["0.10", "2.10", "1.10", "3.10", "26.10"] * 2
    assert r"Teacher &  & 0.10 & 2.10 & 1.10 & 3.10 & 26.10 \\" in to_latex(table)
    records = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [r["mean"] for r in records if r["metric"] == "teacher_dist"] == ["26.1", "26.1"]
    assert [float(r["above_teacher"]) for r in records if r["system"] == "kl"] == pytest.approx([0.4] * 8)
    risk_file(paths[1], "d2t", "kl", 0.5, dist=30.0)
    with pytest.raises(UserError, match="different teacher samples"):
        risk_table(paths, TASKS, sections({"teacher": "Teacher"}, {}, {"kl": "KL", "js": "JS"}))


def test_a_student_below_the_teachers_likelihood_risk_is_marked_as_collapsed_and_never_best(tmp_path):
    """ENGINE's samples are likelier than the teacher's own; SeqKD is the best that is not below the teacher."""
    systems = {"engine": "ENGINE", "seqkd": "SeqKD", "kl": "KL"}
    paths = [
        risk_file(tmp_path / system, "d2t", system, llh)
        for system, llh in (("teacher", 2.43), ("engine", 2.05), ("seqkd", 2.43), ("kl", 3.29))
    ]
    table = risk_table(paths, TASKS, sections({"teacher": "Teacher"}, {}, systems))
    rows = cells(to_markdown(table))
    # A coverage risk cannot collapse: the lowest is the best.
    assert rows["ENGINE"] == ["2.05 (−0.38) †", "**4.05 (−0.38)**", "3.05 (−0.38) †", "**5.05 (−0.38)**", "–"]
    assert rows["SeqKD"] == ["**2.43 (0.00)**", "4.43 (0.00)", "**3.43 (0.00)**", "5.43 (0.00)", "–"]
    assert rows["Teacher"] == ["2.43", "4.43", "3.43", "5.43", "26.10"]
    assert "†: significantly below the teacher" in table.caption
    assert "The lower, the better, among students that have not collapsed." in table.caption
    below = {(r["system"], r["metric"]): r["collapsed"] for r in csv.DictReader(io.StringIO(to_csv(table)))}
    assert (below["engine", "r_llh_token"], below["kl", "r_llh_token"]) == ("True", "False")
    assert (below["engine", "r_cvg_token"], below["teacher", "r_llh_token"]) == ("False", "")
    assert r"2.05 ($-$0.38) $\dagger$" in to_latex(table)


@pytest.mark.parametrize("teacher", [{}, {"teacher": "Teacher"}])
def test_a_teacher_without_outputs_for_the_test_split_has_no_diversity_either(teacher, tmp_path):
    """Its task has no row of a teacher, even if another task has one."""
    path = risk_file(tmp_path / "d2t", "d2t", "kl", 1.0, dist=None)
    risk = json.loads(path.read_text())
    of_teacher = {"r_llh_token": NO_MODEL, "r_llh_sequence": NO_MODEL, "teacher_dist": NO_OUTPUTS}
    for key, missing in of_teacher.items():
        risk["risks"][key] |= {"mean": None, "seeds": {"1": None}, "missing": missing}
    files = [write_aggregated(path, {key: risk[key] for key in ("task", "method", "n_inputs", "risks")})]
    files += [risk_file(tmp_path / system, "mt", system, 1.0) for system in [*teacher, "kl"] if teacher]
    tasks = TASKS if teacher else {"d2t": TASKS["d2t"]}
    table = risk_table(files, tasks, sections(teacher, {}, {"kl": "KL"}))
    assert [r["task"] for r in csv.DictReader(io.StringIO(to_csv(table))) if r["system"] == "teacher"] == [
        "mt"
    ] * 5 * len(teacher)
    rows = cells(to_markdown(table).partition("EN & RO")[0])
    assert rows["Model"][-1] == r"R\_cvg/seq. ↓" and not any("TeacherDist" in note for note in table.notes)
    assert "Teacher" not in rows


def test_a_teacher_without_bigrams_has_no_diversity(tmp_path):
    paths = [risk_file(tmp_path / system, "d2t", system, 1.0, dist=None) for system in ("teacher", "kl")]
    table = risk_table(paths, TASKS, sections({"teacher": "Teacher"}, {}, {"kl": "KL"}))
    assert cells(to_markdown(table))["Teacher"][-1] == "n/a [1]"
    [note] = table.notes
    assert note.startswith("[1] TeacherDist: no sample of the teacher has two tokens. Remedy: ")


# All results


@pytest.fixture
def frame(files, tmp_path):
    """Metrics and risks of two tasks and seeds; KL lacks METEOR in one of them, and has an interval for BLEU."""
    for path in files:
        content = json.loads(path.read_text())
        for entry in content["metrics"].values():
            entry["seeds"] = dict.fromkeys("34", entry["mean"])
        write_aggregated(path, content)
    for task in TASKS:
        two = {"bleu4": metric("BLEU-4", 2.0, std=1.5), "meteor": metric("METEOR", None, missing=MISSING)}
        two["bleu4"] |= {"interval": [1.5, 2.25], "seeds": {"3": 1.0, "4": 3.0}}
        two["meteor"] |= {"seeds": {"3": 5.0, "4": None}}
        kl = {"task": task, "method": "kl", "n_inputs": 400, "metrics": two, "versions": {}}
        write_aggregated(tmp_path / f"{task}.kl.json", kl)
    risks = [
        risk_file(tmp_path / f"{task}.{system}.risk.json", task, system, llh)
        for task in TASKS
        for system, llh in (("teacher", 2.0), ("kl", 1.0), ("mle", 3.0), ("js", 3.0), ("tvd", 3.0))
        if (task, system) != ("mt", "js")
    ]
    return results_frame(files, risks, write_comparisons([*files, *risks], STUDENTS), TASKS, LAYOUT)


def test_the_frame_has_a_row_of_each_seed_and_of_their_mean(frame):
    assert list(frame.columns) == list(COLUMNS) and list(frame["task"].unique()) == list(TASKS)
    assert not frame.duplicated(["task", "system", "metric", "seed"]).any()
    kl = frame[(frame["task"] == "d2t") & (frame["system"] == "kl")]
    bleu = kl[kl["metric"] == "bleu4"]
    assert bleu["seed"].tolist() == [3, 4, pd.NA] and bleu["value"].tolist() == [1.0, 3.0, 2.0]
    assert bleu["seeds"].tolist() == [1, 1, 2]
    assert bleu.iloc[-1][["std", "low", "high", "leads"]].tolist() == [1.5, 1.5, 2.25, True]  # two seeds are far apart
    assert bleu.iloc[:-1][["std", "low", "high", "leads"]].isna().all(axis=None)
    meteor = kl[kl["metric"] == "meteor"]
    assert meteor["value"].isna().tolist() == [False, True, True]
    assert meteor["missing_reason"].isna().tolist() == [True, False, False]
    risk = kl[(kl["metric"] == "r_llh_token") & kl["seed"].isna()].iloc[0]
    assert risk["above_teacher"] == -1.0 and risk["collapsed"] and not risk["leads"]
    dist = frame[frame["metric"] == "teacher_dist"]
    assert dist["system"].tolist() == ["teacher"] * 4 and dist["value"].tolist() == [26.1] * 4  # a seed, the mean


def test_the_frame_is_read_as_it_was_written(frame, tmp_path):
    paths = [tmp_path / "results.parquet", tmp_path / "results.csv"]
    write_frame(frame, paths)
    pd.testing.assert_frame_equal(pd.read_parquet(paths[0]), frame)
    pd.testing.assert_frame_equal(pd.read_csv(paths[1]).astype(COLUMNS), frame)
    first = paths[0].read_bytes()
    write_frame(frame, paths)
    assert paths[0].read_bytes() == first
    with pytest.raises(UserError, match=r"unknown table format '.md'; known: .parquet, .csv"):
        write_frame(frame, [tmp_path / "results.md"])


def test_tables_are_pivots_of_the_frame(files, frame):
    means = frame[frame["seed"].isna() & (frame["metric"] == "bleu4")]
    wide = means.pivot(index="system", columns="task", values="value")
    records = main_table(files, TASKS, LAYOUT).records
    of_table = records[records["metric"] == "bleu4"].pivot(index="system", columns="task", values="mean")
    pd.testing.assert_frame_equal(wide, of_table)


def test_intervals_stand_beside_the_values_and_in_the_caption(files, frame):
    """`frame` has rewritten two files."""
    table = main_table(files, TASKS, LAYOUT)
    assert cells(to_markdown(table))["KL"] == ["<u>2.00 ± 0.38</u>", "n/a [1]", "–"] * 2  # half of 2.25 - 1.5
    assert table.caption.endswith("±: half the width of the 95 % interval.")
    assert r"2.00 $\pm$ 0.38" in to_latex(table)
    kl = table.records[(table.records["system"] == "kl") & (table.records["metric"] == "bleu4")].iloc[0]
    assert (kl["low"], kl["high"]) == (1.5, 2.25)


def test_two_comparisons_of_one_task_are_refused(tmp_path):
    for name in ("a", "b"):
        write_json(tmp_path / f"{name}.json", {"task": "t"})
    pairs = [f"t={tmp_path / name}.json" for name in ("a", "b")]
    flags = ("--tasks", "t", "--students", "kl", "--output", tmp_path / "m.md")
    done = warm.run_script("tables", "main", "--metrics", tmp_path / "a.json", "--comparisons", *pairs, *flags)
    assert done.returncode == 1 and "one of several files of task 't'" in done.stdout
