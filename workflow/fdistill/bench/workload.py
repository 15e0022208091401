"""The benchmark's workload: models in a task's shapes with random weights, and random texts of given lengths."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from fdistill.config.model_checks import is_whole
from fdistill.data.batches import POOL_BATCHES, label_batch, source_batch
from fdistill.data.encoding import Encoded
from fdistill.data.limits import Limits
from fdistill.losses.sequences import STORED_SEQUENCES
from fdistill.models.architectures import model_class, wrap
from fdistill.models.checkpoints import Checkpoint
from fdistill.models.families import FAMILIES, NEVER
from fdistill.models.language_model import LanguageModel, end_tokens
from fdistill.models.student_layers import origins
from fdistill.models.students import init_student
from fdistill.preflight.architectures import configuration
from fdistill.runtime.errors import UserError
from fdistill.training.micro_batches import TrainingData

# A random model predicts nearly uniform distributions. To make them more like those of trained models, a random bias
# over the vocabulary is added to the logits. Teacher and student share one part of it, with standard deviation SHARED,
# which leaves about 3 nats of entropy with 2,000 tokens and about 6 with 50,000; the other part, with standard
# deviation OWN, is each model's own. The output layer, which most models tie to the embeddings, is scaled by SCALE,
# because a random model would otherwise repeat its input.
SHARED, OWN, SCALE = 3.0, 0.5, 0.3
# Texts have the maximum length (`full`), or a random share of it (`as in text`) that is log-normal with this median and
# this standard deviation of the logarithm. Those of the demo's tasks are 0.3 to 0.55, and 0.2 to 0.5.
FULL, AS_IN_TEXT = LENGTHS = ("full", "as in text")
MEDIAN, DEVIATION = 0.4, 0.4
# With `end_by_context`: the standard deviation of EOS's logit over contexts, and from how many texts they are taken.
EOS_DEVIATION = 6.0
EOS_TEXTS = 64


@dataclass(frozen=True)
class Workload:
    """A teacher, a student, and the examples on which the student learns from the teacher."""

    teacher: LanguageModel
    student: LanguageModel
    data: TrainingData
    max_target_tokens: int  # of targets and samples

    @classmethod
    def random(
        cls, model: dict[str, Any], limits: Limits, batch_size: int, lengths: str, seed: int, device: str = "cpu"
    ) -> "Workload":
        """Return a random workload for a task's section `model`, with texts within `limits`.

        `lengths` is one of `LENGTHS`. With texts of full length the models never output EOS; otherwise they output it
        as often as the targets do, on average.
        """
        config, *_ = configuration(model)
        if config.pad_token_id is None:  # as in GPT-2's checkpoints; see `checkpoints.load`
            config.pad_token_id = end_tokens(config)[0]
        torch.manual_seed(seed)
        teacher = Checkpoint(wrap(model_class(FAMILIES[config.model_type])(config)), SimpleNamespace())
        with torch.no_grad():
            teacher.model.module.get_output_embeddings().weight.mul_(SCALE)
        if is_whole(model["student"]):
            raise UserError(
                "model.student: only a student that copies the teacher's layers is measured; give its layers"
            )
        # With random weights it makes no difference which model the layers are copied from.
        student = init_student(teacher, model["student"], dict.fromkeys(origins(model["student"]), teacher))
        data = random_texts(teacher.model, limits, POOL_BATCHES * batch_size, lengths, seed)
        eos_probability = 0 if lengths == FULL else 1 / np.mean([len(target) for target in data.train.targets])
        shared_bias = SHARED * torch.randn(config.vocab_size)
        for language_model in (teacher.model, student.model):
            language_model.module.to(device).eval()
            add_bias(language_model, shared_bias + OWN * torch.randn(config.vocab_size), eos_probability)
        return cls(teacher.model, student.model, data, limits.max_target_tokens)


def end_by_context(model: LanguageModel, data: TrainingData) -> None:
    """Make EOS depend on the context, as in texts: as likely in the contexts of the targets as the targets end.

    After `add_bias`, EOS is about equally likely at every position, so that a beam search ends immediately or never.
    """
    source = source_batch(model, data.train.sources[:EOS_TEXTS])
    head, eos = model.module.get_output_embeddings(), model.eos_token_id
    with torch.no_grad():
        labels = label_batch(data.train.targets[:EOS_TEXTS], model.device)
        logits = model.logits(model.decode(model.encode(source), labels).states).float()
        eos_logits = logits[:, eos] - head.bias[eos]
        logits[:, eos] = NEVER
        weight, scale = head.weight.clone(), EOS_DEVIATION / eos_logits.std()  # a copy: the embeddings must not change
        weight[eos] *= scale
        head.weight = Parameter(weight, requires_grad=False)
        eos_probability = 1 / np.mean([len(target) for target in data.train.targets])
        head.bias[eos] = (logits.logsumexp(-1) - scale * eos_logits).quantile(eos_probability)


def random_texts(model: LanguageModel, limits: Limits, count: int, lengths: str, seed: int) -> TrainingData:
    """Return `count` random sources, with targets and teacher sequences that end with EOS; EOS is nowhere else."""
    rng = np.random.default_rng(seed)
    special = [*model.ends, model.pad_token_id]
    vocabulary = np.setdiff1d(np.arange(model.module.config.vocab_size), special)

    def texts(max_length: int, end: list[int]) -> list[list[int]]:
        shares = np.ones(count)
        if lengths == AS_IN_TEXT:
            shares = MEDIAN * np.exp(DEVIATION * rng.standard_normal(count))
        sizes = (shares * max_length).round().clip(2, max_length).astype(int)
        return [rng.choice(vocabulary, size - len(end)).tolist() + end for size in sizes]

    def targets() -> list[list[list[int]]]:
        return [[target] for target in texts(limits.max_target_tokens, [model.eos_token_id])]

    train = Encoded([str(i) for i in range(count)], texts(limits.max_source_tokens, []), targets())
    return TrainingData(train, {kind: targets() for kind in STORED_SEQUENCES})


def add_bias(model: LanguageModel, bias: Tensor, eos_probability: float) -> None:
    """Give the output layer the bias (V,), in which EOS's entry is set so that EOS has about the given probability.

    The probability is the same at every position; 0 rules EOS out.
    """
    head, eos = model.module.get_output_embeddings(), model.eos_token_id
    bias[eos] = NEVER
    if eos_probability:
        bias[eos] = bias.logsumexp(-1) + np.log(eos_probability / (1 - eos_probability))
    head.bias = Parameter(bias.to(head.weight), requires_grad=False)
