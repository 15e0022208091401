"""TRL's trainer of on-policy distillation, the benchmark's second baseline: for decoder-only models, if installed."""

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
from fdistill.bench.workload import Workload
from fdistill.losses.inputs import IGNORE
from fdistill.models.language_model import Source
from fdistill.training.settings import TrainingSettings
from fdistill.training.step_parts import BACKWARD, LOSS, SAMPLING, STUDENT, TEACHER, step_part


def missing(workload: Workload) -> str | None:
    """Return why TRL cannot be measured here and what to do about it; None if it can."""
    if workload.student.family.is_encoder_decoder:
        return "it trains decoder-only models only"
    if importlib.util.find_spec("trl") is None:
        return f"trl is not installed; {INSTALL}"
    return None


class TrlStep:
    """A step of TRL's `DistillationTrainer`, which learns from the student's samples only.

    β is ½ and the temperature 1, samples are from the full softmax, and gradient checkpointing is off. The student is a
    copy of the workload's.
    """

    def __init__(self, workload: Workload, settings: TrainingSettings, bf16: bool):
        from datasets import Dataset  # imported here, because it takes seconds
        from trl import DistillationConfig, DistillationTrainer

        self.student = copy.deepcopy(workload.student.module)
        # The trainer reads texts: a tokenizer that has a word for each id recovers the workload's ids.
        words = [f"<{i}>" for i in range(self.student.config.vocab_size)]
        tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[0]))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        self.prompts = [{"prompt": " ".join(words[i] for i in source)} for source in workload.data.train.sources]
        with tempfile.TemporaryDirectory() as folder:
            self.trainer = DistillationTrainer(
                model=self.student,
                teacher_model=workload.teacher.module,
                train_dataset=Dataset.from_list(self.prompts),
                processing_class=PreTrainedTokenizerFast(
                    tokenizer_object=tokenizer,
                    padding_side="left",
                    pad_token=words[workload.student.pad_token_id],
                    eos_token=words[workload.student.eos_token_id],
                ),
                args=DistillationConfig(
                    output_dir=folder,
                    beta=0.5,
                    temperature=1.0,
                    top_k=0,
                    top_p=1.0,
                    max_completion_length=workload.max_target_tokens,
                    per_device_train_batch_size=settings.batch_size,
                    learning_rate=settings.learning_rate,
                    weight_decay=settings.weight_decay,
                    max_grad_norm=settings.max_grad_norm,
                    optim="adamw_torch_fused",
                    gradient_checkpointing=False,
                    bf16=bf16,
                    use_cpu=workload.student.device.type == "cpu",
                    dataloader_pin_memory=False,
                    report_to="none",
                ),
            )
        self.trainer.create_optimizer()
        self.trainer.current_gradient_accumulation_steps = 1
        self._name_parts()

    def step(self, rows: list[int]) -> int:
        """Take one optimiser step as TRL's `train` does; return the number of target tokens."""
        trainer = self.trainer
        trainer.training_step(self.student, [self.prompts[row] for row in rows], None)
        trainer.accelerator.clip_grad_norm_(self.student.parameters(), trainer.args.max_grad_norm)
        trainer.optimizer.step()
        self.student.zero_grad(set_to_none=True)
        return int(trainer._buffered_inputs[0]["num_items_in_batch"])

    def loss(self, source: Source, samples: Tensor) -> float:
        """Return TRL's loss on the student's `samples`, labels (B, T), without dropout."""
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
        """Wrap the trainer's methods so that their time counts for the parts of a step."""
        trainer, states = self.trainer, self.trainer._get_last_hidden_state
        trainer._generate_and_score_completions = _as_part(SAMPLING, trainer._generate_and_score_completions)
        trainer._compute_loss = _as_part(LOSS, trainer._compute_loss)
        trainer.accelerator.backward = _as_part(BACKWARD, trainer.accelerator.backward)
        student_states, teacher_states = _as_part(STUDENT, states), _as_part(TEACHER, states)
        trainer._get_last_hidden_state = lambda model, *rest, **options: (
            student_states if model is self.student else teacher_states
        )(model, *rest, **options)


def _as_part(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*arguments: Any, **options: Any) -> Any:
        with step_part(name):
            return function(*arguments, **options)

    return timed
