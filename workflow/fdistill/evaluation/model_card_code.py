"""The code in a model card: how the model is used by transformers, and by CTranslate2."""

import json
from typing import Any

from fdistill.models.families import Family
from fdistill.sampling.ctranslate2_export import FOLDER, Conversion

_TRANSFORMERS = """\
from transformers import {auto_class}, AutoTokenizer

folder = "."  # this folder
tokenizer, model = AutoTokenizer.from_pretrained(folder), {auto_class}.from_pretrained(folder)
{tokens}
inputs = tokenizer.pad({{"input_ids": [tokens]}}, return_tensors="pt")
output = model.generate(**inputs{prompt})[0]{continuation}
print(tokenizer.decode(output, skip_special_tokens=True, clean_up_tokenization_spaces=False))
"""

_CTRANSLATE2 = """\
import ctranslate2
from transformers import AutoTokenizer

folder = "."  # this folder
tokenizer = AutoTokenizer.from_pretrained(folder)
model = ctranslate2.{runtime}(f"{{folder}}/{name}")
{tokens}
result = model.{call}([tokenizer.convert_ids_to_tokens(tokens)], {options})[0]
output = tokenizer.convert_tokens_to_ids(result.{result}[0]){continuation}
print(tokenizer.decode(output, skip_special_tokens=True, clean_up_tokenization_spaces=False))
"""


def auto_class(family: Family) -> str:
    """Return the class of transformers that loads a model of the family."""
    return "AutoModelForSeq2SeqLM" if family.is_encoder_decoder else "AutoModelForCausalLM"


def transformers_code(family: Family, text: dict[str, Any], prompt: list[int]) -> str:
    """Return the code that answers one source; `text` is that of `model_card.Facts`.

    `prompt` are the tokens that the decoder is given (see export).
    """
    return _TRANSFORMERS.format(
        auto_class=auto_class(family),
        tokens=_tokens(family, text),
        prompt=f", decoder_input_ids=inputs.input_ids.new_tensor([{prompt}])" if prompt else "",
        continuation="" if family.is_encoder_decoder else '[inputs["input_ids"].shape[1] :]  # without the source',
    )


def ctranslate2_code(family: Family, text: dict[str, Any], prompt: list[int], conversion: Conversion) -> str:
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
        tokens=_tokens(family, text),
        options=", ".join(options),
        continuation=f"[{len(begin)}:]" if begin else "",
        **dict(zip(("runtime", "call", "result"), names, strict=True)),
    )


def _tokens(family: Family, text: dict[str, Any]) -> str:
    """The lines that make the tokens of a source, as `data.prompts` does."""
    source = f'source = {_quoted(text["source_prefix"])} + "..."'
    suffix, closing = text.get("source_suffix"), text.get("closing")
    if text.get("chat_template"):
        return "\n".join([source, *_chat(text)])
    if closing and not family.is_encoder_decoder:
        longest = text["max_source_tokens"] - len(closing)
        return f"{source}\ntokens = tokenizer(source, truncation=True, max_length={longest}).input_ids + {closing}"
    if suffix:
        source += f" + {_quoted(suffix)}"
    return f"{source}\ntokens = tokenizer(source, truncation=True).input_ids"


def _chat(text: dict[str, Any]) -> list[str]:
    """The lines that make the tokens of a source as a chat."""
    separator, suffix, system = (text.get(key) for key in ("turn_separator", "source_suffix", "system_message"))
    turns = ["turns = [source]"]
    if separator is not None:
        turns = [
            f"turns = source.split({_quoted(separator)})  # the last is the user's",
            "turns = turns[:-1] if turns[1:] and not turns[-1].strip() else turns",
        ]
    if suffix:
        turns.append(f"turns[-1] += {_quoted(suffix)}")
    first = "" if system is None else f'{{"role": "system", "content": {_quoted(system)}}}, '
    return [
        *turns,
        'roles = ["user" if (len(turns) - number) % 2 else "assistant" for number in range(len(turns))]',
        f'messages = [{first}*({{"role": role, "content": turn}} for role, turn in zip(roles, turns))]',
        f"# A chat of more than {text['max_source_tokens']} tokens, which training cuts, is not cut here.",
        "tokens = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)",
    ]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
