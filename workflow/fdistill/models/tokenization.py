"""Tokenizers: training one for a teacher from scratch, encoding and decoding, and the language codes of mBART."""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from fdistill.models.families import Family
from fdistill.runtime.errors import UserError

ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")  # of tokens, as transformers names them
IN_BRACKETS = re.compile(r"<.*>|\[.*\]")  # <extra_id_0> of T5, [MASK] of BERT

TOKENIZER_CONFIG = "tokenizer_config.json"
_NAMES_OF_4 = {"extra_special_tokens": "additional_special_tokens"}  # version 5 reads both names, version 4 its own
_OF_THIS_MACHINE = {"is_local", "local_files_only"}  # how the tokenizer was found when it was loaded

LANGUAGES = {"source": "src_lang", "target": "tgt_lang"}  # attributes of mBART's tokenizers


_LETTER = "a"  # any text, for what stands around it
AT_BLANKS = Regex(r" ?\S+|\s+(?!\S)|\s+")  # as GPT-2's pattern, without its cuts between letters, digits and marks


def train_tokenizer(
    texts: Sequence[str], vocab_size: int, family: Family, symbols: bool = False
) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer with the family's special tokens. Decoding restores any encoded text.

    With `symbols` each word of the texts, such as `AH0`, can become one token, if the vocabulary is large enough.
    """
    special = family.scratch_tokens
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _pre_tokenizer(texts if symbols else ())
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


def _pre_tokenizer(symbols: Iterable[str]) -> pre_tokenizers.PreTokenizer:
    """GPT-2's pre-tokenizer, which cuts words where letters, digits and marks meet; if it cuts a symbol, at blanks."""
    usual = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if all(len(usual.pre_tokenize_str(word)) == 1 for word in {word for text in symbols for word in text.split()}):
        return usual
    at_blanks = pre_tokenizers.Split(AT_BLANKS, "isolated")
    return pre_tokenizers.Sequence([at_blanks, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def set_sides(tokenizer: PreTrainedTokenizerBase, family: Family) -> None:
    """Set the side on which the tokenizer cuts and pads sources: that of the family."""
    tokenizer.truncation_side = tokenizer.padding_side = family.source_side


def continues_source(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether the tokenizer's model is decoder-only, which continues its source (see `set_sides`)."""
    return tokenizer.truncation_side == "left"


def encode_targets(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], blanks: str = "") -> list[list[int]]:
    """Return the token ids of target texts, each ending in EOS, without language codes (see `decoder_prompt`).

    A decoder-only model goes on where its source ends: the token that its tokenizer puts before a text, BOS of Llama
    and Gemma, stands before the source alone. `blanks` are put before every text (see `prompts.answer_blanks`).
    """
    before = [] if continues_source(tokenizer) or has_languages(tokenizer) else around(tokenizer)[0]
    rows = text_ids(tokenizer, [blanks + text for text in texts], is_target=True)
    return [[*before, *row, tokenizer.eos_token_id] for row in rows]


def text_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], is_target: bool = False) -> list[list[int]]:
    """Return the token ids of texts, without special tokens: one that is spelt out in a text is split into pieces.

    As a token, EOS would end the text there. Sentencepiece vocabularies contain "</s>" as an ordinary piece, which
    cannot be split; such tokens are removed.
    """
    if not texts:
        return []
    given = {"text_target" if is_target else "text": list(texts)}
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id} | {tokenizer.eos_token_id}
    rows = tokenizer(**given, add_special_tokens=False, split_special_tokens=True).input_ids
    return [[token for token in row if token not in special] for row in rows]


