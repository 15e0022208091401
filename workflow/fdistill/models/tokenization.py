"""Tokenizers: training one for a teacher from scratch, encoding targets, and the language codes of mBART."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from fdistill.models.families import Family
from fdistill.runtime.errors import UserError

LANGUAGES = {"source": "src_lang", "target": "tgt_lang"}  # attributes of mBART's tokenizers


def train_tokenizer(texts: Iterable[str], vocab_size: int, family: Family) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer with the family's special tokens. Decoding restores any encoded text."""
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


def encode_sources(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], separator: str | None = None
) -> list[list[int]]:
    """Return the token ids of source texts, with the special tokens that the tokenizer puts around a source.

    A `separator` in a text, such as the end of a dialogue's turn, becomes the special token of this name, if the
    tokenizer has one. Any other special token that is spelt out in a text is text.
    """
    before, after = _around(tokenizer)
    if separator not in tokenizer.all_special_tokens:
        return [[*before, *row, *after] for row in _text_ids(tokenizer, texts)]
    parts = [text.split(separator) for text in texts]
    encoded = iter(_text_ids(tokenizer, [part for row in parts for part in row]))
    between = tokenizer.convert_tokens_to_ids(separator)
    rows = []
    for row in parts:
        ids = next(encoded)
        for _ in row[1:]:
            ids = [*ids, between, *next(encoded)]
        rows.append([*before, *ids, *after])
    return rows


def encode_targets(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of target texts, each ending in EOS, without language codes (see `decoder_prompt`)."""
    before = [] if has_languages(tokenizer) else _around(tokenizer)[0]
    return [[*before, *row, tokenizer.eos_token_id] for row in _text_ids(tokenizer, texts, is_target=True)]


def _text_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], is_target: bool = False) -> list[list[int]]:
    """The token ids of texts, without special tokens: one that is spelt out in a text is split into pieces of text.

    As a token, EOS would end the text there. Sentencepiece vocabularies contain "</s>" as an ordinary piece, which
    cannot be split; such tokens are removed.
    """
    if not texts:
        return []
    given = {"text_target" if is_target else "text": list(texts)}
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id} | {tokenizer.eos_token_id}
    rows = tokenizer(**given, add_special_tokens=False, split_special_tokens=True).input_ids
    return [[token for token in row if token not in special] for row in rows]


def _around(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The special tokens that the tokenizer puts before and after a source."""
    body = tokenizer("a", add_special_tokens=False).input_ids
    whole = tokenizer("a").input_ids
    start = next(n for n in range(len(whole)) if whole[n : n + len(body)] == body)
    return whole[:start], whole[start + len(body) :]


def has_languages(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether the tokenizer marks texts with a language code, as those of mBART and mBART-50 do."""
    return all(hasattr(tokenizer, name) for name in LANGUAGES.values())


def set_languages(tokenizer: PreTrainedTokenizerBase, name: str | Path, source: str | None, target: str | None) -> None:
    """Set the language codes of sources and targets, such as en_XX and ro_RO; None keeps the saved code.

    The tokenizer is saved with them from then on. `name` is the checkpoint, for messages. Raises UserError for an
    unknown code, for a code that is neither given nor saved, and for a code given to a tokenizer without codes.
    """
    if not has_languages(tokenizer):
        if source or target:
            raise UserError(f"model.teacher: {name} has no language codes; remove source_language and target_language")
        return
    vocabulary = tokenizer.get_vocab()
    for key, chosen in (("source", source), ("target", target)):
        code = chosen or tokenizer.init_kwargs.get(LANGUAGES[key])
        if code not in vocabulary:
            raise UserError(
                f"model.teacher.{key}_language: {f'unknown code {code!r}' if code else 'missing'}; {name} marks texts "
                "with the code of their language: give one of its tokenizer's, as en_XX or ro_RO"
            )
        setattr(tokenizer, LANGUAGES[key], code)
        tokenizer.init_kwargs[LANGUAGES[key]] = code


def decoder_prompt(tokenizer: PreTrainedTokenizerBase) -> list[int] | None:
    """Return the decoder's input tokens before a target if texts are marked with their language, else None.

    A target of mBART (Liu et al. 2020) is `text </s> code`, one of mBART-50 (Tang et al. 2020) `code text </s>`. Both
    models' decoder input is the target with its last token moved to the front, so that the text follows `code` in mBART
    and `</s> code` in mBART-50.
    """
    if not has_languages(tokenizer):
        return None
    code, eos = tokenizer.convert_tokens_to_ids(tokenizer.tgt_lang), tokenizer.eos_token_id
    return [code] if tokenizer(text_target="").input_ids[-1] == code else [eos, code]
