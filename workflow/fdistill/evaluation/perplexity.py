"""Perplexity of a model on the references of the test split."""

import math
from typing import Any

from fdistill.artifacts.batch_store import IN_MEMORY, BatchStore
from fdistill.data.batches import BatchSize
from fdistill.data.encoding import Encoded
from fdistill.models.language_model import LanguageModel
from fdistill.runtime.errors import UserError
from fdistill.sampling.offline import sequence_nlls


def perplexity(
    model: LanguageModel, split: Encoded, batch_size: BatchSize, store: BatchStore = IN_MEMORY
) -> dict[str, Any]:
    """Return `nll`, the mean of -log q(y_t | y_<t, x) over all tokens of all references in nats, and its exponential.

    The EOS of a reference is one of its tokens. `references` and `tokens` are their numbers; `store` keeps finished
    batches, so that a run can resume. Raises UserError for a mean that is not finite.
    """
    pairs = [
        (source, reference)
        for source, several in zip(split.sources, split.references, strict=True)
        for reference in several
    ]
    sources, references = map(list, zip(*pairs, strict=True))
    _, nlls = sequence_nlls(model, sources, references, batch_size, "perplexity", store)
    tokens = sum(map(len, references))
    nll = math.fsum(nlls) / tokens
    if not math.isfinite(nll):
        raise UserError(
            "the log-probability of a reference is not finite; the model's weights are damaged, or its training "
            "diverged: train it again with a lower learning_rate"
        )
    return {"references": len(references), "tokens": tokens, "nll": nll, "perplexity": math.exp(nll)}
