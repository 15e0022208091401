"""Whether teacher and student have one vocabulary: distributions are compared, and sequences exchanged, token by token.

The tokenizers decide it. The embeddings may have more rows than tokens, each model its own number (Qwen2.5: 151,936 or
152,064 rows for 151,665 tokens): `LanguageModel` leaves them out of every distribution.
"""

from fdistill.models.architectures import wrap
from fdistill.models.checkpoints import Checkpoint
from fdistill.models.outlines import Outline
from fdistill.models.tokenization import decoder_prompt, token_count, tokenizer_identity
from fdistill.runtime.errors import UserError

REMEDY = (
    "take a student with the teacher's vocabulary, or set model.student.own_tokenizer: true, with which methods on "
    "text work (loss nll: seqkd, mle and others on references or pseudo-labels)"
)


def difference(teacher: Checkpoint | Outline, student: Checkpoint | Outline) -> str | None:
    """Return in words why token ids mean something else to a student than to its teacher; None if they mean the same.

    Either the vocabularies differ, or how sources are read: cut and padded for an encoder, or as a text to continue.
    Which tokens have a role (EOS, padding) may differ: see `with_tokenizer_of`.
    """
    of_teacher, of_student = (each.tokenizer.get_vocab() for each in (teacher, student))
    if of_teacher != of_student:
        counts = f"{len(of_teacher):,} and {len(of_student):,} tokens"
        same = f"{len(of_teacher):,} tokens each, but others"
        found = counts if len(of_teacher) != len(of_student) else same
        return f"teacher and student have different vocabularies ({found})"
    if teacher.family.is_encoder_decoder != student.family.is_encoder_decoder:
        return "one of teacher and student has an encoder, the other only a decoder: they read sources otherwise"
    return None


def have_one_tokenizer(teacher: Checkpoint | Outline, student: Checkpoint | Outline) -> bool:
    """Return whether token ids mean the same to both, roles of special tokens included."""
    identities = {tokenizer_identity(each.tokenizer) for each in (teacher, student)}
    return len(identities) == 1 and difference(teacher, student) is None


def check_same_vocabulary(teacher: Checkpoint, student: Checkpoint) -> None:
    """Raise UserError unless the distributions of teacher and student can be compared."""
    if found := difference(teacher, student):
        raise UserError(f"{found}; {REMEDY}")
    if not have_one_tokenizer(teacher, student):
        raise UserError(
            "teacher and student have the same vocabulary, but other special tokens; let rule start_student make the "
            "student, which gives it the teacher's tokenizer"
        )


def with_tokenizer_of(teacher: Checkpoint | Outline, student: Checkpoint) -> Checkpoint:
    """Return the student with the teacher's tokenizer: its special tokens and ends of a text become the student's.

    Raises UserError when token ids mean something else to the student.
    """
    if found := difference(teacher, student):
        raise UserError(f"{found}; {REMEDY}")
    tokenizer = teacher.tokenizer
    student.config.eos_token_id, student.config.pad_token_id = teacher.config.eos_token_id, tokenizer.pad_token_id
    return Checkpoint(wrap(student.model.module, decoder_prompt(tokenizer), token_count(tokenizer)), tokenizer)
