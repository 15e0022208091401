"""The targets of Shleifer & Rush's tables: what they need, when `all` has them, studies that have nothing of one."""

import pytest
from snake import planned, snakemake

STARTS = 'task_overrides={"pronunciation": {"model": {"student_sizes": {"high": {"encoder": 3, "decoder": 1}}}}}'
FOLDER = "results/tables/shleifer_rush"


def dry_run(folder, *settings, targets=("all",), check=True):
    given = ["--config", "tasks=[pronunciation]", *settings]
    return snakemake("-n", "-p", *given, "--", *targets, directory=folder, check=check).stdout


def tables(output):
    return {wildcards.removeprefix("table=") for rule, wildcards in planned(output) if rule == "shleifer_rush_table"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["methods=[mle,kl]"], set()),
        (["methods=[sft,kd,pl]"], {"table5"}),
        (["methods=[sft,kd,pl,orig_pl]", "deployment=true"], {"table5", "table6", "table10"}),
        (["methods=[sft]", STARTS], {"table8"}),
        (["methods=[mle]", STARTS], set()),
    ],
)
def test_all_has_those_that_the_study_is_about(settings, expected, tmp_path):
    shown = dry_run(tmp_path, *settings)
    assert tables(shown) == expected
    assert (("starts_figure", "task=pronunciation") in planned(shown)) == ("table8" in expected)


def test_a_table_is_told_its_files_and_needs_them(tmp_path):
    targets = [f"{FOLDER}/{name}.md" for name in ("table5", "table6", "table8", "table10")]
    shown = dry_run(tmp_path, "methods=[sft,pl]", "seeds=[1,2]", STARTS, targets=targets)
    assert tables(shown) == {"table5", "table6", "table8", "table10"}
    place = "pronunciation/sft-high"
    (command,) = [line for line in shown.splitlines() if "tables.py shleifer_rush_table5" in line]
    assert f"{place}=results/{place}/metrics.json" in command
    assert f"{place}=results/{place}/seed2/train.jsonl" in command
    assert "--teachers pronunciation=results/pronunciation/teacher/seed1/model" in command
    starts = [
        f"pronunciation/{name}=results/pronunciation/{name}/model" for name in ("init_student", "init_student-high")
    ]
    assert f"--starts {' '.join(starts)} " in command
    (command,) = [line for line in shown.splitlines() if "tables.py shleifer_rush_table8" in line]
    assert "/pl" not in command  # one method's sizes
    (block,) = [part for part in shown.split("\n\n") if "wildcards: table=table10" in part]
    assert f"results/{place}/metrics.replicates.parquet" in block
    assert ("deployment_model", "task=pronunciation, system=sft-high") in planned(shown)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("table5", "shleifer_rush/table5: the study has none of sft, kd, pl; add some of them to its methods"),
        ("table10", "shleifer_rush/table10: the study has none of sft, pl, orig_pl, orig_pl_pl; add"),
        ("table8", "no task of the study has several starts of the student; add them to its model.student_sizes"),
        ("table7", "no rule makes it; did you mean 'results/tables/shleifer_rush/table"),
    ],
)
def test_a_study_that_has_nothing_of_a_table_is_refused(table, words, tmp_path):
    shown = dry_run(tmp_path, "methods=[kl]", targets=[f"{FOLDER}/{table}.md"], check=False)
    assert words in " ".join(shown.split())
