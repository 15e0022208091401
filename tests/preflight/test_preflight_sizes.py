"""Preflight's look at every size of the student."""

import pytest
import tiny
from fdistill.models import checkpoints
from fdistill.preflight import disk, gpu, teachers
from plans import from_checkpoint, plan, problems
from small_config import WEB, put

DEEP = ("model.student_sizes", {"e4d2": {"encoder": 4, "decoder": 2}})


def test_every_size_is_named_with_its_parameters(project):
    wide = ("model.teacher.config.d_model", 1024)
    (finding,) = teachers.check(plan(project, wide, DEEP))
    numbers = dict.fromkeys(("student", "student-e4d2"))
    for name in numbers:
        numbers[name] = float(finding.text.split(f"{name} ")[1].split(" M")[0].replace(",", ""))
    assert numbers["student"] < numbers["student-e4d2"] == float(finding.text.split(" M")[0].replace(",", ""))


def test_a_size_that_is_deeper_than_the_checkpoint_is_named(project, tmp_path):
    checkpoints.save(tiny.checkpoint("bart"), tmp_path / "bart")  # with two layers of each kind
    sizes = ("model.student_sizes", {"e3d1": {"encoder": 3, "decoder": 1}})
    (problem,) = problems(teachers.check(plan(project, *from_checkpoint(tmp_path / "bart", sizes))))
    assert "size 'e3d1' in model.student_sizes: model.student: a student of 3 layers cannot be copied from a" in problem


def test_the_largest_size_decides_what_a_gpu_needs_and_all_what_the_disk_needs(project):
    def needed(*changes):
        study_plan = plan(project, ("model.teacher.config.d_model", 1024), *changes, gpu_memory=40)
        ((name, settings, sizes),) = study_plan.known()
        models, _ = disk.check(study_plan)
        room = float(models.text.split("about ")[1].split(" GB")[0])
        return gpu.stages(settings, study_plan, name, sizes), room, sizes

    (before, room, _), (after, more_room, sizes) = needed(), needed(DEEP)
    grown = {stage for stage, size in after.items() if size > before[stage]}
    assert grown == {"predistill", "distill", "generate"} and after["sample_teacher"] == before["sample_teacher"]
    trained = 1 + 3  # untrained, and by mle, kl and pre-distillation, from which kl starts
    assert more_room - room == pytest.approx(trained * 4 * sizes.students["e4d2"].parameters / 1e9, abs=0.1)


def test_layers_of_another_tasks_teacher_must_fit_before_anything_is_trained(project, tmp_path):
    checkpoints.save(tiny.checkpoint("bart"), tmp_path / "bart")
    checkpoints.save(tiny.checkpoint("bart", d_model=8), tmp_path / "narrow")
    checkpoints.save(tiny.checkpoint("bart", activation_function="relu"), tmp_path / "relu")  # of the same shapes
    starts = {"pt": "pretrained", "other": "news"}
    sizes = {name: {"encoder": 1, "decoder": {"layers": 1, "from": origin}} for name, origin in starts.items()}
    for folder in ("bart", "narrow", "relu"):
        news = WEB
        for key, value in from_checkpoint(tmp_path / folder):
            news = put(news, key, value)
        project.write("config/tasks/news.yaml", news)
        changes = from_checkpoint(tmp_path / "bart", ("model.student_sizes", sizes))
        found = problems(teachers.check(plan(project, *changes, tasks=["web", "news"])))
        if folder == "bart":
            assert found == []
        else:
            (problem,) = found
            assert "size 'other' in model.student_sizes: model.student.decoder.from: news has another arch" in problem
