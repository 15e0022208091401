"""The tables of Shleifer & Rush: rows, costs, speeds, starts, paired differences, the paper's numbers, refusals."""

import csv
import io
import json
import re

import numpy as np
import pytest
import warm
from fdistill.artifacts.files import write_json, write_json_lines
from fdistill.artifacts.manifest import write_manifest
from fdistill.artifacts.records import record_of
from fdistill.evaluation import published
from fdistill.evaluation.figures import start_curves
from fdistill.evaluation.tables import methods_table, mixtures_table, speeds_table, starts_table
from fdistill.evaluation.tables.formats import to_csv
from fdistill.evaluation.tables.markdown import to_markdown
from fdistill.runtime.errors import UserError
from paper_tables import rows_of
from shleifer_rush_files import (
    NOISE,
    STARTS,
    TASKS,
    TITLES,
    write_curve,
    write_folders,
    write_methods,
    write_metrics,
    write_mixtures,
    write_speed,
    write_speeds,
    write_starts,
)
from svg import texts

XSUM = {"xsum": "XSum"}
BELOW = ["*paper*", "*difference*"]


def paper(*numbers):
    return published.read(*(f"shleifer_rush_table{number}" for number in numbers))


def panel(table):
    [[headings, _, *rows]] = rows_of(to_markdown(table))
    return headings, rows


def records(table):
    return list(csv.DictReader(io.StringIO(to_csv(table))))


def half(replicates):
    low, high = np.quantile(replicates, [0.025, 0.975])
    return f"{(high - low) / 2:.2f}"


def test_methods_have_scores_and_costs_with_the_pseudo_labels(tmp_path):
    headings, rows = panel(methods_table(*write_methods(tmp_path), TASKS, TITLES))
    assert headings[2:] == ["Teacher", "SFT", "SFT, hours", "KD", "KD, hours", "PL", "PL, hours"]
    assert [row[:2] for row in rows[:2]] == [["XSum, ROUGE-2 ↑", "bart 12-3"], ["", "bart 12-1"]]
    assert [row[0] for row in rows[2:]] == ["Mine, ROUGE-2 ↑", ""]
    teacher, student = half(NOISE[0]), half(NOISE[0] + 0.5 * NOISE[1])
    assert rows[0][2:5] == [f"22.00 ± {teacher}", f"21.00 ± {student}", "1.000"]
    assert rows[0][6:] == ["2.000", f"20.00 ± {student}", "2.000"]  # half an hour, and an hour and a half for labels
    assert rows[1][4:] == ["0.250", "–", "–", f"19.00 ± {student}", "1.625"]  # no KD in this size


def test_the_papers_row_is_that_of_the_teachers_family_and_the_size(tmp_path):
    table = methods_table(*write_methods(tmp_path), TASKS, TITLES, paper(5))
    _, rows = panel(table)
    assert [row[1] for row in rows] == ["bart 12-3", *BELOW, "bart 12-1", "bart 12-3", "bart 12-1"]
    strip = [[text.strip("*") for text in row[2:]] for row in rows[1:3]]
    assert strip[0] == ["22.29", "21.08", "2.5", "21.63", "6", "21.38", "15"]
    assert strip[1] == ["−0.29", "−0.08", "", "−0.13", "", "−1.38", ""]
    assert "The paper has no numbers for Mine." in table.notes
    found = {(r["task"], r["student"], r["column"]): r for r in records(table)}
    assert found["xsum", "bart 12-3", "pl"]["published"] == "21.38"
    assert float(found["xsum", "bart 12-3", "pl.cost"]["training_hours"]) == 0.5
    assert found["xsum", "bart 12-1", "sft"]["published"] == "" != found["xsum", "bart 12-1", "sft"]["value"]


def test_a_task_may_be_named_after_its_data_and_its_teachers_family(tmp_path):
    metrics = [write_metrics(tmp_path, "xsum_bart", system, 20.0) for system in ("teacher", "sft")]
    folders = {"xsum_bart": write_folders(tmp_path, "xsum_bart", [None])}
    _, rows = panel(methods_table(metrics, {}, folders, {"xsum_bart": "XSum"}, TITLES, paper(5)))
    assert [row[1] for row in rows] == ["bart 12-3", *BELOW] and rows[1][3] == "*21.08*"


