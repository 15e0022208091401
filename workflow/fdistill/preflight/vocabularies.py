"""The check of vocabularies: whether a student that copies no layers has its teacher's."""

from collections.abc import Iterator

from fdistill.config.model_checks import SCRATCH, is_whole, shares_tokenizer
from fdistill.models.outlines import describe
from fdistill.models.vocabularies import REMEDY, difference
from fdistill.preflight.hub import is_here
from fdistill.preflight.plan import Finding, Plan
from fdistill.runtime.errors import UserError


def check(plan: Plan) -> Iterator[Finding]:
    """Yield one finding per task whose student is a checkpoint with the tokenizer of a teacher that is one too."""
    for name, settings, _ in plan.known():
        model = settings["model"]
        student, teacher = model["student"], model["teacher"]
        if not is_whole(student) or not shares_tokenizer(settings):
            continue
        if SCRATCH in (student["init"], teacher["init"]):  # then the student has the teacher's tokenizer as it is
            continue
        where = f"{name}: vocabulary"
        if missing := [start["init"] for start in (teacher, student) if not is_here(start)]:
            text = f"compared when the student is made: {' and '.join(missing)} must be downloaded first"
            yield Finding(where, text)
            continue
        try:
            found = difference(
                *(describe(start["init"], start.get("allow_pickle", False)) for start in (teacher, student))
            )
        except UserError as error:
            found = str(error)
        if found:
            yield Finding(where, f"model.student.init {student['init']}: {found}; {REMEDY}", problem=True)
        else:
            yield Finding(where, f"{student['init']} has the teacher's")
