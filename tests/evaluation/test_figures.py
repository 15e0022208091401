"""Figures: their texts, reproducible bytes, and refusals."""

import subprocess
import sys

import pytest
import warm
from fdistill.artifacts.files import write_json, write_json_lines
from fdistill.artifacts.records import record_of
from fdistill.evaluation.figures import mixture, risk_scatter, training_curves
from fdistill.evaluation.figures.drawing import COLOURS, MARKERS
from fdistill.evaluation.histories import read_log
from fdistill.runtime.errors import UserError
from report_files import BLEU, draw_figures, study
from snake import ROOT
from svg import texts

SCRIPT = ROOT / "workflow" / "scripts" / "figures.py"
SYSTEMS = {"teacher": "Teacher", "kl": "KL", "js": "JS (exact)"}


@pytest.fixture
def logs(tmp_path):
    """Two seeds of KL with development scores, one of JS without."""
    runs = []
    for system, seed in (("kl", 1), ("kl", 2), ("js", 1)):
        lines = [{"step": s, "loss": 3.0 / s + seed, "learning_rate": 1e-3, "tokens_per_second": 9} for s in (1, 2, 3)]
        if system == "kl":
            lines += [{"step": s, "dev": {"bleu4": 5.0 * s, "nll": 2.0}} for s in (2, 3)]
        path = tmp_path / f"{system}{seed}.jsonl"
        write_json_lines(path, lines)
        runs.append((system, path))
    return runs


