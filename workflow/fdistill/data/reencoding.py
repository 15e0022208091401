"""The teacher's stored sequences for a student with a tokenizer of its own: decoded to text, and encoded again."""

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from fdistill.artifacts.files import read_identity
from fdistill.data.limits import Limits
from fdistill.data.lines import one_line
from fdistill.data.prompts import answer_blanks
from fdistill.models.checkpoints import Checkpoint
from fdistill.models.outlines import Outline, describe
from fdistill.models.tokenization import decode, encode_targets, tokenizer_identity

log = logging.getLogger(__name__)


def model_of_tokens(sequences: Path, teacher: Path, student: Checkpoint) -> Checkpoint | Outline:
    """Return the model in whose tokens a teacher's stored sequences are: the student, or else the teacher."""
    recorded = read_identity(sequences).get("tokenizer")
    return student if recorded == tokenizer_identity(student.tokenizer) else describe(teacher)


def reencoded(
    sequences: Sequence[Sequence[Sequence[int]]],
    of_teacher: PreTrainedTokenizerBase,
    ends: Collection[int],
    of_student: PreTrainedTokenizerBase,
    limits: Limits,
    name: str,
) -> list[list[list[int]]]:
    """Return a teacher's sequences, [input][sample][token], in the student's tokens; `name` stands for them in the log.

    A sequence that did not end in one of the teacher's `ends` does not end in the student's EOS either, nor does one
    that is longer than `max_target_tokens` in the student's tokens, which is cut there: it would learn to stop in
    mid-sentence. The log says how many are cut, and how many texts the student's tokenizer does not restore exactly.
    """
    rows = [tokens for samples in sequences for tokens in samples]
    texts = decode(of_teacher, rows)
    if limits.one_line_targets:
        texts = list(map(one_line, texts))
    encoded = encode_targets(of_student, texts, answer_blanks(of_student, limits))
    restored = decode(of_student, encoded)
    changed = sum(one_line(text) != one_line(again) for text, again in zip(texts, restored, strict=True))
    finished = [tokens[-1] in ends for tokens in rows]
    own = [tokens if ended else tokens[:-1] or tokens for tokens, ended in zip(encoded, finished, strict=True)]
    cut = sum(len(tokens) > limits.max_target_tokens for tokens in own)
    log.info(
        "%s: %d sequences decoded and encoded with the student's own tokenizer: %d texts are not restored (blanks "
        "aside), %d are cut to %d tokens",
        *(name, len(rows), changed, cut, limits.max_target_tokens),
    )
    remaining = iter(tokens[: limits.max_target_tokens] for tokens in own)
    return [[next(remaining) for _ in samples] for samples in sequences]
