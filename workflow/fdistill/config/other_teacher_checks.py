"""Checks of a task's other teacher: where its labels come from, and its own limits.

See `fdistill.config.crosschecks`, which runs them.
"""

from collections.abc import Iterator
from typing import Any

from fdistill.config.files import merge
from fdistill.config.model_checks import SCRATCH, Task, check_location
from fdistill.config.schema import fill_defaults, section
from fdistill.data.labels import label_file
from fdistill.losses.sequences import OTHER_TEACHER_BEAM
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import Problem, problems
from fdistill.sampling.modes import limiting_length

OTHER_TEACHER, INIT, LABELS, TEXT = "other_teacher", "init", "labels", "text"


def text_of(task: Task) -> dict[str, Any]:
    """Return section `text` with the other teacher's changes."""
    return merge(task["text"], task[OTHER_TEACHER][TEXT])


def check_other_teacher(task: Task) -> Iterator[Problem]:
    """Check that the other teacher is a checkpoint or a file of labels, with the keys that this one uses."""
    other = task[OTHER_TEACHER]
    if other is None:
        return
    if (other[INIT] is None) == (other[LABELS] is None):
        has = "neither" if other[INIT] is None else "both"
        text = f"has {has} of init and labels; set init, a fine-tuned checkpoint, or labels, a file of its outputs"
        yield Problem((OTHER_TEACHER,), text)
        return
    if other[LABELS] is not None:
        try:
            label_file(other[LABELS])
        except UserError as error:
            yield Problem((OTHER_TEACHER, LABELS), str(error))
        unused = fill_defaults({}, section(OTHER_TEACHER)) | {LABELS: other[LABELS]}
        for key in (key for key in unused if other[key] != unused[key]):
            yield Problem((OTHER_TEACHER, key), "not used with labels, which exist already; remove it")
        return
    if other[INIT] == SCRATCH:
        yield Problem((OTHER_TEACHER, INIT), f"{SCRATCH} has learnt nothing; give a fine-tuned checkpoint")
    yield from check_location((OTHER_TEACHER, INIT), other[INIT])
    mistakes = [problem.under(OTHER_TEACHER, TEXT) for problem in problems(text_of(task), section(TEXT))]
    yield from mistakes
    (key, length), longest = limiting_length(task[OTHER_TEACHER_BEAM]), text_of(task)["max_target_tokens"]
    if not mistakes and length is not None and length > longest:
        text = f"{length} is more than max_target_tokens of {OTHER_TEACHER}.{TEXT}, {longest}; lower it or raise that"
        yield Problem((OTHER_TEACHER_BEAM, key), text)
