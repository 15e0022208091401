"""The code in a model card: how the model is used by transformers, and by CTranslate2."""

import json
from typing import Any

from fdistill.models.families import Family
from fdistill.sampling.ctranslate2_export import FOLDER, Conversion

_TRANSFORMERS = """\
from transformers import {auto_class}, AutoTokenizer

folder = "."  # this folder
tokenizer, model = AutoTokenizer.from_pretrained(folder), {auto_class}.from_pretrained(folder)
source = {source}
inputs = tokenizer.pad({{"input_ids": [{tokens}]}}, return_tensors="pt")
output = model.generate(**inputs{prompt})[0]{continuation}
print(tokenizer.decode(output, skip_special_tokens=True, clean_up_tokenization_spaces=False))
"""

_CTRANSLATE2 = """\
import ctranslate2
from transformers import AutoTokenizer

folder = "."  # this folder
tokenizer = AutoTokenizer.from_pretrained(folder)
model = ctranslate2.{runtime}(f"{{folder}}/{name}")
source = {source}
tokens = tokenizer.convert_ids_to_tokens({tokens})
result = model.{call}([tokens], {options})[0]
output = tokenizer.convert_tokens_to_ids(result.{result}[0]){continuation}
print(tokenizer.decode(output, skip_special_tokens=True, clean_up_tokenization_spaces=False))
"""


def auto_class(family: Family) -> str:
    """Return the class of transformers that loads a model of the family."""
    return "AutoModelForSeq2SeqLM" if family.is_encoder_decoder else "AutoModelForCausalLM"


def transformers_code(family: Family, text: dict[str, Any], prompt: list[int], closing: list[int]) -> str:
    """Return the code that answers one source; `text` has the task's settings of this name.

    `prompt` are the tokens that the decoder is given (see export), `closing` those of `text.source_suffix`.
    """
    return _TRANSFORMERS.format(
        auto_class=auto_class(family),
        source=_source(family, text),
        tokens=_tokens(family, text, closing),
        prompt=f", decoder_input_ids=inputs.input_ids.new_tensor([{prompt}])" if prompt else "",
        continuation="" if family.is_encoder_decoder else '[inputs["input_ids"].shape[1] :]  # without the source',
    )


def ctranslate2_code(
    family: Family, text: dict[str, Any], prompt: list[int], closing: list[int], conversion: Conversion
) -> str:
    """Return the code that answers one source by the converted model; arguments as `transformers_code`."""
    options = [f"{key}={value!r}" for key, value in conversion.options.items()]
    begin = prompt[1:]
    if begin:
        options.append(f"target_prefix=[tokenizer.convert_ids_to_tokens({begin})]")
    if not family.is_encoder_decoder:
        options.append("include_prompt_in_result=False")
    names = ("Translator", "translate_batch", "hypotheses") if family.is_encoder_decoder else (
        "Generator", "generate_batch", "sequences"
    )  # fmt: skip
    return _CTRANSLATE2.format(
        name=FOLDER,
        source=_source(family, text),
        tokens=_tokens(family, text, closing),
        options=", ".join(options),
        continuation=f"[{len(begin)}:]" if begin else "",
        **dict(zip(("runtime", "call", "result"), names, strict=True)),
    )


def _source(family: Family, text: dict[str, Any]) -> str:
    """The source's text as an expression, with the suffix that is not added as tokens (see `_tokens`)."""
    suffix = text.get("source_suffix")
    in_text = suffix and (family.is_encoder_decoder or text.get("chat_template"))
    return f'{_quoted(text["source_prefix"])} + "..."' + (f" + {_quoted(suffix)}" if in_text else "")


def _tokens(family: Family, text: dict[str, Any], closing: list[int]) -> str:
    """The tokens of the source as an expression, as `data.prompts` makes them."""
    if text.get("chat_template"):
        system = text.get("system_message")
        first = [] if system is None else [f'{{"role": "system", "content": {_quoted(system)}}}']
        messages = ", ".join([*first, '{"role": "user", "content": source}'])
        return f"tokenizer.apply_chat_template([{messages}], add_generation_prompt=True, return_dict=False)"
    if closing and not family.is_encoder_decoder:
        longest = text["max_source_tokens"] - len(closing)
        return f"tokenizer(source, truncation=True, max_length={longest}).input_ids + {closing}"
    return "tokenizer(source, truncation=True).input_ids"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
