"""Model cards: what a model is, what it was made from and how to use it, as the README.md of its folder.

A card states what is on record. It has no field for what nobody has measured.
"""

import json
from dataclasses import dataclass
from typing import Any

from fdistill import __version__
from fdistill.artifacts.contributions import CONTRIBUTIONS, ENTRIES
from fdistill.artifacts.shapes import COUNT
from fdistill.data.lines import one_line
from fdistill.data.sources import UNLABELLED
from fdistill.evaluation.model_card_code import ctranslate2_code, transformers_code
from fdistill.evaluation.model_card_origins import (
    NO_LICENCE,
    UNKNOWN,
    archive,
    given,
    is_on_hub,
    layers,
    origin,
)
from fdistill.models.families import FAMILIES
from fdistill.models.location import SCRATCH
from fdistill.runtime.redaction import redact
from fdistill.sampling.ctranslate2_export import FOLDER, Conversion

_CARD = """\
---
library_name: transformers
pipeline_tag: {pipeline}
tags: {tags}
{base_model}---

# {task}: {system}, seed {seed}

{what}

| | |
| --- | --- |
{facts}

## Use

```python
{use}```

`generation_config.json` holds the task's decoding settings, `fdistill.json` the source prefix and the lengths in
tokens; the tokenizer cuts longer sources with `truncation=True`. With these settings the model generates what was
scored. The workflow's `infer.py` reads both, and takes files: `python workflow/scripts/infer.py FOLDER --input FILE`.

### CTranslate2, int8

{ctranslate2}

## Training

{training}

## Results

On the task's test split ({inputs} inputs), this model, with the 95 % interval over inputs:

{results}

## Not known

No intended use, bias or safety was evaluated, and no licence is stated for this model. Those of the data,
of the checkpoint that the teacher came from, and of other labels and models named above may restrict its use: read them
before you publish it. Where a licence is unknown, look for the terms of the publisher.
"""


# What the card reads, as `artifacts.shapes` describes it: manifests of the model and its teacher, the data's, scores,
# and the record of the job that made the model.
MODEL = {
    "terms?": [{"loss": str, "sequences": str, "weight?": float}],
    "objective?": {"reduction": str, "schedule": (dict, None)},
    "versions": {...: str},
    "training?": dict,
    "inputs?": {"unlabelled?": str},
    "stream?": {"include_original": bool, "per_input": (COUNT, None)},
    "layers?": ({...: (int, list, {"layers": (int, list)})}, None),
    f"{CONTRIBUTIONS}?": ENTRIES,
}
TEACHER = {"init": str, "adapter?": str, "files": {"model.safetensors": str}}
DATA = {
    "archives": [{"package": str, "version": str, "licence?": str, "sha256?": str}],
    "splits": {"train": COUNT, f"{UNLABELLED}?": COUNT},
    "sha256": {"train": str},
}
SCORE = {"n_inputs": COUNT, "metrics": {...: {"title": str, "value": (float, None), "signature": (str, None)}}}
RECORD = {"code": {"commit": str, "dirty": (bool, None)}, "hardware": {"cpu": str, "gpus": [str]}, "ended": str}


@dataclass(frozen=True)
class Facts:
    """What is on record of an exported model.

    `manifest` and `teacher` are the manifests of the model and of its teacher, None for one from outside; `data` is
    that of the task's data, `depths` the teacher's layers by stack, `scores` the content of the model's score.json,
    `intervals` [low, high] by metric, and `record` that of the job that made the model, None if there is none. `text`
    has the task's settings of that name and `closing`, the tokens of the suffix; `conversion` is that to CTranslate2.
    """

    task: str
    system: str
    seed: int
    family: str
    manifest: dict[str, Any]
    teacher: dict[str, Any] | None
    data: dict[str, Any]
    depths: dict[str, int]
    scores: dict[str, Any]
    intervals: dict[str, list[float]]
    record: dict[str, Any] | None
    text: dict[str, Any]
    conversion: Conversion


def _stream(facts: Facts) -> dict[str, str]:
    """The rows of what the model learned from besides one sequence of each input of the training split."""
    digest, stream = facts.manifest.get("inputs", {}).get(UNLABELLED), facts.manifest.get("stream", {})
    rows = {}
    if digest is not None:
        rows["Unlabelled inputs"] = f"{facts.data['splits'].get(UNLABELLED, 0):,} examples, SHA-256 `{digest}`"
    if stream.get("include_original"):
        rows["Original pairs"] = "once in every epoch, beside the stored sequences"
    if stream.get("per_input"):
        rows["Stored sequences per input"] = f"the first {stream['per_input']:,}"
    return rows


