"""The check of the disk: whether there is room for models, checkpoints and downloads."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub.constants import HF_HUB_CACHE

from fdistill.preflight import metrics
from fdistill.preflight.architectures import OtherTeacher
from fdistill.preflight.plan import Finding, Plan

FLOAT = 4  # bytes of a stored weight
# Floats per weight in a checkpoint of a training: the weight, its best value so far, and Adam's two moments. Two
# checkpoints are kept (`fdistill.training.state`); a third is written before the older one is deleted.
STATE, KEPT = 4, 2
CHECKPOINTS = "checkpoints"  # the folder that the rules name
GB = 1e9


def check(plan: Plan) -> Iterator[Finding]:
    """Yield a finding for the study's models, for the checkpoints of the largest training, and for downloads."""
    models = largest = 0
    known = list(plan.known())
    if not known:
        return  # no sizes are known; the check of teachers reports why
    for task, _, sizes in known:
        # Of each size one is the untrained student of init_student.
        students = 1 + len(plan.methods(task)) * len(plan.study.seeds)
        of_each = sum(student.parameters for student in sizes.students.values())
        teacher = 0 if sizes.teacher is None else sizes.teacher.parameters
        models += FLOAT * (teacher + students * of_each)
        largest = max(largest, teacher, *(student.parameters for student in sizes.students.values()))
    yield _room(plan.results, models, "the study's models")
    yield _room(Path(CHECKPOINTS), (KEPT + 1) * STATE * FLOAT * largest, "the checkpoints of one training at a time")
    of_teacher = ((sizes.to_fetch, sizes.pretrained_to_fetch, sizes.adapter_to_fetch) for _, _, sizes in known)
    teachers = {model for models in of_teacher for model in models}
    teachers |= {other.to_fetch for other in plan.other_teachers.values() if isinstance(other, OtherTeacher)}
    if to_fetch := teachers - {None} | set(metrics.downloads(plan)):
        size = sum(model.size for model in to_fetch)
        yield _room(Path(HF_HUB_CACHE), size, "the hub's models (HF_HOME says where they go)")


def _room(folder: Path, needed: int, what: str) -> Finding:
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    text = f"{folder}: {what} take about {needed / GB:.1f} GB, {free / GB:.1f} GB are free"
    if needed <= free:
        return Finding("disk", text)
    return Finding("disk", f"{text}; make room, or move the folder to a larger disk", problem=True)
