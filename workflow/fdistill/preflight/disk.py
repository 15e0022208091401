"""Disk: whether there is room for the models and for what is downloaded."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub.constants import HF_HUB_CACHE

from fdistill.preflight.plan import Finding, Plan

FLOAT = 4  # bytes of a stored weight
# What a checkpoint of training holds for each weight: itself, its best value so far, and Adam's two moments. It is the
# teacher's that is largest, and a third is written before the first of two goes (`training_state.KEPT`).
STATE, KEPT = 4, 2
CHECKPOINTS = "checkpoints"  # where the rules keep them
GB = 1e9


def check(plan: Plan) -> Iterator[Finding]:
    """Every system's model is kept; a hub's checkpoint lies in its cache too."""
    models = downloads = largest = 0
    known = list(plan.known())
    if not known:
        return  # nothing to add up; the check of teachers has said why
    for _, _, sizes in known:
        students = 1 + len(plan.study.methods) * len(plan.study.seeds)  # one as it is copied
        models += FLOAT * (sizes.teacher.parameters + students * sizes.student.parameters)
        largest = max(largest, sizes.teacher.parameters)
        downloads += FLOAT * sizes.teacher.parameters if sizes.to_fetch else 0
    yield _room(plan.results, models, "the study's models")
    yield _room(Path(CHECKPOINTS), (KEPT + 1) * STATE * FLOAT * largest, "the checkpoints of one training at a time")
    if downloads:
        yield _room(Path(HF_HUB_CACHE), downloads, "the hub's checkpoints (HF_HOME says where they go)")


def _room(folder: Path, needed: int, what: str) -> Finding:
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    text = f"{folder}: {what} take about {needed / GB:.1f} GB, {free / GB:.1f} GB are free"
    if needed <= free:
        return Finding("disk", text)
    return Finding("disk", f"{text}; make room, or move the folder to a larger disk", problem=True)
