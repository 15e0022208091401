"""Tokenizers: trained from scratch for teachers that are, and the language codes of those that come with mBART."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from fdistill.models.families import Family
from fdistill.runtime.errors import UserError

LANGUAGES = {"source": "src_lang", "target": "tgt_lang"}  # as mBART's tokenizers call them


def train_tokenizer(texts: Iterable[str], vocab_size: int, family: Family) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with the family's special tokens. Any text round-trips."""
    special = family.scratch_tokens
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(dict.fromkeys(special.values())),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if family.closes_text:
        eos = special["eos_token"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {eos}", special_tokens=[(eos, tokenizer.token_to_id(eos))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **special)


def encode_targets(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Target texts as token ids ending in EOS. A language code is none of them: the decoder starts with it."""
    eos = tokenizer.eos_token_id
    # A special token spelt out in a target is text: as a token, EOS would end the target there. Sentencepiece
    # vocabularies hold "</s>" as a piece like others; there it is left out.
    rows = tokenizer(
        text_target=list(texts), split_special_tokens=True, add_special_tokens=not has_languages(tokenizer)
    ).input_ids
    return [[*(token for token in row if token != eos), eos] for row in rows]


def has_languages(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether texts are marked with their language's code, as mBART's and mBART-50's are."""
    return all(hasattr(tokenizer, name) for name in LANGUAGES.values())


def set_languages(tokenizer: PreTrainedTokenizerBase, name: str | Path, source: str | None, target: str | None) -> None:
    """Set the codes of the languages of sources and targets (en_XX, ro_RO); None is what the tokenizer is saved with.

    It is saved with them from then on. Raises UserError naming the checkpoint, `name`, for an unknown code, for one
    that is neither given nor saved, and for a code given to a tokenizer that has none.
    """
    if not has_languages(tokenizer):
        if source or target:
            raise UserError(f"model.teacher: {name} has no language codes; remove source_language and target_language")
        return
    vocabulary = tokenizer.get_vocab()
    for key, given in (("source", source), ("target", target)):
        code = given or tokenizer.init_kwargs.get(LANGUAGES[key])
        if code not in vocabulary:
            raise UserError(
                f"model.teacher.{key}_language: {f'unknown code {code!r}' if code else 'missing'}; {name} marks texts "
                "with the code of their language: give one of its tokenizer's, as en_XX or ro_RO"
            )
        setattr(tokenizer, LANGUAGES[key], code)
        tokenizer.init_kwargs[LANGUAGES[key]] = code


def decoder_prompt(tokenizer: PreTrainedTokenizerBase) -> list[int] | None:
    """What the decoder reads before a target where texts are marked with their language; None elsewhere.

    mBART (Liu et al. 2020) writes a target as `text </s> code`, mBART-50 (Tang et al. 2020) as `code text </s>`, and
    both give the decoder this with its last token moved to the front: the text comes after `code`, or `</s> code`.
    """
    if not has_languages(tokenizer):
        return None
    code, eos = tokenizer.convert_tokens_to_ids(tokenizer.tgt_lang), tokenizer.eos_token_id
    return [code] if tokenizer(text_target="").input_ids[-1] == code else [eos, code]