def model_card(facts: Facts, prompt: list[int]) -> str:
    """Return the card of a model; `prompt` are the tokens that `generate` has to be given, those of mBART."""
    family, manifest = FAMILIES[facts.family], facts.manifest
    is_teacher = "terms" not in manifest
    kind = "teacher: fine-tuned on the references" if is_teacher else f"student, trained by method `{facts.system}`"
    init, teacher = SCRATCH, "not a model here: its outputs are named below"
    if facts.teacher is not None:
        init, weights = facts.teacher["init"], facts.teacher["files"]["model.safetensors"]
        adapter = f" with the LoRA adapter {origin(facts.teacher['adapter'])}" if "adapter" in facts.teacher else ""
        teacher = f"from {origin(init)}{adapter}, weights SHA-256 `{weights}`{'' if init == SCRATCH else NO_LICENCE}"
    splits = facts.data["splits"]
    table = {
        "Task": f"`{facts.task}`",
        "Architecture": facts.family,
        **({} if is_teacher else {"Objective": "; ".join(map(_term, manifest["terms"]))}),
        **_objective(manifest.get("objective")),
        "Teacher": teacher,
        **layers(manifest.get("layers"), facts.depths),
        **given(manifest.get(CONTRIBUTIONS, [])),
        "Data": "; ".join(map(archive, facts.data["archives"])) or UNKNOWN,
        "Training split": f"{splits['train']:,} examples, SHA-256 `{facts.data['sha256']['train']}`",
        **_stream(facts),
        "Made by": f"f-DISTILL workflow {__version__}, {_versions(manifest['versions'])}",
        **_provenance(facts.record),
    }
    tags = ["knowledge-distillation", "f-distill", *([] if is_teacher else [facts.system])]
    return redact(
        _CARD.format(
            pipeline="text2text-generation" if family.is_encoder_decoder else "text-generation",
            tags=json.dumps(tags),
            base_model=f"base_model: {json.dumps(init)}\n" if is_on_hub(init) else "",
            task=facts.task,
            system=facts.system,
            seed=facts.seed,
            what=f"A {facts.family} model ({kind}) of a study with the f-DISTILL workflow (sequence-level knowledge "
            "distillation as f-divergence minimisation, Wen et al., ACL 2023).",
            facts=_table(table),
            use=transformers_code(family, facts.text, prompt),
            ctranslate2=_ctranslate2(facts, prompt),
            training=_training(manifest.get("training")),
            inputs=f"{facts.scores['n_inputs']:,}",
            results=_results(facts.scores["metrics"], facts.intervals),
        )
    )


def _table(rows: dict[str, str]) -> str:
    return "\n".join(f"| {name} | {_cell(value)} |" for name, value in rows.items())


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{package} {version}" for package, version in versions.items() if package != "fdistill")


def _provenance(record: dict[str, Any] | None) -> dict[str, str]:
    """The code and the machine that made the model."""
    if record is None:
        return {"Code": "not on record"}
    code, hardware = record["code"], record["hardware"]
    changed = {True: ", with changes that are not committed", None: "", False: ""}[code["dirty"]]
    gpus = ", ".join(hardware["gpus"]) or "no GPU"
    return {
        "Code": f"commit `{code['commit']}`{changed}",
        "Trained on": f"{hardware['cpu']}, {gpus}; ended {record['ended']}",
    }


def _training(training: dict[str, Any] | None) -> str:
    """The settings of the training."""
    if training is None:
        return "Its settings are not on record."
    settings = {f"`{key}`": json.dumps(value) for key, value in training.items()}
    return "\n".join(["| setting | value |", "| --- | --- |", _table(settings)])


def _ctranslate2(facts: Facts, prompt: list[int]) -> str:
    """How to use the converted model, or why there is none."""
    conversion = facts.conversion
    if conversion.missing is not None:
        return f"n/a: {conversion.missing}."
    code = ctranslate2_code(FAMILIES[facts.family], facts.text, prompt, conversion)
    differs = [f"It decodes otherwise than transformers: {reason}." for reason in conversion.differs]
    notes = " ".join(
        ["The weights are rounded to 8 bits, so that outputs may differ from those scored below.", *differs]
    )
    return f"The folder `{FOLDER}` has the model for CTranslate2. {notes}\n\n```python\n{code}```"


def _term(term: dict[str, Any]) -> str:
    return f"{term.get('weight', 1.0):g} × {term['loss']} on {term['sequences'].replace('_', ' ')}"


def _objective(objective: dict[str, Any] | None) -> dict[str, str]:
    """How the terms are averaged, and which steps use which of them, where that is not the plain mean of all."""
    if objective is None:
        return {}
    schedule = ", ".join(f"{key} {value}" for key, value in (objective["schedule"] or {}).items() if value is not None)
    rows = {"Average over": "" if objective["reduction"] == "tokens" else objective["reduction"], "Schedule": schedule}
    return {name: row for name, row in rows.items() if row}


def _results(metrics: dict[str, dict[str, Any]], intervals: dict[str, list[float]]) -> str:
    rows = [
        f"| {_cell(score['title'])} | {'n/a' if score['value'] is None else format(score['value'], '.2f')} "
        f"| {' to '.join(format(bound, '.2f') for bound in intervals.get(key, [])) or 'n/a'} "
        f"| `{_cell(score['signature'])}` |"
        for key, score in metrics.items()
    ]
    return "\n".join(["| metric | value | interval | signature |", "| --- | --- | --- | --- |", *rows])


def _cell(text: object) -> str:
    return one_line(str(text)).replace("|", "\\|")
