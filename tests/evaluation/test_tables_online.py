"""The table of online and offline samples: rows, times and how they were measured, what is refused."""

import csv
import io

import pytest
import warm
from fdistill.artifacts.files import read_json
from fdistill.evaluation import published
from fdistill.evaluation.tables import online_table
from fdistill.evaluation.tables.formats import to_csv
from fdistill.evaluation.tables.markdown import to_markdown
from fdistill.runtime.errors import UserError
from online_cases import SYSTEMS, TASKS, write_study, write_times
from paper_tables import rows_of


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path)


def table_of(study, **changes):
    return online_table(*study, TASKS, SYSTEMS, **changes)


def test_a_pair_is_two_rows_with_its_scores_and_times(study):
    panels = rows_of(to_markdown(table_of(study)))
    assert len(panels) == len(TASKS)
    for headings, _, *rows in panels:
        assert headings == ["", "Model", "BLEU-4 ↑", "Step, ms ↓", "Speed-up ↑"]
        assert rows == [
            ["JS", "Online", "45.00 ± 0.50", "500.00", "1.00"],
            ["", "Offline", "**46.00 ± 0.50**", "200.00", "2.40"],
            ["TVD", "Online", "43.00 ± 0.50", "500.00", "1.00"],
            ["", "Offline", "44.00 ± 0.50", "200.00", "2.40"],
        ]


def test_the_csv_has_the_paper_beside_it(study):
    table = table_of(study, paper=published.read("fdistill_table4"))
    records = {(r["task"], r["system"], r["metric"]): r for r in csv.DictReader(io.StringIO(to_csv(table)))}
    assert len(records) == 2 * 4 * 3
    assert (
        records["dart", "tvd", "speedup"]["mean"] == "2.4" and records["dart", "tvd", "speedup"]["published"] == "2.31"
    )
    assert records["dart", "js_online", "bleu4"]["published"] == "46.85"
    assert (
        records["mine", "js", "step_ms"]["published"] == "" and float(records["mine", "js", "step_ms"]["mean"]) == 200
    )


@pytest.mark.parametrize(
    ("other_cpus", "words"),
    [
        (0.04, "Other programs used 0.0 of the machine's 2 CPUs meanwhile."),
        (0.94, "Other programs used 0.9 of the machine's 2 CPUs meanwhile, which made both times longer."),
        (None, "What else the machine did is not known."),
    ],
)
def test_the_notes_say_how_the_times_were_measured_and_what_else_the_machine_did(study, other_cpus, words):
    write_times(study[2]["dart"], "dart", other_cpus)
    first, second, *limits = table_of(study).notes
    assert first.startswith("DART: 40 steps of each method, in turn in one process on the same examples, on a CPU; ")
    assert "speed-up of single steps: js 1.20 to 4.80, tvd 1.20 to 4.80. " in first and first.endswith(words)
    assert second.startswith("Mine: ") and "fewer than 20 test inputs" in limits[0]  # of the comparisons


def test_times_that_do_not_belong_to_the_scores_are_refused(study):
    metrics, comparisons, measured = study
    with pytest.raises(UserError, match="no times for task mine; give mine=FILE"):
        online_table(metrics, comparisons, {"dart": measured["dart"]}, TASKS, SYSTEMS)
    with pytest.raises(UserError, match=r"dart\.online\.json: has times of 'tvd_online', which has no scores"):
        online_table([file for file in metrics if "tvd_online" not in file.name], comparisons, measured, TASKS, SYSTEMS)
    write_times(measured["mine"], "mine", methods=["js"])
    with pytest.raises(UserError, match=r"mine\.online\.json: has times of other methods than .*dart\.online\.json"):
        table_of(study)
    write_times(measured["mine"], "mine", methods=["js", "js"])
    with pytest.raises(UserError, match=r"mine\.online\.json: has a method twice"):
        table_of(study)
    write_times(measured["mine"], "mine", teacher="another")
    with pytest.raises(UserError, match=r"belongs to another teacher than .*mine\.online\.json"):
        table_of(study)


def test_the_script_writes_every_format(study, tmp_path):
    metrics, comparisons, measured = study
    files = [tmp_path / f"online.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    named = [f"{read_json(path)['task']}={path}" for path in comparisons]
    arguments = [
        *("online", "--metrics", *metrics, "--comparisons", *named, "--tasks", *TASKS, "--output", *files),
        *("--compare-with", "paper", "--times", *(f"{task}={path}" for task, path in measured.items())),
    ]
    done = warm.run_script("tables", *arguments)
    assert done.returncode == 0, done.stdout
    assert all(file.stat().st_size for file in files) and "2.31" in files[1].read_text()
    arguments[-1] = f"mine={measured['dart']}"
    assert "another task" in warm.run_script("tables", *arguments).stdout
