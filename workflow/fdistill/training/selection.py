"""Which weights are best: scores on the development split during training."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from transformers import PreTrainedTokenizerBase

from fdistill.artifacts.batch_store import IN_MEMORY, BatchStore
from fdistill.data.encoding import Encoded
from fdistill.evaluation import metrics
from fdistill.models.language_model import LanguageModel
from fdistill.runtime.errors import UserError
from fdistill.sampling.offline import generate_texts, token_means

NLL = "nll"
LAST = "last"  # the choice of `keep` that selects nothing


@dataclass(frozen=True)
class Selection:
    """`metric` is "nll" or a name of `fdistill.evaluation.metrics`; the rest says how it is measured (see schema)."""

    metric: str
    keep: str
    num_beams: int
    length_penalty: float
    max_inputs: int | None
    batch_size: int

    @property
    def higher_is_better(self) -> bool:
        """The metric's direction."""
        return self.metric != NLL and metrics.METRICS[self.metric].better == "higher"


def dev_scorer(
    selection: Selection,
    tokenizer: PreTrainedTokenizerBase,
    dev: Encoded,
    references: list[list[str]],
    max_new_tokens: int,
    metric_options: dict[str, Any],
    shards: BatchStore = IN_MEMORY,
) -> Callable[[LanguageModel], dict[str, float]]:
    """A function that scores a model on the development split: NLL per token always, and the selection metric.

    The workers of `shards` share the work. Raises UserError now, not after an epoch, when the metric cannot be computed
    here.
    """
    size = min(len(dev), selection.max_inputs or len(dev))
    sources, targets, references = dev.sources[:size], dev.targets[:size], references[:size]
    if selection.metric != NLL:  # a missing encoder or program shows on any text
        _metric_value(selection.metric, [r[0] for r in references[:2]], references[:2], metric_options)

    def score(model: LanguageModel) -> dict[str, float]:
        per_token, _ = token_means(model, sources, targets, selection.batch_size, "development NLL", shards)
        scores = {NLL: fmean(per_token)}
        if selection.metric != NLL:
            decoding = {
                "max_new_tokens": max_new_tokens,
                "num_beams": selection.num_beams,
                "length_penalty": selection.length_penalty,
            }
            generated = generate_texts(model, tokenizer, sources, decoding, selection.batch_size, 0, shards)
            texts = generated["hypothesis"]
            scores[selection.metric] = _metric_value(selection.metric, texts, references, metric_options)
        return scores

    return score


def _metric_value(name: str, hypotheses: list[str], references: list[list[str]], options: dict[str, Any]) -> float:
    chosen = {name: options[name]} if name in options else {}
    result = metrics.evaluate(hypotheses, references, [name], chosen)["metrics"][name]
    if result["missing"]:
        missing = result["missing"]
        raise UserError(f"selection.metric: {name} cannot be computed: {missing['reason']}; {missing['fix']}")
    return result["value"]
