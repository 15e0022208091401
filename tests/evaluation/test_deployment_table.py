"""What models cost in use: the Pareto front, the table, the figure, and files that do not belong together."""

import csv
import io
import random

import pytest
from deployment_files import LATENCIES, MACHINE, RUNTIMES, SYSTEMS, quartiles, runtime_entry, write_deployment
from fdistill.evaluation.deployment import pareto_front, read_deployments
from fdistill.evaluation.figures import latency_scatter
from fdistill.evaluation.tables import deployment_table, sections
from fdistill.evaluation.tables.formats import FORMATS, to_csv
from fdistill.evaluation.tables.markdown import to_markdown
from fdistill.runtime.errors import UserError
from paper_tables import rows_of
from svg import texts

LAYOUT = sections({"teacher": "Teacher"}, {}, {"kl": "KL", "js": "JS"})
MISSING = {"missing": {"reason": "it cannot run this model", "fix": "use transformers"}}


@pytest.fixture
def files(tmp_path):
    return [write_deployment(tmp_path, system) for system in SYSTEMS]


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_the_front_has_what_no_other_point_beats(direction):
    """Against the definition, point by point, on small integers, where many are equal."""
    chance = random.Random(1)
    for _ in range(200):
        points = {i: (chance.randint(0, 5), chance.randint(0, 5)) for i in range(8)}
        expected = set()
        for i, (latency, score) in points.items():
            better = [p for p in points.values() if p[0] <= latency and p != (latency, score)]
            beaten = [p for p in better if (p[1] >= score if direction == "higher" else p[1] <= score)]
            if not beaten:
                expected.add(i)
        front = pareto_front(points, direction)
        assert set(front) == expected
        assert [points[i][0] for i in front] == sorted(points[i][0] for i in front)


def test_the_table_has_a_row_for_each_model_and_runtime(files):
    headings, _, *rows = rows_of(to_markdown(deployment_table(files, {"dart": "DART"}, LAYOUT)))[0]
    assert headings[:2] == ["Model", "Runtime"] and len(rows) == 9
    assert rows[0][5:8] == ["200.0 (150.0–300.0)", "1.00", "25.0"] and rows[0][-1] == "–"
    student = rows[5]
    assert student[:5] == ["KL", "CTranslate2, int8", "1.19", "1.12", "1.0"]
    assert student[5:] == ["10.0 (7.5–15.0)", "20.00", "500.0", "10.00", "30", "38.00", "−2.00 (−3.00 to +0.50)"]


def test_two_tasks_are_named_and_every_format_is_written(files, tmp_path):
    more = [write_deployment(tmp_path, system, "xsum") for system in SYSTEMS]
    table = deployment_table([*files, *more], {"dart": "DART", "xsum": "XSum"}, LAYOUT)
    assert table.headings[0] == "Task" and list(table.cells["Task"].unique()) == ["DART", "XSum"]
    for form in FORMATS.values():
        assert "XSum" in form(table) or form is to_csv


def test_the_csv_has_all_numbers(files):
    records = list(csv.DictReader(io.StringIO(to_csv(deployment_table(files, {"dart": "DART"}, LAYOUT)))))
    assert [(r["system"], r["runtime"]) for r in records] == [(s, r) for s in SYSTEMS for r in RUNTIMES]
    assert [float(r["latency_ms_median"]) for r in records] == [value for row in LATENCIES.values() for value in row]
    assert float(records[5]["difference"]) == -2 and records[3]["difference"] == ""
    assert (records[5]["machine"], records[5]["memory_bytes"]) == ("a CPU", "30000000")


def test_the_notes_say_how_it_was_measured_and_what_is_missing(files, tmp_path):
    entries = {
        "transformers": runtime_entry("transformers", 100.0, 40.0, 40.0),
        **dict.fromkeys(RUNTIMES[1:], MISSING),
    }
    write_deployment(tmp_path, "kl", runtimes=entries, other_cpus=0.6)
    table = deployment_table(files, {"dart": "DART"}, LAYOUT)
    notes = " ".join(table.notes)
    assert "32 inputs one at a time and 8 batches of 32" in notes and "2,000 test inputs, on a CPU;" in notes
    assert "num_beams 4" in notes and "DART, memory: how." in notes and "used up to 0.6 CPUs" in notes
    assert "DART, KL, n/a: it cannot run this model. Remedy: use transformers." in notes
    assert notes.count("n/a") == 1 and list(table.cells.iloc[4])[4:] == ["n/a"] * 8
    assert "early_stopping: ends sooner" in notes