def test_a_student_whose_layers_are_chosen_otherwise_is_not_the_papers(tmp_path):
    metrics = [write_metrics(tmp_path, "xsum", system, 20.0) for system in ("teacher", "sft", "sft-high")]
    folders = {"xsum": write_folders(tmp_path, "xsum", [None, "high"])}
    _, rows = panel(methods_table(metrics, {}, folders, XSUM, TITLES, paper(5)))
    assert [row[1] for row in rows] == ["bart 12-3", *BELOW, "bart 12-3 (high)"]


def test_a_cost_without_a_record_is_missing_and_so_is_a_metric(tmp_path):
    metrics, logs, folders = write_methods(tmp_path)
    record_of(logs["xsum"][0][1]).unlink()
    write_metrics(tmp_path, "mine", "kd", None)
    table = methods_table(metrics, logs, folders, TASKS, TITLES)
    _, rows = panel(table)
    assert rows[0][4] == "n/a [1]" and rows[2][5] == "n/a [2]"
    assert table.notes[:2] == [
        "[1] a record of its training is missing, or what training needed. Remedy: train here, or copy the records "
        "with the results.",
        "[2] no Java. Remedy: install Java.",
    ]


def test_speeds_are_sorted_and_beside_the_papers(tmp_path):
    table = speeds_table(*write_speeds(tmp_path), XSUM, TITLES, paper(6, 7))
    headings, rows = panel(table)
    assert headings[1:] == ["Model", "Layers", "Parameters, M", "Time, ms", "Speed-up", "Score"]
    assert [row[1:6] for row in rows[::3]] == [
        ["SFT, 12-1", "bart 12-1", "255.00", "20.0", "2.50"],
        ["SFT", "bart 12-3", "255.00", "25.0", "2.00"],
        ["Teacher", "bart 12-12", "255.00", "50.0", "1.00"],
    ]
    strip = [[text.strip("*") for text in row[3:]] for row in rows[1:3]]
    assert strip == [["222", "743", "2.35", "17.98"], ["+33.00", "", "+0.15", "+0.02"]]
    assert any("Table 6 and Table 7" in note for note in table.notes)
    assert "XSum: times on a CPU, threads: 1, in batches of 32." in table.notes and "32" not in table.caption
    time = next(record for record in records(table) if record["column"] == "time")
    assert float(time["time_q1"]) == pytest.approx(20 / 1.5) and float(time["time_q3"]) == pytest.approx(20 / 0.75)


def test_starts_by_their_lowest_loss_with_the_layers_that_they_copy(tmp_path):
    logs, folders = write_starts(tmp_path)
    headings, rows = panel(starts_table(logs, folders, XSUM, TITLES, paper(8, 9)))
    assert headings == ["Task", "Start", "Layers", "From", "Lowest loss"]
    assert [row[2:] for row in rows[::3]] == [
        ["0,6,11", "teacher", "2.75"],  # the mean of 2.5 and 3; the lower loss of step 0 is no training's
        ["9,10,11", "teacher", "2.88"],
        ["0,6,11", "pre-trained", "3.00"],
        ["–", "–", "3.25"],
    ]
    assert [row[-1] for row in rows[1::3]] == ["*2.14*", "*2.18*", "*2.17*", "*2.26*"]
    assert rows[2][-1] == "*+0.61*"


def test_starts_of_another_family_or_encoder_are_not_the_papers(tmp_path):
    logs, folders = write_starts(tmp_path, seeds=1)
    config = {"model_type": "mbart", "encoder_layers": 12, "decoder_layers": 12}
    write_json(folders["xsum"].teacher / "config.json", config)
    table = starts_table(logs, folders, XSUM, TITLES, paper(8, 9))
    assert "The paper has no numbers for XSum." in table.notes and len(table.cells) == 4
    write_json(folders["xsum"].teacher / "config.json", config | {"model_type": "bart", "encoder_layers": 16})
    assert len(starts_table(logs, folders, XSUM, TITLES, paper(8, 9)).cells) == 4


def test_starts_that_differ_in_the_encoder_show_it(tmp_path):
    folders = write_folders(tmp_path, "xsum", [None, "high"])
    write_manifest(folders.starts["high"], {"layers": {"encoder": [0, 11], "decoder": 3}})
    logs = {"xsum": [(system, write_curve(tmp_path, "xsum", system, 2.0)) for system in ("sft", "sft-high")]}
    _, rows = panel(starts_table(logs, {"xsum": folders}, XSUM, TITLES))
    assert [row[2] for row in rows] == ["0,1,2,3,4,5,6,7,8,9,10,11", "0,11"]


