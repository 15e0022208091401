"""BERTScore, by the bert-score library; torch and transformers are imported only when it is computed."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fdistill.evaluation.metrics import encoders
from fdistill.evaluation.metrics.score import MetricMissing, Score
from fdistill.evaluation.resampling import replicate_mean
from fdistill.runtime.errors import UserError

OPTIONS = {
    "model": encoders.MODEL,
    "num_layers": {"type": "integer", "minimum": 0, "description": "The layer whose output is compared."},
    "rescale_with_baseline": {"type": "boolean", "description": "Use bert-score's own baselines."},
    "lang": {"type": "string", "description": "The language of the baselines."},
}


def bertscore(hypotheses: list[str], references: list[list[str]], options: dict) -> Score:
    """Compute the mean over inputs of BERTScore F1, x 100; with several references the best one counts.

    An empty text has score 0, as bert-score defines it. Options:

    - `model`: an encoder, named as in `encoders`;
    - `num_layers`: the layer whose output is compared; required unless bert-score knows the model;
    - `rescale_with_baseline`, `lang`: use bert-score's baselines, which exist for some models.

    Raises MetricMissing without the library or the encoder, and for an encoder that does not know the references'
    words. Source: Zhang et al. 2020.
    """
    example = '{"bertscore": {"model": "bert-base-uncased", "num_layers": 8}}'
    model = encoders.model_option("bertscore", options, example)
    scorer = _scorer(model, options)
    encoders.check_vocabulary("bertscore", model, scorer._tokenizer, references)
    try:
        f1 = scorer.score(hypotheses, references)[2]
    except ValueError as error:
        if "Baseline not Found" not in str(error):
            raise
        raise MetricMissing(
            f"bert-score ships no baseline for '{model}' in '{scorer.lang}'",
            "set bertscore.rescale_with_baseline to false",
        ) from None
    return Score(100 * f1.mean().item(), _signature(model, scorer), replicate_mean(f1.tolist(), scale=100))


def _scorer(model: str, options: dict) -> Any:
    if find_spec("bert_score") is None:
        raise MetricMissing("the package bert-score is not installed", "pip install bert-score")
    from bert_score import BERTScorer
    from bert_score.utils import model2layers
    from transformers import AutoModel, T5EncoderModel
    from transformers.utils import logging

    logging.disable_progress_bar()

    layers = options.get("num_layers", model2layers.get(model))
    if layers is None:
        raise UserError(
            f"metric 'bertscore': option 'num_layers' is missing, and bert-score has none for '{model}'; "
            "give the layer to compare, between 1 and the encoder's number of layers"
        )
    location = _Location(encoders.locate("bertscore", model))
    encoders.look_at(location)
    try:
        # bert-score would use random weights for those that a checkpoint lacks.
        model_class = T5EncoderModel if "t5" in location else AutoModel
        _, report = model_class.from_pretrained(location, output_loading_info=True)
        encoders.check_weights("bertscore", model, report, pooled=False)
        scorer = BERTScorer(
            model_type=location,
            num_layers=layers,
            lang=options.get("lang", "en"),
            rescale_with_baseline=options.get("rescale_with_baseline", False),
        )
    except OSError as error:  # from transformers: the hub cannot be reached, or a directory is damaged
        raise encoders.not_loaded("bertscore", model, error) from None
    except AssertionError as error:
        raise UserError(f"metric 'bertscore': option 'num_layers' is {layers}: {error}") from None
    scorer._model.float()
    _adapt(scorer._tokenizer, scorer._model.config)
    return scorer


def _adapt(tokenizer: Any, config: Any) -> None:
    """Give a tokenizer of transformers 5 two attributes that bert-score 0.3.13 needs."""
    tokenizer.model_max_length = encoders.longest(tokenizer, config)
    # It is called for empty texts only, without ids, and so returns the special tokens alone.
    if not hasattr(tokenizer, "build_inputs_with_special_tokens"):
        tokenizer.build_inputs_with_special_tokens = lambda ids: tokenizer.encode("")


class _Location(str):
    """A hub id or a directory whose `in` looks at the last part only.

    bert-score loads a model as a T5 if 't5' is `in` its name, which may be a path: an encoder below `/data/t5-runs/`
    would be loaded with the wrong architecture.
    """

    def __contains__(self, part: str) -> bool:
        return part in Path(self).name


def _signature(model: str, scorer: Any) -> str:
    """bert-score's hash, with the model's name from the options instead of its path, and the versions."""
    from bert_score.utils import get_hash

    bert_hash = get_hash(model, scorer.num_layers, False, scorer.rescale_with_baseline, False, False)
    return "|".join(["BERTScore-F1", bert_hash, "refs:best", *encoders.versions(model, "bert-score", "torch")])
