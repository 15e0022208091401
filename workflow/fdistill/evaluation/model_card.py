"""Model cards: what a model is, what it was made from and how to use it, as the README.md of its folder.

A card states what is on record. It has no field for what nobody has measured.
"""

import json
import os.path
from pathlib import Path
from typing import Any

from fdistill import __version__
from fdistill.artifacts.shapes import COUNT
from fdistill.data.lines import one_line
from fdistill.models.families import FAMILIES
from fdistill.runtime.redaction import redact

_USE = """\
from transformers import {auto_class}, AutoTokenizer

folder = "."  # this folder
tokenizer, model = AutoTokenizer.from_pretrained(folder), {auto_class}.from_pretrained(folder)
source = {prefix} + "..."
inputs = tokenizer(source, truncation=True, return_tensors="pt")
output = model.generate(**inputs{prompt})[0]{continuation}
print(tokenizer.decode(output, skip_special_tokens=True, clean_up_tokenization_spaces=False))
"""

_CARD = """\
---
library_name: transformers
pipeline_tag: {pipeline}
tags: {tags}
---

# {task}: {system}, seed {seed}

{what}

| | |
| --- | --- |
{facts}

## Use

```python
{use}```

`generation_config.json` holds the task's decoding settings, `fdistill.json` the source prefix and the lengths in
tokens; the tokenizer cuts longer sources with `truncation=True`. The workflow's `infer.py` reads both, and takes files:
`python workflow/scripts/infer.py FOLDER --input FILE`.

## Results

On the task's test split ({inputs} inputs), this model:

{results}

## Not known

No intended use, bias or safety was evaluated. The licences of the data and of the checkpoint that the teacher came from
may restrict the use of this model.
"""


# What the card reads, as `artifacts.shapes` describes it: manifests of the model and its teacher, the data's, scores.
MODEL = {"terms?": [{"loss": str, "sequences": str, "weight?": float}], "versions": {"transformers": str}}
TEACHER = {"init": str, "files": {"model.safetensors": str}}
DATA = {
    "archives": [{"package": str, "version": str, "licence?": str, "sha256?": str}],
    "splits": {"train": COUNT},
    "sha256": {"train": str},
}
SCORE = {"n_inputs": COUNT, "metrics": {...: {"title": str, "value": (float, None), "signature": (str, None)}}}


def model_card(
    model: Path,
    task: str,
    system: str,
    seed: int,
    manifest: dict[str, Any],
    teacher: dict[str, Any],
    data: dict[str, Any],
    scores: dict[str, Any],
    text: dict[str, Any],
    prompt: list[int],
) -> str:
    """Return the card of the model in the folder `model`.

    `manifest` and `teacher` are the manifests of the model and of its teacher, `data` the manifest of the task's data,
    `scores` the content of the model's score.json. `text` has the source prefix, and `prompt` the tokens that
    `generate` has to be given, those of mBART.
    """
    family_name = json.loads((model / "config.json").read_text(encoding="utf-8"))["model_type"]
    family = FAMILIES[family_name]
    is_teacher = "terms" not in manifest
    kind = "teacher: fine-tuned on the references" if is_teacher else f"student, trained by method `{system}`"
    facts = {
        "Task": f"`{task}`",
        "Architecture": family_name,
        **({} if is_teacher else {"Objective": "; ".join(map(_term, manifest["terms"]))}),
        "Teacher": f"from {_origin(teacher['init'])}, weights SHA-256 `{teacher['files']['model.safetensors']}`",
        "Data": "; ".join(map(_archive, data["archives"])),
        "Training split": f"{data['splits']['train']:,} examples, SHA-256 `{data['sha256']['train']}`",
        "Made by": f"f-DISTILL workflow {__version__}, transformers {manifest['versions']['transformers']}",
    }
    auto_class = "AutoModelForSeq2SeqLM" if family.is_encoder_decoder else "AutoModelForCausalLM"
    continuation = "" if family.is_encoder_decoder else '[inputs["input_ids"].shape[1] :]  # without the source'
    tags = ["knowledge-distillation", "f-distill", *([] if is_teacher else [system])]
    return redact(
        _CARD.format(
            pipeline="text2text-generation" if family.is_encoder_decoder else "text-generation",
            tags=json.dumps(tags),
            task=task,
            system=system,
            seed=seed,
            what=f"A {family_name} model ({kind}) of a study with the f-DISTILL workflow (sequence-level knowledge "
            "distillation as f-divergence minimisation, Wen et al., ACL 2023).",
            facts="\n".join(f"| {name} | {_cell(value)} |" for name, value in facts.items()),
            use=_USE.format(
                auto_class=auto_class,
                prefix=json.dumps(text["source_prefix"], ensure_ascii=False),
                prompt=f", decoder_input_ids=inputs.input_ids.new_tensor([{prompt}])" if prompt else "",
                continuation=continuation,
            ),
            inputs=f"{scores['n_inputs']:,}",
            results=_results(scores["metrics"]),
        )
    )


def _term(term: dict[str, Any]) -> str:
    return f"{term.get('weight', 1.0):g} × {term['loss']} on {term['sequences'].replace('_', ' ')}"


def _origin(init: str) -> str:
    if init == "scratch":
        return "random weights"
    is_local = os.path.exists(os.path.expanduser(init))  # noqa: PTH110, PTH111 - Path's raise errors for some names
    return f"`{Path(init).name if is_local else init}`"


def _archive(archive: dict[str, Any]) -> str:
    licence, digest = archive.get("licence", "not stated"), archive.get("sha256")  # a hub data set has none
    return f"{archive['package']} {archive['version']}, licence: {licence}" + (
        f", SHA-256 `{digest}`" if digest else ""
    )


def _results(metrics: dict[str, dict[str, Any]]) -> str:
    rows = [
        f"| {_cell(score['title'])} | {'n/a' if score['value'] is None else format(score['value'], '.2f')} "
        f"| `{_cell(score['signature'])}` |"
        for score in metrics.values()
    ]
    return "\n".join(["| metric | value | signature |", "| --- | --- | --- |", *rows])


def _cell(text: object) -> str:
    return one_line(str(text)).replace("|", "\\|")