def test_a_training_without_a_loss_is_missing(tmp_path):
    logs, folders = write_starts(tmp_path, seeds=1)
    lineage = {"lineage": {"task": "xsum", "seed": "1"}}
    write_json_lines(logs["xsum"][1][1], [{"step": 0, "dev": {"nll": 1.0}}], lineage)
    table = starts_table(logs, folders, XSUM, TITLES)
    assert list(table.cells["Lowest loss"]) == ["2.50", "n/a [1]", "2.75", "3.00"]


def test_mixtures_are_paired_differences_from_the_teacher(tmp_path):
    table = mixtures_table(*write_mixtures(tmp_path), XSUM, TITLES, paper(10))
    headings, rows = panel(table)
    assert headings[2:] == ["Teacher", "SFT", "PL", "Orig+PL", "Orig+PL+PL"]
    paired = half(0.5 * NOISE[1])  # the teacher's part of the noise is in both
    assert rows[0][3:] == [f"−1.00 ± {paired}", f"−2.00 ± {paired}", f"−0.75 ± {paired}", "–"]
    assert [text.strip("*") for text in rows[1][2:]] == ["22.3", "−1.2", "−0.9", "−0.8", "+0.1"]
    assert [text.strip("*") for text in rows[2][2:]] == ["−0.30", "+0.20", "−1.10", "+0.05", ""]


def test_mixtures_of_several_seeds_are_means(tmp_path):
    found = {r["column"]: r for r in records(mixtures_table(*write_mixtures(tmp_path, seeds=3), XSUM, TITLES))}
    assert float(found["pl"]["value"]) == -2.0 and found["pl"]["seeds"] == "3"
    assert float(found["pl"]["low"]) < -2.0 - 0.98  # more than over inputs alone
    assert found["orig_pl_pl"]["value"] == "" and found["teacher"]["seeds"] == "1"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder, m: m.pop(0), "task 'xsum': the teacher's metrics.json is missing; give it"),
        (lambda folder, m: m.append(m[0]), "a second file of 'teacher' of task 'xsum'; give one"),
        (lambda folder, m: m.__delitem__(slice(1, 6)), "task 'xsum': no metrics.json of a student; give one"),
        (lambda folder, m: write_metrics(folder, "mine", "kd", 1.0, signature="t"), "was computed in another way"),
        (lambda folder, m: m.append(write_metrics(folder, "other", "kd", 1.0)), "'other', which is not among --tasks"),
        (lambda folder, m: m.append(write_metrics(folder, "xsum", "kd-e1d1", 1.0)), "result of size 'e1d1', but no st"),
        (lambda folder, m: m[1].write_text("{"), r"sft/metrics.json: not valid JSON"),
    ],
)
def test_metrics_that_make_no_table_are_refused(tmp_path, change, words):
    metrics, logs, folders = write_methods(tmp_path)
    change(tmp_path, metrics)
    with pytest.raises(UserError, match=words):
        methods_table(metrics, logs, folders, TASKS, TITLES)


def test_other_files_that_make_no_table_are_refused(tmp_path):
    metrics, deployments, folders = write_speeds(tmp_path)
    with pytest.raises(UserError, match=r"'sft-12-1' of task 'xsum' has no deployment\.json; give it"):
        speeds_table(metrics, deployments[:-1], folders, XSUM, TITLES)
    with pytest.raises(UserError, match=r"'sft-12-1' of task 'xsum' has no metrics\.json; give it"):
        speeds_table(metrics[:-1], deployments, folders, XSUM, TITLES)
    with pytest.raises(UserError, match="no training curve of task 'xsum'; give xsum/SYSTEM=FILE"):
        starts_table({}, folders, XSUM, TITLES)
    logs, starts = write_starts(tmp_path / "starts")
    with pytest.raises(UserError, match="a second training curve of sft, seed 1; give each once"):
        starts_table({"xsum": [*logs["xsum"], logs["xsum"][0]]}, starts, XSUM, TITLES)
    with pytest.raises(UserError, match="of sft-high have the seeds 1, 2, but those of sft 2; give those of the same"):
        starts_table({"xsum": logs["xsum"][1:]}, starts, XSUM, TITLES)
    start = folders["xsum"].starts[None]
    write_manifest(start, {"lineage": {"task": "xsum", "data": "another"}, "layers": STARTS[None]})
    with pytest.raises(UserError, match="another version of the data"):
        speeds_table(metrics, deployments, folders, XSUM, TITLES)
    write_manifest(start, {"layers": {"decoder": 3}})
    with pytest.raises(UserError, match=re.escape("does not say which layers of the teacher's encoder and decoder")):
        speeds_table(metrics, deployments, folders, XSUM, TITLES)
    write_json(folders["xsum"].teacher / "config.json", {"model_type": "bert"})
    with pytest.raises(UserError, match=r"config\.json: unknown model family 'bert'"):
        speeds_table(metrics, deployments, folders, XSUM, TITLES)


