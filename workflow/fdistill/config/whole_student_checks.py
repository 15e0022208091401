"""Checks of a student that copies no layers of its teacher, but is a model by itself (`model.student.init`).

The teacher is a model or, from outside, files of outputs. See `fdistill.config.crosschecks`, which runs the checks.
"""

from collections.abc import Iterator

from fdistill.config.model_checks import SCRATCH, Task, family_of, is_whole, outputs_of, shares_tokenizer
from fdistill.models.families import FAMILIES
from fdistill.runtime.validation import Problem, nearest, show

PATH = ("model", "student")
SIZES = ("model", "student_sizes")


def check_student(task: Task) -> Iterator[Problem]:
    """Check that the student of a teacher from outside is whole, and that a whole one has no layers and no sizes."""
    student, is_outside = task["model"]["student"], outputs_of(task) is not None
    if is_outside and not is_whole(student):
        text = f"{show(student)}: a teacher from outside has no layers to copy; set init to a checkpoint or {SCRATCH}"
        yield Problem(PATH, text)
    for stack in (key for key in ("encoder", "decoder") if is_whole(student) and key in student):
        yield Problem((*PATH, stack), "not used with init, which decides the layers; remove it")
    for name, size in task["model"]["student_sizes"].items():
        if is_outside:
            text = "not possible with a teacher from outside: outputs are encoded with the tokenizer of one student"
        elif is_whole(student):
            text = "not possible beside a student with init: sizes are numbers of the teacher's layers"
        elif is_whole(size):
            text = "a size is layers of the teacher, not a model by itself (init)"
        else:
            continue
        yield Problem((*SIZES, name), f"{text}; remove it, and write a task per student")


def check_family(task: Task) -> Iterator[Problem]:
    """Check that a student's own family is known, and that its models read sources as the teacher's do."""
    student = task["model"]["student"]
    if not is_whole(student):
        if isinstance(student, dict) and "family" in student:
            yield Problem(
                (*PATH, "family"), "not used without init: the student copies the teacher's layers; remove it"
            )
        return
    name, of_teacher = student.get("family"), task["model"]["family"]
    if name is None or name == of_teacher:
        return
    if name not in FAMILIES:
        yield Problem((*PATH, "family"), f"unknown model family '{name}'; {nearest(name, FAMILIES)}")
    elif outputs_of(task) is not None:
        text = f"the student is the only model of this task: remove it, and set model.family to '{name}'"
        yield Problem((*PATH, "family"), text)
    elif FAMILIES[name].is_encoder_decoder != family_of(task).is_encoder_decoder and shares_tokenizer(task):
        text = f"one of '{of_teacher}', the teacher, and '{name}' has an encoder, so that they read sources otherwise"
        yield Problem((*PATH, "family"), f"{text}; set {'.'.join(PATH)}.own_tokenizer: true")


def check_tokenizer(task: Task, given: Task) -> Iterator[Problem]:
    """Check the keys about a student's tokenizer; `given` is the task without its defaults."""
    student, own = task["model"]["student"], given.get("model", {}).get("student")
    if not isinstance(own, dict):
        return
    if "own_tokenizer" in own and (not is_whole(student) or outputs_of(task) is not None):
        why = "the student copies the teacher's layers" if outputs_of(task) is None else "it always has one"
        yield Problem((*PATH, "own_tokenizer"), f"not used: {why}; remove it")
    elif not is_whole(student) or not shares_tokenizer(task):
        return
    elif "vocab_size" in own:
        text = "not used: the student has the teacher's tokenizer; remove it, or set own_tokenizer: true"
        yield Problem((*PATH, "vocab_size"), text)
    elif (teacher := task["model"]["teacher"]) is not None and teacher["init"] == SCRATCH != student["init"]:
        text = f"{show(student['init'])} has another vocabulary than the teacher, whose tokenizer is trained with it"
        yield Problem((*PATH, "init"), f"{text}; set own_tokenizer: true, or init to {SCRATCH}")
