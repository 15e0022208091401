"""The check of models that packages carry: whether the cache has the packages, undamaged."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fdistill.config.other_teacher_checks import OTHER_TEACHER
from fdistill.data.packaged_models import packaged_model
from fdistill.preflight.data import package_files
from fdistill.preflight.plan import Finding, Plan
from fdistill.runtime.errors import UserError


def check(plan: Plan) -> Iterator[Finding]:
    """Yield one finding per packaged model that a task names."""
    for name in dict.fromkeys(name for _, task in plan.tasks() for name in _names(task)):
        if (model := packaged_model(name)) is None:
            continue
        try:
            yield Finding(name, package_files((model.archive,), Path(plan.study.cache).expanduser()))
        except UserError as error:
            yield Finding(name, str(error), problem=True)


def _names(task: dict[str, Any]) -> Iterator[str]:
    """Yield the names of the checkpoints that a task's models are made from."""
    for section in (task["model"]["teacher"], task["model"]["student"], task[OTHER_TEACHER]):
        if isinstance(section, dict):  # a student such as 12-3 is a text
            yield from (name for name in (section.get("init"), section.get("pretrained")) if name)
