"""Sizes of the student in the DAG: what they share, what one target needs, and what is refused."""

import shlex

import pytest
import yaml
from snake import ROOT, planned, snakemake

TRAINED = ("init_student", "predistill", "distill")
STUDY = {
    "tasks": ["pronunciation", "data_to_text"],
    "methods": ["mle", "kl"],
    "seeds": [1, 2],
    "task_overrides": {"pronunciation": {"model": {"student_sizes": {"e2d1": {"encoder": 2, "decoder": 1}}}}},
}


@pytest.fixture(scope="module")
def dry(tmp_path_factory):
    """A dry run of the study in which one of two tasks has a further size, or of the study without `changes`."""
    folder = tmp_path_factory.mktemp("dry")

    def dry(*targets, sizes=True, check=True):
        study = STUDY if sizes else {key: value for key, value in STUDY.items() if key != "task_overrides"}
        (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
        given = ("-n", "-p", "--configfile", folder / "study.yaml", "--", *targets)
        return snakemake(*given, directory=folder, check=check).stdout

    return dry


def test_a_size_adds_its_students_and_shares_all_else(dry):
    before, after = planned(dry("all", sizes=False)), planned(dry("all"))
    assert before.keys() < after.keys()
    added = after.keys() - before.keys()
    trained = {wildcards for rule, wildcards in added if rule in TRAINED}
    methods = {f"task=pronunciation, method={m}-e2d1, seed={s}" for m in ("predistill", "mle", "kl") for s in (1, 2)}
    assert trained == methods | {"task=pronunciation, initial_student=init_student-e2d1"}
    systems = {("generate", "seed=1"), ("score", "seed=2"), ("metrics", ""), ("risks", "")}
    for rule, seed in systems:
        assert (rule, ", ".join(filter(None, ["task=pronunciation, system=kl-e2d1", seed]))) in added
    others = {(rule, wildcards) for rule, wildcards in added if "e2d1" not in wildcards}
    assert others == {("size_figure", "task=pronunciation")}


def commands(shown, script):
    """The commands of a script in a dry run, as lists of words."""
    return [shlex.split(line) for line in shown.splitlines() if f"/{script}.py " in line and " --" in line]


def value_of(command, flag):
    return command[command.index(flag) + 1]


def test_tables_and_figures_have_the_systems_of_each_task(dry):
    shown = dry("all")
    (compared,) = [command for command in commands(shown, "compare") if value_of(command, "--task") == "pronunciation"]
    students = compared[compared.index("--students") + 1 : compared.index("--task")]
    assert students == ["mle", "kl", "mle-e2d1", "kl-e2d1"]
    for command in commands(shown, "tables"):
        if "--students" in command:
            rows = command[command.index("--students") + 1 :]
            assert rows[:4] == students
        if "--metrics" in command:
            assert any(word.startswith("pronunciation/kl-e2d1=") for word in command)
        assert not any(word.startswith("data_to_text/kl-e2d1=") for word in command)
    drawn = {command[command.index("--task") + 1] for command in commands(shown, "figures") if "sizes" in command}
    assert drawn == {"pronunciation"}


def test_one_target_of_a_size_needs_no_other_size(dry):
    shown = dry("results/pronunciation/kl-e2d1/metrics.json")
    jobs = planned(shown)
    assert {wildcards for rule, wildcards in jobs if rule in TRAINED} == {
        "task=pronunciation, initial_student=init_student-e2d1",
        *(f"task=pronunciation, method={m}-e2d1, seed={seed}" for m in ("predistill", "kl") for seed in (1, 2)),
    }
    (copied,) = commands(shown, "init_student")
    assert value_of(copied, "--method") == "init_student-e2d1"
    assert value_of(copied, "--layers") == '{"encoder": 2, "decoder": 1}'
    trained = {value_of(command, "--model"): command for command in commands(shown, "distill")}
    folder = "results/pronunciation"
    first = trained[f"{folder}/predistill-e2d1/seed2/model"]
    assert value_of(first, "--start") == f"{folder}/init_student-e2d1/model"
    assert value_of(first, "--start-method") == "init_student-e2d1"
    then = trained[f"{folder}/kl-e2d1/seed2/model"]
    assert value_of(then, "--start") == f"{folder}/predistill-e2d1/seed2/model"
    assert value_of(then, "--start-method") == "predistill-e2d1" and value_of(then, "--method") == "kl-e2d1"
    assert value_of(then, "--teacher-samples") == f"{folder}/sample_teacher/train.teacher_samples.parquet"


NOT_THERE = "task 'data_to_text' has no student size 'e2d1' (model.student_sizes); known: none"


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (
            "pronunciation/kl-e2d2/risk.json",
            "no rule makes it; did you mean 'results/pronunciation/kl-e2d1/risk.json'?",
        ),
        ("data_to_text/kl-e2d1/metrics.json", NOT_THERE),
        ("data_to_text/kl-e2d1/seed1/model", NOT_THERE),
        ("data_to_text/init_student-e2d1/model", NOT_THERE),
    ],
)
def test_an_unknown_size_is_refused(dry, target, text):
    shown = dry(f"results/{target}", check=False)
    assert f"results/{target}: {text}" in shown and "Traceback" not in shown


def test_the_papers_figure_2_in_small():
    """Encoder layers 1, 2 and 3 of the teacher's 3, and the methods of the figure."""
    task = yaml.safe_load((ROOT / "config/tasks/pronunciation.yaml").read_text())["model"]
    study = yaml.safe_load((ROOT / "config/student_sizes.yaml").read_text())
    sizes = study["task_overrides"]["pronunciation"]["model"]["student_sizes"].values()
    assert [size["encoder"] for size in (task["student"], *sizes)] == [1, 2, 3]
    assert {size["decoder"] for size in (task["student"], *sizes)} == {1}
    assert task["teacher"]["config"]["encoder_layers"] == 3
    assert study["methods"] == ["seqkd", "kl", "rkl", "js", "tvd"]