def around(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Return the special tokens that the tokenizer puts before and after a source."""
    body = tokenizer(_LETTER, add_special_tokens=False).input_ids
    whole = tokenizer(_LETTER).input_ids
    start = next(n for n in range(len(whole)) if whole[n : n + len(body)] == body)
    return whole[:start], whole[start + len(body) :]


def piece_ids(
    tokenizer: PreTrainedTokenizerBase, piece: str, follows: bool = False, precedes: bool = False
) -> list[int]:
    """Return the token ids of a piece of a prompt, which may spell special tokens.

    It is encoded beside a letter if it `follows` or `precedes` a text: some tokenizers mark where a text begins
    (Llama 2's `▁`), which the piece then has not and the text has.
    """
    letter = tokenizer(_LETTER, add_special_tokens=False).input_ids
    tokens = tokenizer(f"{_LETTER * follows}{piece}{_LETTER * precedes}", add_special_tokens=False).input_ids
    start, end = len(letter) * follows, len(tokens) - len(letter) * precedes
    if tokens[:start] == letter * follows and tokens[end:] == letter * precedes:
        return tokens[start:end]
    return tokenizer(piece, add_special_tokens=False).input_ids  # the letter became part of one of its tokens


def blanks_of_text(tokenizer: PreTrainedTokenizerBase, piece: str) -> str:
    """Return the blanks at the end of a piece of a prompt that become a token with the word behind them, if any.

    Byte-level tokenizers write ` green` as one token, other than that of `green`; to Llama 2's they are the same.
    """
    stem = piece.rstrip(" ")
    blanks = piece[len(stem) :]
    given = [_LETTER, blanks + _LETTER, stem, piece + _LETTER]
    letter, text, before, whole = tokenizer(given, add_special_tokens=False).input_ids
    return blanks if text != letter and whole == before + text else ""


# How Pegasus writes a line break (Zhang et al. 2020, its code): between the sentences of a CNN/DailyMail summary.
LINE_BREAK = "<n>"


def decode(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Sequence[int]]) -> list[str]:
    """Return the texts of token ids, without those that are no text (see `markup`).

    A text depends on the tokens alone: spaces are not "cleaned up" (`do n't .` to `don't.`), which some checkpoints'
    settings ask for, in `tokenizer_config.json` or, for WordPiece vocabularies, in `tokenizer.json`. Pegasus'
    token `<n>` is a line break.
    """
    no_text = markup(tokenizer)
    rows = [[token for token in row if token not in no_text] for row in rows]
    decoder = tokenizer.backend_tokenizer.decoder if tokenizer.is_fast else None
    if isinstance(decoder, decoders.WordPiece):
        decoder = decoders.WordPiece(decoder.prefix, cleanup=False)
        # An id beyond the vocabulary, which a model with spare rows may generate, has no token.
        tokens = ([token for token in tokenizer.convert_ids_to_tokens(row) if token is not None] for row in rows)
        return list(map(decoder.decode, tokens))
    texts = tokenizer.batch_decode(rows, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    has_breaks = tokenizer.convert_tokens_to_ids(LINE_BREAK) not in (None, tokenizer.unk_token_id)
    return [text.replace(LINE_BREAK, "\n") for text in texts] if has_breaks else texts


def markup(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Return the ids of tokens that are no text: those with a role, language codes, and special tokens in brackets.

    Any other token is text, even if the checkpoint's settings call it special: a list of them may contain words.
    """
    special = {id_: token.content for id_, token in tokenizer.added_tokens_decoder.items() if token.special}
    special |= zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
    if has_languages(tokenizer):
        return set(special)
    roles = {getattr(tokenizer, f"{role}_token_id") for role in ROLES}
    return {id_ for id_, token in special.items() if id_ in roles or IN_BRACKETS.fullmatch(token.strip())}


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a tokenizer to `folder` so that transformers 4 reads it as transformers 5 does, whose names differ.

    The sides of padding and truncation are written too, which `save_pretrained` leaves out unless the tokenizer was
    made with them.
    """
    tokenizer.save_pretrained(folder)
    path = folder / TOKENIZER_CONFIG
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings = {_NAMES_OF_4.get(key, key): value for key, value in settings.items() if key not in _OF_THIS_MACHINE}
    settings |= {"padding_side": tokenizer.padding_side, "truncation_side": tokenizer.truncation_side}
    settings["clean_up_tokenization_spaces"] = False  # as `decode`: the text that was scored
    if settings.get("tokenizer_class") == "TokenizersBackend":
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # the same class, which transformers 5 renamed
    path.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def check_can_be_saved(name: str | Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise UserError for a tokenizer that cannot be written: the models that need it could not be saved or exported.

    `name` is the checkpoint, for the message.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            tokenizer.save_pretrained(folder)
    except Exception as error:  # tokenizers raise this type itself, for parts that are written in Python
        raise UserError(
            f"{name}: its tokenizer ({type(tokenizer).__name__}) cannot be saved ({error}), nor could a model with it; "
            "give a checkpoint whose tokenizer is a tokenizer.json without parts of your own code"
        ) from None


def tokenizer_identity(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the SHA-256 of the vocabulary and the special tokens: what each token id means."""
    content = {"vocabulary": tokenizer.get_vocab(), "special": tokenizer.special_tokens_map}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def token_count(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the number of token ids, from 0 to the highest one of the vocabulary."""
    return max(tokenizer.get_vocab().values()) + 1


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
            raise UserError(f"{name} has no language codes; remove source_language and target_language")
        return
    vocabulary = tokenizer.get_vocab()
    for key, chosen in (("source", source), ("target", target)):
        code = chosen or tokenizer.init_kwargs.get(LANGUAGES[key])
        if code not in vocabulary:
            raise UserError(
                f"{key}_language: {f'unknown code {code!r}' if code else 'missing'}; {name} marks texts "
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
