"""The check of prompts: what a decoder-only model reads of an example, and which tokens of it are learnt."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import read_parquet
from fdistill.config.model_checks import SCRATCH, with_tokenizers
from fdistill.data.encoding import encode_split, shown
from fdistill.data.limits import Limits
from fdistill.data.schemas import SPLIT
from fdistill.models.chat_template import end_with_turn
from fdistill.models.families import FAMILIES
from fdistill.models.outlines import Outline, describe
from fdistill.preflight.hub import is_here
from fdistill.preflight.plan import Finding, Plan
from fdistill.runtime.errors import UserError


def check(plan: Plan) -> Iterator[Finding]:
    """Yield one finding per decoder-only model that is a checkpoint with its own tokenizer.

    The example is the first of the training split, or one that stands for it before rule prepare has made the split. A
    tokenizer that is not on this machine is not downloaded.
    """
    for task, settings, _ in plan.known():
        for owner, start, family in with_tokenizers(settings):
            if start["init"] != SCRATCH and not FAMILIES[family].is_encoder_decoder:
                where = f"{task}: {owner}'s prompt"
                try:
                    yield Finding(where, _shown(start, settings["text"], plan.results / task))
                except UserError as error:
                    yield Finding(where, str(error), problem=True)


def _shown(start: dict[str, Any], text: dict[str, Any], results: Path) -> str:
    init, prepared = start["init"], results / "prepare" / "train.parquet"
    if not is_here(start):
        return f"the tokenizer of {init} is not on this machine; the log of the first job shows it"
    is_prepared = prepared.is_file()
    example = read_parquet(prepared, SPLIT)[0] if is_prepared else _stand_in(text)
    first = {key: values[:1] for key, values in example.items()}
    prompt = _prompt(describe(init, start.get("allow_pickle", False)), first, text)
    return prompt if is_prepared else f"{prompt} (an example in words, as the data are not prepared)"


def _prompt(outline: Outline, example: dict[str, list], text: dict[str, Any]) -> str:
    if text["chat_template"]:
        end_with_turn(outline.tokenizer, outline.config)
    encoded = encode_split(example, outline.tokenizer, Limits(**text | {"too_long": "truncate"}), "the example")
    return shown(encoded, outline.tokenizer)


def _stand_in(text: dict[str, Any]) -> dict[str, list]:
    """An example in words; of a dialogue, with three turns."""
    separator = text["turn_separator"]
    source = "the source" if separator is None else "".join(f"turn {turn}{separator}" for turn in (1, 2, 3))
    return {"id": ["1"], "group": ["1"], "source": [source], "references": [["the target"]]}
