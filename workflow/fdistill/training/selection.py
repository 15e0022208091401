"""Model selection: scores on the development split during training, by which the best weights are kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from fdistill.artifacts.batch_store import IN_MEMORY, BatchStore
from fdistill.data.encoding import Encoded
from fdistill.evaluation import metrics
from fdistill.evaluation.histories import LOG_PROB_GAP, overlap_name
from fdistill.models.language_model import LanguageModel
from fdistill.runtime.errors import UserError
from fdistill.sampling.offline import generate_texts
from fdistill.sampling.predictions import Predictions, log_prob_gap, nll, predictions, top_overlap

NLL = "nll"
LAST = "last"  # the value of `keep` for the last weights instead of the best


@dataclass(frozen=True)
class Selection:
    """The selection metric, "nll" or a name of `fdistill.evaluation.metrics`, and how it is measured (see schema)."""

    metric: str
    keep: str
    num_beams: int
    length_penalty: float
    max_inputs: int | None
    batch_size: int
    agreement_top_k: int = 0

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher value of the metric is better."""
        return self.metric != NLL and metrics.METRICS[self.metric].better == "higher"

    def goodness(self, entry: dict[str, Any]) -> float:
        """Return the metric of an evaluation, an entry of a training history, so that higher is better."""
        value = entry["dev"][self.metric]
        return value if self.higher_is_better else -value


def kept(history: list[dict[str, Any]], selection: Selection) -> dict[str, Any] | None:
    """Return the entry of a training history whose weights are kept, {"step", "dev"}; None without any training."""
    entries = [entry for entry in history if "dev" in entry and entry["step"]]
    if not entries or selection.keep == LAST:
        return entries[-1] if entries else None
    return max(entries, key=selection.goodness)


def dev_scorer(
    selection: Selection,
    tokenizer: PreTrainedTokenizerBase,
    dev: Encoded,
    references: list[list[str]],
    max_new_tokens: int,
    metric_options: dict[str, Any],
    store: BatchStore = IN_MEMORY,
    teacher: LanguageModel | None = None,
) -> Callable[[LanguageModel], dict[str, float]]:
    """Return a function that scores a model on the development split: NLL per token, and the selection metric.

    NLL is in nats. With a `teacher` the scores include how far the model agrees with it on the references (see
    `predictions.top_overlap` and `log_prob_gap`), unless `selection.agreement_top_k` is 0; the teacher is run here, and
    not used any more by the returned function. The ranks of `store` divide the work. Raises UserError here, before
    training, when the metric cannot be computed on this machine or for these references, and when `agreement_top_k` is
    above the size of the vocabulary.
    """
    size = min(len(dev), selection.max_inputs or len(dev))
    sources, targets, references = dev.sources[:size], dev.targets[:size], references[:size]
    if selection.metric != NLL:
        _metric_value(selection.metric, [several[0] for several in references], references, metric_options)

    top_k = selection.agreement_top_k if teacher is not None else 0
    if top_k and top_k > (tokens := teacher.vocabulary):
        text = f"{top_k} is more than the {tokens} tokens of the vocabulary, which any two models share; lower it"
        raise UserError(f"selection.agreement_top_k: {text}")

    def predicted(model: LanguageModel, what: str, store: BatchStore) -> list[Predictions]:
        return predictions(model, sources, targets, top_k, selection.batch_size, what, store)

    if top_k:  # ranks that share a sharded model run it equally often
        of_teacher = predicted(teacher, "teacher's predictions", IN_MEMORY if teacher.is_sharded else store)

    def score(model: LanguageModel) -> dict[str, float]:
        of_model = predicted(model, "development NLL", store)
        scores = {NLL: nll(of_model)}
        if selection.metric != NLL:
            decoding = {
                "max_new_tokens": max_new_tokens,
                "num_beams": selection.num_beams,
                "length_penalty": selection.length_penalty,
            }
            generated = generate_texts(model, tokenizer, sources, decoding, selection.batch_size, 0, store)
            texts = generated["hypothesis"]
            scores[selection.metric] = _metric_value(selection.metric, texts, references, metric_options)
        if top_k:
            scores[overlap_name(top_k)] = top_overlap(of_teacher, of_model)
            scores[LOG_PROB_GAP] = log_prob_gap(of_teacher, of_model)
        return scores

    return score


def _metric_value(name: str, hypotheses: list[str], references: list[list[str]], options: dict[str, Any]) -> float:
    metric_options = {name: options[name]} if name in options else {}
    result = metrics.evaluate(hypotheses, references, [name], metric_options)["metrics"][name]
    if result["missing"]:
        missing = result["missing"]
        raise UserError(f"selection.metric: {name} cannot be computed: {missing['reason']}; {missing['fix']}")
    return result["value"]
