"""What is measured: models of a task's shapes with random weights, and random texts of stated lengths."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from fdistill.data.batches import POOL_BATCHES, label_batch, source_batch
from fdistill.data.encoding import Encoded, Limits
from fdistill.losses.objectives import TEACHER_SEQUENCES
from fdistill.models.architectures import model_class, wrap
from fdistill.models.checkpoints import Checkpoint
from fdistill.models.families import NEVER, family_of
from fdistill.models.language_model import LanguageModel
from fdistill.models.students import init_student
from fdistill.preflight.architectures import configuration
from fdistill.training.micro_batches import TrainingData

# Random models' distributions are nearly uniform, and so nearly equal. To their logits is added what models and
# contexts share, with the first of these standard deviations, which leaves about 3 nats of entropy of a vocabulary of
# 2,000 and about 6 of one of 50,000; and to each model's something of its own, with the second. Embeddings, in which
# most output layers have their weights, are made smaller by the third: or a random model repeats what it has read.
SHARED, OWN, SMALLER = 3.0, 0.5, 0.3
# Lengths of texts, as shares of the longest, are full or as in text: log-normal with this median and this standard
# deviation of the logarithm. The demo's tasks have 0.3 to 0.55, and 0.2 to 0.5.
FULL, AS_IN_TEXT = LENGTHS = ("full", "as in text")
MEDIAN, DEVIATION = 0.4, 0.4
CERTAINTY = 6.0  # the standard deviation of EOS's logit over contexts, where they decide on a sequence's end,
CONTEXTS = 64  # and of how many texts it is taken


@dataclass(frozen=True)
class Work:
    """Two models, and the examples on which one learns from the other."""

    teacher: LanguageModel
    student: LanguageModel
    data: TrainingData
    longest: int  # of targets and samples

    @classmethod
    def of(
        cls, model: dict[str, Any], limits: Limits, batch_size: int, lengths: str, seed: int, device: str = "cpu"
    ) -> "Work":
        """Of a task's section `model`, with texts within `limits`.

        Where texts have full length, no model ends its sequences before; else after as many tokens as a target has, in
        the mean.
        """
        config, *_ = configuration(model)
        if config.pad_token_id is None:  # GPT-2's checkpoints; see `checkpoints.load`
            config.pad_token_id = config.eos_token_id
        torch.manual_seed(seed)
        teacher = Checkpoint(wrap(model_class(family_of(config.model_type))(config)), SimpleNamespace())
        with torch.no_grad():
            teacher.model.module.get_output_embeddings().weight.mul_(SMALLER)
        student = init_student(teacher, model["student"])
        data = random_texts(teacher.model, limits, POOL_BATCHES * batch_size, lengths, seed)
        chance = 0 if lengths == FULL else 1 / np.mean([len(target) for target in data.train.targets])
        shared = SHARED * torch.randn(config.vocab_size)
        for made in (teacher.model, student.model):
            made.module.to(device).eval()
            add_to_logits(made, shared + OWN * torch.randn(config.vocab_size), chance)
        return cls(teacher.model, student.model, data, limits.max_target_tokens)


def end_by_context(model: LanguageModel, data: TrainingData) -> None:
    """Make the model's sequences end where a context says so: as often as the targets do, were the contexts theirs.

    So do texts. Where a sequence may end at any position (`add_to_logits`), a beam search stops at once or never.
    """
    source = source_batch(model, data.train.sources[:CONTEXTS])
    head, eos = model.module.get_output_embeddings(), model.eos_token_id
    with torch.no_grad():
        labels = label_batch(data.train.targets[:CONTEXTS], model.device)
        logits = model.logits(model.decode(model.encode(source), labels).states).float()
        own = logits[:, eos] - head.bias[eos]
        logits[:, eos] = NEVER
        weight, scale = head.weight.clone(), CERTAINTY / own.std()  # apart from the embeddings, which stay as they are
        weight[eos] *= scale
        head.weight = Parameter(weight, requires_grad=False)
        chance = 1 / np.mean([len(target) for target in data.train.targets])
        head.bias[eos] = (logits.logsumexp(-1) - scale * own).quantile(chance)


def random_texts(model: LanguageModel, limits: Limits, count: int, lengths: str, seed: int) -> TrainingData:
    """Sources, targets and teacher sequences for `model`; its EOS ends all but the first, and is nowhere else."""
    rng = np.random.default_rng(seed)
    special = [model.eos_token_id, model.pad_token_id]
    words = np.setdiff1d(np.arange(model.module.config.vocab_size), special)

    def texts(longest: int, end: list[int]) -> list[list[int]]:
        shares = np.ones(count)
        if lengths == AS_IN_TEXT:
            shares = MEDIAN * np.exp(DEVIATION * rng.standard_normal(count))
        sizes = (shares * longest).round().clip(2, longest).astype(int)
        return [rng.choice(words, size - len(end)).tolist() + end for size in sizes]

    def answers() -> list[list[list[int]]]:
        return [[answer] for answer in texts(limits.max_target_tokens, [model.eos_token_id])]

    train = Encoded([str(i) for i in range(count)], texts(limits.max_source_tokens, []), answers())
    return TrainingData(train, {kind: answers() for kind in TEACHER_SEQUENCES})


def add_to_logits(model: LanguageModel, words: Tensor, end: float) -> None:
    """Give the output layer a bias (V,), by which a sequence ends at any position with about the probability `end`."""
    head, eos = model.module.get_output_embeddings(), model.eos_token_id
    words[eos] = NEVER
    if end:
        words[eos] = words.logsumexp(-1) + np.log(end / (1 - end))
    head.bias = Parameter(words.to(head.weight), requires_grad=False)
