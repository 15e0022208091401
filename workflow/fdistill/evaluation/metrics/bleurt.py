"""BLEURT: a BERT that was trained to rate a candidate given a reference."""

from fdistill.evaluation.metrics import encoders
from fdistill.evaluation.metrics.score import MetricMissing, Score, mean_score
from fdistill.runtime.errors import UserError
from fdistill.runtime.progress import Progress

BATCH_SIZE = 32

OPTIONS = {"model": encoders.MODEL}


def bleurt(hypotheses: list[str], references: list[list[str]], options: dict) -> Score:
    """Compute the mean over inputs of BLEURT's rating, x 100; with several references the best rating counts.

    Ratings are mostly between 0 and 1; those of different checkpoints cannot be compared. Texts are cut at the model's
    positions, the longer of a pair first. Option `model`: a checkpoint of a BERT-type BLEURT in transformers' format,
    named as in `encoders`.

    Raises MetricMissing without a model, when it cannot be loaded or when it does not know the references' words;
    UserError when it does not return one number per
    pair. Source: Sellam et al. 2020.
    """
    needs(options)
    model = options["model"]
    pairs = [
        (reference, hypothesis)
        for hypothesis, of_input in zip(hypotheses, references, strict=True)
        for reference in of_input
    ]
    ratings = _ratings(model, list(dict.fromkeys(pairs)), references)
    best = [
        max(ratings[reference, hypothesis] for reference in of_input)
        for hypothesis, of_input in zip(hypotheses, references, strict=True)
    ]
    signature = "|".join(["BLEURT", model, "refs:best", *encoders.versions(model, "torch", "transformers")])
    return mean_score(best, signature)


def needs(options: dict) -> str | None:
    """Return the model if it is a hub id, else None; raises MetricMissing without a model, and as `encoders.needs`."""
    if not options.get("model"):
        raise MetricMissing(
            "BLEURT rates with a trained model, and none is set",
            "give a checkpoint as the option bleurt.model, for example Elron/bleurt-base-128",
        )
    return encoders.needs("bleurt", options)


def _ratings(model: str, pairs: list[tuple[str, str]], references: list[list[str]]) -> dict[tuple[str, str], float]:
    """The model's rating of each (reference, candidate)."""
    import torch

    tokenizer, rater = encoders.load("bleurt", model, "AutoModelForSequenceClassification", pooled=True)
    if rater.config.num_labels != 1:
        raise UserError(
            f"metric 'bleurt': '{model}' returns {rater.config.num_labels} numbers per pair, a BLEURT checkpoint one; "
            "give a BLEURT checkpoint as the option bleurt.model"
        )
    encoders.check_vocabulary("bleurt", model, tokenizer, references)
    limit = encoders.longest(tokenizer, rater.config)
    ratings = {}
    progress = Progress("BLEURT pairs", len(pairs))
    for batch in encoders.batches(pairs, BATCH_SIZE, length=lambda pair: len(pair[0]) + len(pair[1])):
        first, second = map(list, zip(*batch, strict=True))
        inputs = tokenizer(first, second, truncation=True, max_length=limit, padding=True, return_tensors="pt")
        with torch.inference_mode():
            logits = rater(**inputs.to(rater.device)).logits[:, 0]  # (B,)
        ratings |= zip(batch, logits.tolist(), strict=True)
        progress.advance(len(batch))
    progress.close()
    return ratings
