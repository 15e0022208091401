"""Checks of a task's models: family, teacher, student and lengths must agree.

See `fdistill.config.crosschecks`, which runs them.
"""

from collections.abc import Iterator
from typing import Any

from fdistill.data.packaged_models import PACKAGED_MODELS, packaged_model
from fdistill.models.families import FAMILIES, Family
from fdistill.models.location import PACKAGE, SCRATCH, local_path
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import KeyPath, Problem, nearest, show

Task = dict[str, Any]

NLL = "nll"  # the one loss that needs no teacher
NOT_SHARDED = "cannot be trained by LoRA, whose changes are merged on one GPU"
OUTPUTS = "outputs"  # the key of a teacher from outside
# Keys of a first model that is a checkpoint, and why one from scratch does not use them.
OF_CHECKPOINTS = {
    "source_language": "whose tokenizer has no language codes",
    "target_language": "whose tokenizer has no language codes",
    "pretrained": "which starts from no checkpoint",
    "adapter": "which starts from no checkpoint",
    "allow_pickle": "which reads no checkpoint",
}


def check_family(task: Task) -> Iterator[Problem]:
    """Check that the family is one of `fdistill.models.families`."""
    name = task["model"]["family"]
    if name not in FAMILIES:
        yield Problem(("model", "family"), f"unknown model family '{name}'; {nearest(name, FAMILIES)}")


def check_locations(task: Task) -> Iterator[Problem]:
    """Check the names of models that a task uses: the one to fine-tune, and those of metrics."""
    teacher = task["model"]["teacher"]
    names = {("model", owner, "init"): start["init"] for owner, start, _ in whole_models(task)}
    for key in ("pretrained", "adapter") if teacher is not None else ():
        if teacher[key] is not None:
            names["model", "teacher", key] = teacher[key]
    for path, name in names.items():
        yield from check_location(path, name)
    for metric, options in task["metric_options"].items():
        if isinstance(options.get("model"), str) and not options["model"].startswith(PACKAGE):
            yield from check_location(("metric_options", metric, "model"), options["model"])


def check_location(path: KeyPath, name: str) -> Iterator[Problem]:
    """Check the name of one model, the value of the key `path`."""
    if "://" in name:
        yield Problem(path, f"{show(name)} is an address; give a folder on this machine, or a hub id")
    elif "{" in name:
        yield Problem(path, f"{show(name)} has a brace, a wildcard to Snakemake; rename the folder")
    elif name.startswith(PACKAGE) and packaged_model(name) is None:
        known = [f"{PACKAGE}{package}" for package in PACKAGED_MODELS]
        yield Problem(path, f"{show(name)} is no package that carries a model; {nearest(name, known)}")
    else:
        try:
            local_path(name)
        except UserError as error:
            yield Problem(path, str(error))


def check_sizes(task: Task) -> Iterator[Problem]:
    """Check that the configuration of a model from scratch has its numbers of layers and of positions."""
    for owner, start, name in whole_models(task):
        if start["init"] != SCRATCH:
            continue
        config = start["config"]
        if "vocab_size" in config:
            path = ("model", owner, "config", "vocab_size")
            is_own = owner in (other for other, *_ in with_tokenizers(task))
            remedy = f"remove it and set model.{owner}.vocab_size" if is_own else "remove it: it is the teacher's"
            yield Problem(path, f"the tokenizer decides it; {remedy}")
        for key in _size_keys(FAMILIES[name]):
            path = ("model", owner, "config", key)
            if key not in config:
                yield Problem(path, f"missing; a {owner} from scratch needs its size: set an integer >= 1")
            elif not is_size(config[key]):
                yield Problem(path, f"{show(config[key])} is not allowed; must be an integer >= 1")


def check_positions(task: Task) -> Iterator[Problem]:
    """Check that texts fit the number of positions of a model from scratch."""
    for owner, start, name in whole_models(task):
        family = FAMILIES[name]
        has_positions = start["init"] == SCRATCH and family.positions_key is not None
        if has_positions and is_size(positions := start["config"][family.positions_key]):
            yield from _beyond(task, owner, family, positions)


def _beyond(task: Task, owner: str, family: Family, positions: int) -> Iterator[Problem]:
    """Yield the lengths of texts that need more positions than the model of an `owner` has."""
    source = task["text"]["max_source_tokens"]
    # In a decoder-only model the target's positions follow the source's.
    before = 0 if family.is_encoder_decoder else source
    limits = (
        (("text", "max_source_tokens"), source, 0),
        (("text", "max_target_tokens"), task["text"]["max_target_tokens"], before),
        (("decoding", "max_new_tokens"), task["decoding"]["max_new_tokens"], before),
    )
    for path, length, before in limits:
        if before + length > positions:
            after = f" after {before} of the source (text.max_source_tokens)" if before else ""
            yield Problem(
                path,
                f"{length} tokens{after} do not fit the {owner}'s {positions} positions; "
                f"lower it or raise model.{owner}.config.{family.positions_key}",
            )


