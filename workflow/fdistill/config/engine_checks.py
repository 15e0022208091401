"""Checks of sampling and decoding: a search has as many sequences as are asked for, an engine supports its settings."""

from collections.abc import Iterator

from fdistill.config.model_checks import Task, whole_models
from fdistill.losses.sequences import OTHER_TEACHER_BEAM, STORED_SEQUENCES
from fdistill.runtime.validation import Problem
from fdistill.sampling.engine_limits import CTRANSLATE2, TRANSFORMERS, not_computed, refusals
from fdistill.sampling.modes import sampling_mistakes

OF_ALL_SYSTEMS = ("decoding", "risk")  # sections by which students generate too


def check_searches(task: Task) -> Iterator[Problem]:
    """Check that each section's search has as many sequences per input as the section asks for."""
    for name in STORED_SEQUENCES:
        settings = task[name]
        for key, text in sampling_mistakes(settings, settings["per_input"]):
            yield Problem((name, key), text)


def check_engines(task: Task) -> Iterator[Problem]:
    """Check that each section's engine supports the section's settings."""
    teacher = task["model"]["teacher"]
    for name in (*STORED_SEQUENCES, *OF_ALL_SYSTEMS):
        settings = task[name]
        if settings["engine"] != CTRANSLATE2:
            continue
        for key, reason in refusals(settings):
            yield Problem((name, key), reason)
        if name == OTHER_TEACHER_BEAM:
            continue
        used = [family for owner, _, family in whole_models(task) if owner == "teacher" or name in OF_ALL_SYSTEMS]
        for reason in filter(None, map(not_computed, dict.fromkeys(used))):
            yield Problem((name, "engine"), f"{reason} with {CTRANSLATE2}; use engine {TRANSFORMERS}")
        if teacher is not None and teacher["shard"]:
            reason = f"{CTRANSLATE2} cannot run a teacher that is sharded over GPUs (model.teacher.shard)"
            yield Problem((name, "engine"), f"{reason}; use engine {TRANSFORMERS}")
