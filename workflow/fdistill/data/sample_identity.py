"""The identity of stored teacher sequences: what they were made from, and must be read with."""

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from fdistill.artifacts.files import sha256
from fdistill.artifacts.manifest import model_identity
from fdistill.models.tokenization import tokenizer_identity


def sample_identity(teacher: Path | None, tokenizer: PreTrainedTokenizerBase, split: Path) -> dict[str, str]:
    """Return the hashes of the teacher's weights, the tokenizer and the split, with the keys of `samples.MISMATCH`.

    `samples.read_samples` refuses sequences that were stored with another identity. Without a `teacher`, as of outputs
    from outside, any teacher's are read. Raises UserError when the folder `teacher` has no weights.
    """
    return {
        **({} if teacher is None else {"teacher": model_identity(teacher)}),
        "tokenizer": tokenizer_identity(tokenizer),
        "split": sha256(split),
    }