def check_freeze(task: Task) -> Iterator[Problem]:
    """Check that the frozen parts exist, and that some part is left to train."""
    for stage, settings in task["training"].items():
        name = task["model"]["family"] if stage == "teacher" else student_family(task)
        family, frozen = FAMILIES[name], settings["freeze"]
        parts = ["embeddings", *family.stacks]
        path = ("training", stage, "freeze")
        for index, part in enumerate(frozen):
            if part not in parts:
                yield Problem((*path, index), f"'{name}' has no part '{part}'; allowed: {', '.join(parts)}")
        if set(family.stacks) <= set(frozen):
            yield Problem(path, f"{show(frozen)} leaves nothing to train; leave out {' or '.join(family.stacks)}")


def check_training(task: Task) -> Iterator[Problem]:
    """Check that a teacher has settings for its training, unless it is a file of outputs."""
    if task["model"]["teacher"] is not None and outputs_of(task) is None and "teacher" not in task["training"]:
        yield Problem(("training", "teacher"), "missing; set learning_rate and epochs (0 keeps the teacher as it is)")


def check_lora(task: Task) -> Iterator[Problem]:
    """Check that LoRA changes a pretrained teacher, on one GPU."""
    teacher, settings = task["model"]["teacher"], task["training"].get("teacher")
    if teacher is None or outputs_of(task) is not None or settings is None or settings["lora"] is None:
        return
    path = ("training", "teacher", "lora")
    if teacher["init"] == SCRATCH:
        text = f"LoRA leaves most weights as they are, and those of init {SCRATCH} are random"
        yield Problem(path, f"{text}; remove it, or set model.teacher.init to a checkpoint")
    if teacher["shard"]:
        yield Problem(path, f"a sharded teacher {NOT_SHARDED}; remove it, or model.teacher.shard")


def check_checkpoint_only(given: Task) -> Iterator[Problem]:
    """Check that a model from scratch has no keys of one from a checkpoint; the schema has the reverse."""
    model = given.get("model", {})
    starts = {"student": model["student"]} if is_whole(model.get("student")) else {}
    if not (model.get("teacher") or {}).get(OUTPUTS):
        starts["teacher"] = model.get("teacher") or {}
    for owner, start in starts.items():
        for key, reason in OF_CHECKPOINTS.items() if start.get("init", SCRATCH) == SCRATCH else ():
            if start.get(key):
                yield Problem(("model", owner, key), f"not used with init {SCRATCH}, {reason}; remove it")


def family_of(task: Task) -> Family:
    """Return the family of a task's models."""
    return FAMILIES[task["model"]["family"]]


def outputs_of(task: Task) -> dict[str, Any] | None:
    """Return the files of a teacher from outside (`model.teacher.outputs`); None for a teacher that is a model."""
    return (task["model"]["teacher"] or {}).get(OUTPUTS)


def is_whole(student: Any) -> bool:
    """Return whether a student is a model by itself, a checkpoint or `scratch`, and copies no layers of its teacher."""
    return isinstance(student, dict) and "init" in student


def shares_tokenizer(task: Task) -> bool:
    """Return whether a task's students have their teacher's tokenizer: a whole one may have another."""
    student = task["model"]["student"]
    return outputs_of(task) is None and not (is_whole(student) and student.get("own_tokenizer", False))


def student_family(task: Task) -> str:
    """Return the name of the family of a task's student: the task's, or one that only a whole student has."""
    student, family = task["model"]["student"], task["model"]["family"]
    return student.get("family", family) if is_whole(student) else family


def whole_models(task: Task) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield the models of a task that are checkpoints or from scratch: the key in `model`, its settings, its family."""
    teacher, student = task["model"]["teacher"], task["model"]["student"]
    if teacher is not None and outputs_of(task) is None:
        yield "teacher", teacher, task["model"]["family"]
    if is_whole(student):
        yield "student", student, student_family(task)


def with_tokenizers(task: Task) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield those of `whole_models` that bring a tokenizer: all but a student that has its teacher's."""
    return (model for model in whole_models(task) if model[0] == "teacher" or not shares_tokenizer(task))


def _size_keys(family: Family) -> list[str]:
    keys = [stack.size_key for stack in family.stacks.values()]
    return keys if family.positions_key is None else [*keys, family.positions_key]


def is_size(value: Any) -> bool:
    """Return whether a value is a number of layers or positions."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
