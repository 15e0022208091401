"""The check of GPU memory: the estimated peak of each stage against the memory of a GPU."""

from collections.abc import Iterator
from typing import Any

import torch

from fdistill.config.metric_checks import NLL
from fdistill.config.other_teacher_checks import text_of
from fdistill.losses.objectives import Objective
from fdistill.losses.sequences import GROUND_TRUTH
from fdistill.models import memory
from fdistill.preflight.architectures import Architecture, OtherTeacher
from fdistill.preflight.plan import Finding, Plan
from fdistill.sampling.batch_sizes import free_on_gpu, rows_that_fit, weight_copies


def check(plan: Plan) -> Iterator[Finding]:
    """Yield one finding per task with the estimates of all stages, and a problem for each stage that does not fit."""
    if plan.study.device == "cpu":
        return
    capacity = _capacity(plan)
    for task, settings, sizes in plan.known():
        needed = {stage: bytes_ / memory.GIB for stage, bytes_ in stages(settings, plan, task, sizes).items()}
        listed = ", ".join(f"{stage} {gib:.1f}" for stage, gib in needed.items())
        has = f"a GPU has {capacity}" if capacity else "what a GPU has is not known here: set gpu_memory"
        yield Finding(f"{task}: GPU memory", f"about, in GiB: {listed} ({has})")
        for stage, gib in needed.items():
            if capacity and gib > capacity:
                yield Finding(
                    f"{task}: GPU memory",
                    f"{stage} needs about {gib:.1f} GiB, a GPU has {capacity} (gpu_memory); {_remedy(stage)}",
                    problem=True,
                )


def _capacity(plan: Plan) -> int | None:
    """Return the GiB of a GPU: the study's `gpu_memory`, or else those of this machine's GPU; None without one."""
    if plan.study.gpu_memory is not None:
        return plan.study.gpu_memory
    return torch.cuda.get_device_properties(0).total_memory // memory.GIB if torch.cuda.is_available() else None


def stages(task: dict[str, Any], plan: Plan, name: str, sizes: Architecture) -> dict[str, int]:
    """Return the estimated bytes per stage; for a stage with several trainings, those of the largest."""
    source, target = task["text"]["max_source_tokens"], task["text"]["max_target_tokens"]
    teacher, students = sizes.teacher, sizes.students.values()
    needed: dict[str, float] = {}

    def add(stage: str, *floats: float) -> None:
        needed[stage] = max(needed.get(stage, 0), *floats)

    if teacher is not None and task["training"]["teacher"]["epochs"]:
        add(
            "finetune_teacher",
            _training(task, plan.study.selection(name, "teacher"), "teacher", teacher, None, {GROUND_TRUTH: False}),
        )
    for method in plan.methods(name).values():
        objective = Objective.of_method(method)
        stage = method["training"]
        selection = plan.study.selection(name, stage)
        used_teacher = teacher if objective.needs_teacher else None
        for of_student in (True, False):  # with a schedule, the steps of either kind
            kinds = {kind: objective.needs_teacher_on(kind) for kind in objective.kinds(of_student)}
            add(stage, *(_training(task, selection, stage, student, used_teacher, kinds) for student in students))

    def offline(
        stage: str, settings: dict[str, Any], weights: int, size: memory.Size, longest: int, source: int = source
    ) -> None:
        beams, weights = settings.get("num_beams") or 1, weights * weight_copies(settings["engine"])
        rows = settings["batch_size"]
        if rows is None:
            rows = rows_that_fit(size, free_on_gpu(plan.study.gpu_memory, weights), beams, longest)(source)
        peaks = memory.decoding(size, rows, beams, source, longest), memory.scoring(size, rows, source, longest)
        add(stage, weights + max(peaks))

    for sampling in (task["teacher_samples"], task["teacher_beam"], task["risk"]) if teacher is not None else ():
        offline("sample_teacher", sampling, teacher.parameters, teacher, target)
    if isinstance(other := plan.other_teachers.get(name), OtherTeacher):
        beam, limits = task["other_teacher_beam"], text_of(task)
        longest = beam["max_new_tokens"] or limits["max_target_tokens"]
        offline("label", beam, other.size.parameters, other.size, longest, limits["max_source_tokens"])
    largest = max(students, key=lambda student: student.parameters)
    answering, beside = (largest, 0) if teacher is None else (teacher, largest.parameters)
    offline("generate", task["decoding"], answering.parameters, answering, task["decoding"]["max_new_tokens"])
    offline("generate", task["risk"], answering.parameters + beside, answering, target)
    return {stage: memory.in_bytes(floats) for stage, floats in needed.items()}


def _training(
    task: dict[str, Any],
    selection: dict[str, Any],
    stage: str,
    model: memory.Size,
    teacher: memory.Size | None,
    kinds: dict[str, bool],
) -> float:
    """Return the floats of an optimiser step or of the evaluation on the development split, whichever are more."""
    settings = task["training"][stage]
    lengths = (task["text"]["max_source_tokens"], task["text"]["max_target_tokens"])
    step = memory.step(model, kinds, settings["batch_size"], *lengths, bf16=settings["precision"] == "bf16")
    if selection["metric"] == NLL:
        evaluation = memory.scoring(model, selection["batch_size"], *lengths)
    else:
        evaluation = memory.decoding(model, selection["batch_size"], selection["num_beams"], *lengths)
    rank = (settings.get("lora") or {}).get("rank")  # of the teacher's training
    return memory.states(model, teacher, settings["optimizer"], settings["freeze"], rank) + max(step, evaluation)


def _remedy(stage: str) -> str:
    """Return what to do when `stage` does not fit."""
    other = {
        "generate": "lower batch_size of decoding and risk",
        "label": "lower batch_size of other_teacher_beam",
        "sample_teacher": "lower batch_size of teacher_samples, teacher_beam and risk",
    }
    name = "teacher" if stage == "finetune_teacher" else stage
    halve = f"halve training.{name}.batch_size and double its accumulation, which trains the same model"
    return other.get(stage, f"{halve}, or lower selection.batch_size")
