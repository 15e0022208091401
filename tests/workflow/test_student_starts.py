"""Students whose layers are not all copied from their teacher: what their jobs read and write."""

import json
import re
import shlex
import shutil

import pytest
import tiny
import torch
import warm
import yaml
from fdistill.artifacts.lineage import common_lineage
from fdistill.artifacts.manifest import manifest_of, model_identity
from fdistill.models.checkpoints import load, save
from snake import planned, snakemake

DEPTHS = {"encoder_layers": 4, "decoder_layers": 3}
STARTS = {
    "pt": {"encoder": 4, "decoder": {"layers": 2, "from": "pretrained"}},
    "cnn": {"encoder": 4, "decoder": {"layers": 2, "choose": "high", "from": "cnn_dailymail"}},
    "rand": {"encoder": 4, "decoder": {"layers": 2, "choose": "random"}},
    "4-1": "4-1",
}


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """The words of the command of each untrained student, by size, the jobs of a dry run, and the checkpoint."""
    folder = tmp_path_factory.mktemp("starts")
    save(tiny.checkpoint("bart", **DEPTHS), folder / "bart")
    shutil.copytree(folder / "bart", folder / "before")  # as if the teacher's checkpoint were fine-tuned from it
    model = {"teacher": {"init": str(folder / "bart"), "allow_pickle": True}, "student": "4-2"}
    study = {
        "tasks": ["xsum", "cnn_dailymail"],
        "methods": ["mle"],
        "seeds": [1],
        "teacher_seed": 5,
        "task_overrides": {
            "xsum": {"model": model | {"student_sizes": STARTS}},
            "cnn_dailymail": {
                "model": {"teacher": model["teacher"] | {"pretrained": str(folder / "before")}, "student": "4-2"}
                | {"student_sizes": {"pt": STARTS["pt"]}}
            },
        },
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    targets = [f"results/xsum/init_student{size}/model" for size in ("", *(f"-{name}" for name in STARTS))]
    targets += ["results/cnn_dailymail/init_student-pt/model"]
    shown = snakemake("-n", "-p", "--configfile", folder / "study.yaml", "--", *targets, directory=folder).stdout
    found = {}
    for line in shown.splitlines():
        if "/init_student.py " in line and "--layers" in line and "results/xsum/" in line:
            words = shlex.split(line)
            (size,) = re.findall(r"init_student-?(\S*)/model", line)
            found[size] = words[words.index("--layers") + 1 : words.index("--model")]
    return found, planned(shown), folder / "bart", shown


def test_a_job_is_told_what_it_copies_and_nothing_else(commands):
    found, jobs, bart, shown = commands
    layers = {size: json.loads(words[0]) for size, words in found.items()}
    assert layers == {**STARTS, "4-1": {"encoder": 4, "decoder": 1}, "": {"encoder": 4, "decoder": 2}}
    assert {size: words[1:] for size, words in found.items()} == {
        "": [],
        "4-1": [],
        "pt": ["--pretrained", str(bart), "--allow-pickle"],
        "cnn": ["--other-teachers=cnn_dailymail=results/cnn_dailymail/teacher/seed5/model"],
        "rand": ["--seed", "5"],
    }
    assert ("finetune_teacher", "task=cnn_dailymail, seed=5") in jobs  # an input of a student of the other task
    assert f"--pretrained {bart.parent / 'before'} --allow-pickle" in shown  # of the other task, which names it
    (block,) = [part for part in shown.split("\n\n") if "task=xsum, initial_student=init_student-pt" in part]
    assert str(bart / "model.safetensors") in block  # the user's own model is an input


def saved(folder, task, seed, **letters):
    """A teacher of a task, as the workflow writes it."""
    lineage = common_lineage(task=task, method="teacher")
    save(tiny.checkpoint("bart", seed, **DEPTHS, **letters), folder, {"stage": "finetune_teacher", "lineage": lineage})
    return folder


@pytest.fixture
def models(tmp_path):
    return saved(tmp_path / "xsum", "xsum", 1), saved(tmp_path / "cnn", "cnn_dailymail", 2), tmp_path / "student"


def make(models, decoder, *flags):
    teacher, _, student = models
    layers = json.dumps({"encoder": 4, "decoder": decoder})
    return warm.run_script(
        "init_student", "--teacher", teacher, "--layers", layers, "--model", student, "--task", "xsum", *flags
    )


def decoder_of(folder):
    return load(folder).model.module.model.decoder.layers


def test_the_script_copies_layers_of_another_tasks_teacher(models):
    _, other, student = models
    decoder = {"layers": 2, "choose": "high", "from": "cnn_dailymail"}
    done = make(models, decoder, f"--other-teachers=cnn_dailymail={other}")
    assert done.returncode == 0, done.stdout
    for layer, original in zip(decoder_of(student), decoder_of(other)[1:], strict=True):
        assert all(torch.equal(value, original.state_dict()[key]) for key, value in layer.state_dict().items())
    entry = {"what": "layers", "name": "the teacher of task cnn_dailymail", "sha256": model_identity(other)}
    assert manifest_of(student)["contributions"] == [entry]
    assert manifest_of(student)["lineage"]["task"] == "xsum"


def test_the_manifest_names_the_pretrained_model_whose_layers_are_copied(models):
    _, other, student = models
    done = make(models, {"layers": 1, "from": "pretrained"}, f"--pretrained={other}")
    assert done.returncode == 0, done.stdout
    [entry] = manifest_of(student)["contributions"]
    assert (entry["what"], entry["name"], len(entry["sha256"])) == ("layers", other.name, 64)


def test_the_script_makes_random_layers_by_its_seed(models):
    made = []
    for seed in (3, 3, 4):
        done = make(models, {"layers": 1, "choose": "random"}, "--seed", seed)
        assert done.returncode == 0, done.stdout
        made.append((models[2] / "model.safetensors").read_bytes())
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (
            [],
            "--layers copies from teacher, cnn_dailymail: give the same models with --other-teachers and --pretrained",
        ),
        (["--other-teachers=cnn_dailymail={cnn}", "--pretrained={cnn}"], "--layers copies from teacher, cnn_dailymail"),
        (["--other-teachers=cnn_dailymail={xsum}"], "xsum: belongs to another task than this run"),
        (
            ["--other-teachers=cnn_dailymail={other}"],
            "the model of 'cnn_dailymail' has another vocabulary than the tea",
        ),
    ],
)
def test_the_script_refuses_another_model_than_its_layers_name(models, flags, text, tmp_path):
    teacher, cnn, student = models
    other = saved(tmp_path / "other", "cnn_dailymail", 2, letters="fedcba")
    given = [flag.format(cnn=cnn, xsum=teacher, other=other) for flag in flags]
    done = make(models, {"layers": 1, "from": "cnn_dailymail"}, *given)
    assert done.returncode != 0 and text in " ".join(done.stdout.split()), done.stdout
    assert not student.exists() and "Traceback" not in done.stdout