def test_the_figure_has_each_model_once_and_the_front(files, tmp_path):
    for name in ("a", "b"):
        latency_scatter(files, SYSTEMS, "DART", tmp_path / f"{name}.svg")
    shown = texts(tmp_path / "a.svg")
    assert [shown.count(title) for title in SYSTEMS.values()] == [1, 1, 1]
    assert {"transformers", "CTranslate2", "CTranslate2, int8"} <= set(shown)
    assert any("Pareto front" in text for text in shown) and "BLEU-4 on the test split (higher is better)" in shown
    assert '<g id="front">' in (tmp_path / "a.svg").read_text()
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_models_without_a_score_have_no_point(tmp_path):
    entries = {name: runtime_entry(name, 100.0, None, 0) for name in RUNTIMES}
    latency_scatter([write_deployment(tmp_path, "kl", runtimes=entries)], SYSTEMS, "DART", tmp_path / "a.svg")
    assert "KL" not in texts(tmp_path / "a.svg")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"machine": MACHINE | {"name": "another CPU"}},
            "another machine's name than .*another CPU, not a CPU.*delete",
        ),
        ({"machine": MACHINE | {"threads": 2}}, "another machine's threads"),
        ({"decoding": {"num_beams": 1}}, "another decoding than"),
        ({"lineage": {"data": "x", "task": "dart", "method": "js"}}, "another version of the data"),
        ({"method": "kl", "lineage": {}}, "a second file of 'kl'"),
    ],
)
def test_files_that_do_not_belong_together(files, changes, words, tmp_path):
    write_deployment(tmp_path, "js", **changes)
    with pytest.raises(UserError, match=words):
        read_deployments(files)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found.clear(), r"transformers\.weights_bytes' is missing"),
        (lambda found: found.pop("latency_ms"), r"transformers\.latency_ms' is missing"),
        (lambda found: found.pop("scores"), r"transformers\.scores' is missing"),
        (lambda found: found["scores"]["bleu4"].update(interval=[1.0]), r"bleu4\.interval' must be a list of 2"),
        (lambda found: found["scores"]["bleu4"].update(interval=[2, 1]), r"bleu4\.interval' must be a list of 2"),
        (lambda found: found["speedup"].update(latency=quartiles(0)), r"latency\.median' must be a number above 0"),
        (lambda found: found["inputs_per_s"].update(q1=900, q3=1), r"inputs_per_s\.median' must not be below"),
    ],
)
def test_a_damaged_file_is_refused_with_its_key(tmp_path, change, words):
    entries = {name: runtime_entry(name, 100.0, 40.0, 40.0) for name in RUNTIMES}
    change(entries["transformers"])
    path = write_deployment(tmp_path, "kl", runtimes=entries)
    with pytest.raises(UserError, match=rf"kl/deployment\.json: key '.*{words}"):
        read_deployments([path])


def bleurt(entry, value):
    """The entry of a runtime with a metric before BLEU-4, which has this value."""
    missing = None if value is not None else {"reason": "no encoder", "fix": "install it"}
    first = entry["scores"]["bleu4"] | {"title": "BLEURT", "value": value, "interval": None, "difference": None}
    return entry | {"scores": {"bleurt": first | {"missing": missing}, **entry["scores"]}}


def test_all_rows_and_points_have_one_metric(tmp_path):
    for system, values in (("teacher", (0.61, None, None)), ("kl", (None, None, None))):
        made = [runtime_entry(name, 100.0, 40.0, 40.0) for name in RUNTIMES]
        entries = dict(zip(RUNTIMES, map(bleurt, made, values), strict=True))
        write_deployment(tmp_path, system, runtimes=entries)
    files = [tmp_path / "dart" / system / "deployment.json" for system in ("teacher", "kl")]
    table = deployment_table(files, {"dart": "DART"}, sections({"teacher": "Teacher"}, {}, {"kl": "KL"}))
    assert list(table.cells["Score"]) == ["0.61", *["n/a"] * 5] and set(table.cells["Less the study's"]) == {"–"}
    notes = " ".join(table.notes)
    assert "Score: BLEURT" in notes and "DART, KL, n/a: no encoder. Remedy: install it." in notes
    latency_scatter(files, SYSTEMS, "DART", tmp_path / "a.svg")
    shown = texts(tmp_path / "a.svg")
    assert "BLEURT on the test split (higher is better)" in shown and "KL" not in shown


def test_models_that_no_runtime_could_run_have_rows(tmp_path):
    path = write_deployment(tmp_path, "kl", runtimes=dict.fromkeys(RUNTIMES, MISSING))
    table = deployment_table([path], {"dart": "DART"}, sections({}, {}, {"kl": "KL"}))
    assert list(table.cells["Score"]) == ["n/a"] * 3 and "no outputs" in table.notes[0]


def test_the_load_of_the_machine_may_differ(files, tmp_path):
    write_deployment(tmp_path, "js", machine=MACHINE | {"load": 3.0})
    assert len(read_deployments(files)) == 3


def test_a_row_without_a_file(files):
    with pytest.raises(UserError, match=r"'js' has a row in the table, but no deployment\.json"):
        deployment_table(files[:2], {"dart": "DART"}, LAYOUT)
    with pytest.raises(UserError, match=r"no deployment\.json of task 'xsum'"):
        deployment_table(files, {"dart": "DART", "xsum": "XSum"}, LAYOUT)
