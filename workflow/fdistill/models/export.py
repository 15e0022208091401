"""Exported models: a transformers folder that is enough by itself to generate as the workflow does.

Beside weights and tokenizer it contains the task's decoding settings (`generation_config.json`, which transformers
reads), what is done to a source before it is tokenised (`fdistill.json`), and a model card (`README.md`).
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from fdistill.artifacts.atomic import atomic
from fdistill.artifacts.files import check_shape, read_json, write_json
from fdistill.artifacts.manifest import check_files, manifest_of, write_manifest
from fdistill.artifacts.shapes import COUNT, AtLeast
from fdistill.models.configurations import read_configuration
from fdistill.models.decoding import effective
from fdistill.models.tokenization import TOKENIZER_CONFIG, decoder_prompt, save_tokenizer, set_sides, token_count
from fdistill.runtime.errors import UserError

TEXT = "fdistill.json"
GENERATION_CONFIG = "generation_config.json"
CARD = "README.md"
SEPARATOR = "turn_separator"
SUFFIX = "source_suffix"
_FORMAT = {"format": 1}  # in fdistill.json; a later version may mean something else by its keys
# What is read of fdistill.json and of generation_config.json, as `artifacts.shapes` describes it.
_TEXT_SHAPE = {
    "source_prefix": str,
    "max_source_tokens": AtLeast(int, 1),
    "max_target_tokens": AtLeast(int, 1),
    "too_long?": str,
    "one_line_targets?": bool,
    f"{SEPARATOR}?": (str, None),
    f"{SUFFIX}?": (str, None),
    "chat_template?": bool,
    "system_message?": (str, None),
}
_GENERATION_SHAPE = {
    "max_new_tokens": AtLeast(int, 1),
    **dict.fromkeys(("min_new_tokens?", "num_beams?", "no_repeat_ngram_size?", "top_k?"), (COUNT, None)),
    **dict.fromkeys(("length_penalty?", "top_p?"), (float, None)),
    "early_stopping?": (bool, "never", None),
    "do_sample?": (bool, None),
}


@dataclass(frozen=True)
class Usage:
    """How a model is used: the task's `text` of fdistill.json, and the content of generation_config.json."""

    text: dict[str, Any]
    generation: dict[str, Any]


def export(
    model: Path,
    path: Path,
    text: dict[str, Any],
    decoding: dict[str, Any],
    card: Callable[[list[int]], str],
    files: Mapping[str, bytes] | None = None,
) -> None:
    """Copy the folder `model` to `path`, with the settings that it was trained and is decoded with, and a model card.

    `text` holds the task's settings of that name, `decoding` GenerationConfig settings. `card` returns the model card,
    given the tokens that the decoder has to be given before an output (see `decoder_prompt`). `files` are further
    files: contents by path in the folder. With `truncation=True`, the tokenizer cuts sources at their maximum length.
    Raises UserError when `model` is damaged or was not written by this workflow.
    """
    manifest = manifest_of(model)
    if not manifest:
        raise UserError(f"{model}: was not written by this workflow; give the folder of a model that it trained")
    check_files(model)
    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    config, family = read_configuration(str(model), local_only=True)
    set_sides(tokenizer, family)
    prompt = decoder_prompt(tokenizer) or []
    forced = {"forced_bos_token_id": prompt[1]} if len(prompt) > 1 else {}  # mBART-50's language code
    # Rows that are no tokens, which `LanguageModel` leaves out. A search by transformers alone still counts the little
    # probability that they have: its option to renormalise would count away that of other banned tokens too.
    if spare := list(range(token_count(tokenizer), config.vocab_size)):
        forced["suppress_tokens"] = spare
    with atomic(path, directory=True) as folder:
        for name in manifest["files"]:
            shutil.copyfile(model / name, folder / name)
        save_tokenizer(tokenizer, folder)
        # A special token that is spelt out in a source is text, unless it separates the turns of a dialogue or a chat.
        is_chat = text.get("chat_template", False) or text.get(SEPARATOR, "") is not None
        split = {} if is_chat else {"split_special_tokens": True}
        # Otherwise transformers 4 makes `token_type_ids` too, which the models' `generate` refuses.
        names = {"model_input_names": ["input_ids", "attention_mask"]}
        _update(folder / TOKENIZER_CONFIG, {"model_max_length": text["max_source_tokens"], **names, **split})
        _update(folder / GENERATION_CONFIG, effective(decoding) | forced)
        write_json(folder / TEXT, _FORMAT | text)
        (folder / CARD).write_text(card(prompt), encoding="utf-8")
        for name, content in (files or {}).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        write_manifest(folder, {key: value for key, value in manifest.items() if key != "files"})


def _update(file: Path, settings: dict[str, Any]) -> None:
    content = json.loads(file.read_text(encoding="utf-8")) | settings
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_usage(folder: Path) -> Usage:
    """Return how an exported model is used.

    Raises UserError for a folder that does not exist, that is not an exported model, or whose files are damaged.
    """
    ours = folder.name in ("model", "export") and manifest_of(folder.parent / "model")
    remedy = "give a folder that rule export wrote"
    if ours:
        remedy = (
            "export the model: snakemake -c1 [--configfile FILE --] "
            f"{folder.parent / 'export'}, with the file of the study if it has one of its own"
        )
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; {remedy}")
    if not (folder / TEXT).is_file():
        raise UserError(f"{folder}: has no {TEXT}, so how its texts are prepared is unknown; {remedy}")
    text = read_json(folder / TEXT, {"format": int})
    if text["format"] != _FORMAT["format"]:
        raise UserError(
            f"{folder / TEXT}: has format {text['format']}, but this version reads {_FORMAT['format']}; use the "
            "version of the workflow that exported the model"
        )
    check_shape(folder / TEXT, text, _TEXT_SHAPE)
    known = {key.removesuffix("?") for key in _TEXT_SHAPE}
    generation = read_json(folder / GENERATION_CONFIG, _GENERATION_SHAPE)
    without = {SUFFIX: ""}  # of a model that was trained before there was one
    return Usage(without | {key: value for key, value in text.items() if key in known}, generation)