def test_training_curves(logs, tmp_path):
    training_curves(logs, SYSTEMS, "Data-to-text", tmp_path / "a.svg")
    shown = texts(tmp_path / "a.svg")
    assert "Data-to-text" in shown and shown.count("step") == 3
    assert "BLEU-4 on the development split" in shown and "NLL on the development split" in shown
    assert shown.count("KL") == 1 and shown.count("JS (exact)") == 1  # once in the legend, whatever the seeds
    assert "Teacher" not in shown  # no log, no line
    training_curves(logs, SYSTEMS, "Data-to-text", tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_agreement_with_the_teacher_has_panels_and_logs_without_it_are_drawn_too(logs, tmp_path):
    dev = [{"nll": 2.0 / s, "top_5_overlap": 0.2 * s, "log_prob_gap": 1.0 / s} for s in (1, 2, 3)]
    write_json_lines(tmp_path / "js.jsonl", [{"step": s + 1, "dev": scores} for s, scores in enumerate(dev)])
    training_curves([*logs[:2], ("js", tmp_path / "js.jsonl")], SYSTEMS, "t", tmp_path / "a.svg")
    shown = " ".join(texts(tmp_path / "a.svg"))
    assert "top-5 overlap with the teacher on the" in shown and "log-probability gap (nats) on the" in shown
    assert texts(tmp_path / "a.svg").count("step") == 5 and "BLEU-4 on the development split" in shown


def points(path):
    """The numbers of markers that the curves of an SVG file have."""
    return path.read_text().count("<use ")


def test_a_curve_of_one_point_is_visible_and_the_steps_axis_begins_at_0(tmp_path):
    write_json_lines(tmp_path / "log.jsonl", [])
    training_curves([("kl", tmp_path / "log.jsonl")], SYSTEMS, "t", tmp_path / "none.svg")
    write_json_lines(tmp_path / "log.jsonl", [{"step": 0, "dev": {"nll": 3.0}}, {"step": 7, "loss": 2.0}])
    training_curves([("kl", tmp_path / "log.jsonl")], SYSTEMS, "t", tmp_path / "one.svg")
    shown = texts(tmp_path / "one.svg")
    assert {"0", "7"} <= set(shown) and "NLL on the development split" in shown
    assert (tmp_path / "one.svg").read_text().count('id="line2d_') > 0
    assert points(tmp_path / "one.svg") > points(tmp_path / "none.svg")


def test_labels_of_the_steps_axis_stand_apart(tmp_path):
    """Also those of a run that is shorter than a decade, where a logarithmic axis would label its minor ticks."""
    for last, expected in ((90, "0 20 90"), (400, "0 20 400"), (20000, "0 100 1000 10000")):
        write_json_lines(tmp_path / "log.jsonl", [{"step": step, "loss": 1.0 / step} for step in (20, 25, last)])
        training_curves([("kl", tmp_path / "log.jsonl")], SYSTEMS, "t", tmp_path / "a.svg")
        labels = [text for text in texts(tmp_path / "a.svg") if text.isdigit()]
        assert labels == expected.split()


def test_training_curves_without_development_scores_or_with_a_negative_loss(logs, tmp_path):
    training_curves(logs[2:], SYSTEMS, "t", tmp_path / "a.svg")
    assert texts(tmp_path / "a.svg").count("step") == 1
    write_json_lines(logs[2][1], [{"step": 1, "loss": -1.0}, {"step": 2, "loss": -2.0}])
    training_curves(logs[2:], SYSTEMS, "t", tmp_path / "a.svg")
    assert any("−2" in text for text in texts(tmp_path / "a.svg"))  # a linear axis shows it, a log one could not


def test_a_model_that_was_not_trained_has_no_curve(logs, tmp_path):
    write_json_lines(tmp_path / "teacher.jsonl", [])  # training.teacher.epochs 0, as for XSum in the paper
    teacher = ("teacher", tmp_path / "teacher.jsonl")
    training_curves([teacher, *logs], SYSTEMS, "XSum", tmp_path / "a.svg")
    assert "KL" in texts(tmp_path / "a.svg") and "Teacher" not in texts(tmp_path / "a.svg")
    training_curves([teacher], SYSTEMS, "XSum", tmp_path / "b.svg")
    assert "XSum" in texts(tmp_path / "b.svg")


def risk_file(path, system, value):
    summary = {"mean": value, "interval": None, "std": None, "seeds": {"1": value}}
    risks = {"r_llh_token": summary, "r_cvg_token": summary}
    write_json(path, {"task": "t", "method": system, "n_inputs": 1, "risks": risks})
    return path


def test_risk_scatter_by_script(tmp_path):
    values = (("kl", 0.5), ("js", 0.7), ("teacher", None))  # without a value a system is left out
    paths = [risk_file(tmp_path / f"{system}.json", system, value) for system, value in values]
    command = [
        sys.executable,
        SCRIPT,
        "risk",
        "--risks",
        *paths,
        "--title",
        "EN-RO",
        "--output",
        tmp_path / "a.svg",
    ]
    command += ["--systems", *(f"{key}={title}" for key, title in SYSTEMS.items())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = texts(tmp_path / "a.svg")
    assert "EN-RO" in shown and "KL" in shown and "JS (exact)" in shown and "Teacher" not in shown
    assert not any("collapse" in text for text in shown)  # unknown without the teacher's own value
    risk_scatter(paths, SYSTEMS, "EN-RO", tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()  # in another process


def test_the_risk_figure_shows_where_a_student_has_collapsed(tmp_path):
    paths = [risk_file(tmp_path / f"{system}.json", system, value) for system, value in (("teacher", 2.4), ("kl", 2.1))]
    risk_scatter(paths, SYSTEMS, "t", tmp_path / "a.svg")
    assert any("collapse: likelier than the teacher" in text for text in texts(tmp_path / "a.svg"))


def test_quality_over_what_a_student_takes_to_train(tmp_path):
    """The teacher's own value is a line; a student without a record of its training has no time, and no point."""
    files, settings = study(tmp_path)
    record_of(tmp_path / "d2t/js/seed1/train.jsonl").unlink()
    draw_figures(files, settings)
    shown = texts(files.figures["d2t", "cost"])
    assert "BLEU-4 on the test split (higher is better)" in shown and {"KL", "Teacher"} <= set(shown)
    assert "JS (exact)" not in shown
    first = files.figures["d2t", "cost"].read_bytes()
    draw_figures(files, settings)
    assert files.figures["d2t", "cost"].read_bytes() == first


def test_cost_scatter_by_script_checks_the_files_places(tmp_path):
    files, _ = study(tmp_path)
    metrics = [f"d2t/{system}={path}" for (_, system), path in files.metrics.items() if system != "copy"]
    arguments = ["cost", "--metrics", *metrics, "--task", "d2t", "--systems", *SYSTEMS, "mle", "engine"]
    logs = [f"{system}={path}" for _, system, path in files.logs]
    done = warm.run_script("figures", *arguments, "--logs", *logs, "--output", tmp_path / "a.svg")
    assert done.returncode == 0, done.stdout
    assert "TER" not in texts(tmp_path / "a.svg") and "d2t" in texts(tmp_path / "a.svg")
    wrong = ["--logs", f"kl={files.logs[0][2]}"]
    done = warm.run_script("figures", *arguments, *wrong, "--output", tmp_path / "b.svg")
    assert done.returncode == 1 and "belongs to another method" in done.stdout


def test_cost_scatter_without_any_value(tmp_path):
    files, settings = study(tmp_path, dict.fromkeys(BLEU))
    draw_figures(files, settings)
    assert not any("test split" in text for text in texts(files.figures["d2t", "cost"]))


@pytest.mark.parametrize("title", ["Growth $x^$", "From $5 to $6", "_hidden", r"a\$b"])
def test_titles_are_shown_as_they_are(title, logs, tmp_path):
    systems = SYSTEMS | {"kl": f"{title} KL"}
    training_curves(logs, systems, title, tmp_path / "a.svg")
    paths = [risk_file(tmp_path / "kl.json", "kl", 0.5)]
    risk_scatter(paths, systems, title, tmp_path / "b.svg")
    for file in ("a.svg", "b.svg"):
        assert {title, f"{title} KL"} <= set(texts(tmp_path / file))


def test_colour_and_marker_together_tell_systems_apart():
    looks = {(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i in range(24)}
    assert len(looks) == 24


def test_refusals(logs, tmp_path):
    with pytest.raises(UserError, match=r"kl1.jsonl: system 'kl' has no title; add it to --systems \(known: js\)"):
        training_curves(logs, {"js": "JS"}, "t", tmp_path / "a.svg")
    with pytest.raises(UserError, match="system 'kl' has no title"):
        risk_scatter([risk_file(tmp_path / "kl.json", "kl", 1.0)], {"js": "JS"}, "t", tmp_path / "a.svg")
    assert not (tmp_path / "a.svg").exists()
    with pytest.raises(UserError, match="no such file"):
        read_log(tmp_path / "nowhere")
    (tmp_path / "log").write_text('{"step": 1')
    with pytest.raises(UserError, match="not one JSON object per line"):
        read_log(tmp_path / "log")


def test_the_figure_of_the_mixture_of_a_study_that_was_not_trained(tmp_path):
    weights = [{"n": 30, "quantiles": [0.1, 0.3, 0.5, 0.7, 0.9]}] * 2
    gradients = {method: {"signal": 1.0, "noise": 2.0} for method in ("js", "kl")}
    content = {"weights": dict.fromkeys(("teacher_samples", "student_samples"), weights), "gradients": gradients}
    write_json(tmp_path / "mixture.json", content)
    write_json_lines(tmp_path / "log.jsonl", [])
    mixture(tmp_path / "mixture.json", [("js", tmp_path / "log.jsonl")], SYSTEMS, "t", tmp_path / "a.svg")
    shown = texts(tmp_path / "a.svg")
    assert {"teacher's samples", "student's samples", "JS (exact)"} <= set(shown)
    assert not any("development split" in text for text in shown)
