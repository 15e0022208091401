"""TRL's trainer of on-policy distillation: one more opponent, for decoder-only models, where it is installed."""

import copy
import importlib.util
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from fdistill.bench.machine import INSTALL
from fdistill.bench.work import Work
from fdistill.losses.objectives import IGNORE
from fdistill.models.language_model import Source
from fdistill.training.settings import TrainingSettings
from fdistill.training.step_parts import BACKWARD, LOSS, SAMPLING, STUDENT, TEACHER, step_part


def missing(work: Work) -> str | None:
    """Why it cannot be measured here, and what to do about it; None when it can."""
    if work.student.family.is_encoder_decoder:
        return "trains decoder-only models alone"
    if importlib.util.find_spec("trl") is None:
        return f"trl is not installed; {INSTALL}"
    return None


class TrlStep:
    """`DistillationTrainer` at β = ½ and temperature 1, sampling from the full softmax, without checkpointing.

    It learns from the student's samples alone. Its student is a copy of `work.student`.
    """

    def __init__(self, work: Work, settings: TrainingSettings, bf16: bool):
        from datasets import Dataset  # the package takes seconds to import
        from trl import DistillationConfig, DistillationTrainer

        self.student = copy.deepcopy(work.student.module)
        words = [f"<{i}>" for i in range(self.student.config.vocab_size)]  # of a tokenizer that gives the same ids
        tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[0]))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        self.prompts = [{"prompt": " ".join(words[i] for i in source)} for source in work.data.train.sources]
        with tempfile.TemporaryDirectory() as folder:
            self.trainer = DistillationTrainer(
                model=self.student,
                teacher_model=work.teacher.module,
                train_dataset=Dataset.from_list(self.prompts),
                processing_class=PreTrainedTokenizerFast(
                    tokenizer_object=tokenizer,
                    padding_side="left",
                    pad_token=words[work.student.pad_token_id],
                    eos_token=words[work.student.eos_token_id],
                ),
                args=DistillationConfig(
                    output_dir=folder,
                    beta=0.5,
                    temperature=1.0,
                    top_k=0,
                    top_p=1.0,
                    max_completion_length=work.longest,
                    per_device_train_batch_size=settings.batch_size,
                    learning_rate=settings.learning_rate,
                    weight_decay=settings.weight_decay,
                    max_grad_norm=settings.max_grad_norm,
                    optim="adamw_torch_fused",
                    gradient_checkpointing=False,
                    bf16=bf16,
                    use_cpu=work.student.device.type == "cpu",
                    dataloader_pin_memory=False,
                    report_to="none",
                ),
            )
        self.trainer.create_optimizer()
        self.trainer.current_gradient_accumulation_steps = 1
        self._name_parts()

    def step(self, rows: list[int]) -> int:
        """As its `train` does: a training step, which samples first, the gradient's norm, the optimiser."""
        trainer = self.trainer
        trainer.training_step(self.student, [self.prompts[row] for row in rows], None)
        trainer.accelerator.clip_grad_norm_(self.student.parameters(), trainer.args.max_grad_norm)
        trainer.optimizer.step()
        self.student.zero_grad(set_to_none=True)
        return int(trainer._buffered_inputs[0]["num_items_in_batch"])

    def loss(self, source: Source, samples: Tensor) -> float:
        """Of these samples of the student's, without dropout."""
        valid = samples != IGNORE
        inputs = {
            "prompt_ids": source.input_ids,
            "prompt_mask": source.attention_mask,
            "completion_ids": samples.masked_fill(~valid, self.student.config.pad_token_id),
            "completion_mask": valid.int(),
        }
        self.student.eval()
        with torch.no_grad():
            return self.trainer.compute_loss(self.student, inputs).item()

    def _name_parts(self) -> None:
        """Its methods run as the parts that they are."""
        trainer, states = self.trainer, self.trainer._get_last_hidden_state
        trainer._generate_and_score_completions = _as_part(SAMPLING, trainer._generate_and_score_completions)
        trainer._compute_loss = _as_part(LOSS, trainer._compute_loss)
        trainer.accelerator.backward = _as_part(BACKWARD, trainer.accelerator.backward)
        of_student, of_teacher = _as_part(STUDENT, states), _as_part(TEACHER, states)
        trainer._get_last_hidden_state = lambda model, *rest, **options: (
            of_student if model is self.student else of_teacher
        )(model, *rest, **options)


def _as_part(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    def run(*arguments: Any, **options: Any) -> Any:
        with step_part(name):
            return work(*arguments, **options)

    return run