def test_replicates_of_other_seeds_are_refused(tmp_path):
    metrics, folders = write_mixtures(tmp_path)
    content = json.loads(metrics[1].read_text())
    content["metrics"]["rouge2"]["seeds"]["2"] = 1.0
    write_json(metrics[1], content)
    with pytest.raises(UserError, match="the replicates beside it are not of its seeds"):
        mixtures_table(metrics, folders, XSUM, TITLES)


def test_the_scripts_commands_write_every_format(tmp_path):
    metrics, logs, folders = write_methods(tmp_path)
    speeds = [write_speed(tmp_path, "xsum", system, speed) for system, speed in (("teacher", 1.0), ("sft", 2.0))]
    of_xsum = [path for path in metrics if path.parts[-3] == "xsum"]
    named = {path.parent.name: f"xsum/{path.parent.name}={path}" for path in of_xsum}
    curves = [f"xsum/{system}={path}" for system, path in logs["xsum"]]
    folder = folders["xsum"]
    starts = [f"xsum/init_student{'' if size is None else f'-{size}'}={path}" for size, path in folder.starts.items()]
    common = ["--teachers", f"xsum={folder.teacher}", "--starts", *starts, "--tasks", "xsum=XSum"]
    given = {
        "table5": ["--metrics", *named.values(), "--logs", *curves],
        "table6": ["--metrics", named["teacher"], named["sft"], "--deployments"],
        "table8": ["--logs", curves[0], curves[3]],
        "table10": ["--metrics", named["teacher"], named["sft"], named["pl"]],
    }
    given["table6"] += [f"xsum/{system}={path}" for system, path in zip(("teacher", "sft"), speeds, strict=True)]
    for name, flags in given.items():
        files = [tmp_path / f"{name}.{suffix}" for suffix in ("csv", "md", "tex", "html")]
        arguments = [f"shleifer_rush_{name}", *flags, *common, "--compare-with", "paper", "--output", *files]
        done = warm.run_script("tables", *arguments)
        assert done.returncode == 0, done.stdout
        assert all(file.stat().st_size for file in files) and "paper" in files[1].read_text()
    wrong = ["shleifer_rush_table8", "--logs", f"xsum/pl={logs['xsum'][0][1]}", *common, "--output", files[1]]
    assert "belongs to another method" in warm.run_script("tables", *wrong).stdout
    places, paths = zip(*(start.split("=") for start in starts), strict=True)  # of two sizes
    swapped = [f"{place}={path}" for place, path in zip(places, reversed(paths), strict=True)]
    at = common.index("--starts") + 1
    wrong = ["shleifer_rush_table8", "--logs", curves[0], curves[3], *common[:at], *swapped, *common[at + 2 :]]
    said = " ".join(warm.run_script("tables", *wrong, "--output", files[1]).stdout.split())
    assert "belongs to another method than this run (init_student-12-1, not init_student)" in said


def test_the_figure_has_a_line_per_start_and_the_same_bytes(tmp_path):
    logs, _ = write_starts(tmp_path)
    titles = {system: TITLES.get(system, system) for system in dict(logs["xsum"])}
    for name in ("a", "b"):
        start_curves(logs["xsum"], titles, "XSum", tmp_path / f"{name}.svg")
    shown = texts(tmp_path / "a.svg")
    assert {"XSum", "step", "NLL on the development split", *titles.values()} <= set(shown)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    arguments = ["starts", "--logs", *(f"{system}={path}" for system, path in logs["xsum"]), "--title", "XSum"]
    arguments += ["--systems", *(f"{key}={title}" for key, title in titles.items()), "--output", tmp_path / "c.svg"]
    done = warm.run_script("figures", *arguments)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "c.svg").read_bytes() == (tmp_path / "a.svg").read_bytes()
