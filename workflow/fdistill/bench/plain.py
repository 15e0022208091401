"""The plain recipe: how a step of distillation on teacher and student samples is usually written.

A yardstick, independent of the library but for the names of parts: `generate` for sampling, a forward pass of each
whole model per half, the teacher's encoder run for each of them, dense float32 distributions over every position,
padded or not.
"""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from fdistill.training.step_parts import BACKWARD, LOSS, SAMPLING, STUDENT, TEACHER, step_part

IGNORE = -100


def step(
    method: str,
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    input_ids: Tensor,
    attention_mask: Tensor,
    teacher_samples: Tensor | None,
    max_new_tokens: int,
    max_grad_norm: float,
    autocast: torch.autocast,
) -> int:
    """One optimiser step, with samples of the student's; how many tokens it has learnt from."""
    with autocast:
        with step_part(SAMPLING):
            halves = {"student": sample(student, input_ids, attention_mask, max_new_tokens)}
        if teacher_samples is not None:
            halves["teacher"] = teacher_samples
        value = loss(method, student, teacher, input_ids, attention_mask, halves)
    with step_part(BACKWARD):
        value.backward()
    torch.nn.utils.clip_grad_norm_(student.parameters(), max_grad_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return sum(int((labels != IGNORE).sum()) for labels in halves.values())


def sample(student: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor, max_new_tokens: int) -> Tensor:
    """One sequence y' ~ q per source as labels (B, T), IGNORE after EOS."""
    student.eval()
    tokens = student.generate(
        input_ids=input_ids, attention_mask=attention_mask, do_sample=True, top_k=0, max_new_tokens=max_new_tokens
    )
    student.train()
    prompt = 1 if student.config.is_encoder_decoder else input_ids.shape[1]
    tokens = tokens[:, prompt:]
    is_eos = (tokens == student.config.eos_token_id).long()
    return tokens.masked_fill(is_eos.cumsum(-1) - is_eos > 0, IGNORE)


def logits(model: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
    """Of every label, (B, T, V), in one pass of the whole model."""
    pad = model.config.pad_token_id
    if model.config.is_encoder_decoder:
        start = labels.new_full((len(labels), 1), model.config.decoder_start_token_id)
        read = torch.cat([start, labels[:, :-1]], 1).masked_fill(torch.cat([start, labels[:, :-1]], 1) == IGNORE, pad)
        return model(input_ids=input_ids, attention_mask=attention_mask, decoder_input_ids=read).logits
    tokens = torch.cat([input_ids, labels.masked_fill(labels == IGNORE, pad)], 1)
    mask = torch.cat([attention_mask, (labels != IGNORE).long()], 1)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    output = model(input_ids=tokens, attention_mask=mask, position_ids=positions).logits
    return output[:, input_ids.shape[1] - 1 : -1]


def loss(
    method: str,
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    halves: dict[str, Tensor],
) -> Tensor:
    """½ D on the teacher's samples + ½ D on the student's, or D on the student's alone, as `halves` has them."""
    total = torch.zeros((), device=input_ids.device)
    for whose, labels in halves.items():
        with step_part(STUDENT):
            student_logits = logits(student, input_ids, attention_mask, labels)
        with torch.no_grad(), step_part(TEACHER):
            teacher_logits = logits(teacher, input_ids, attention_mask, labels)
        with step_part(LOSS):
            total = total + half(method, whose, student_logits, teacher_logits, labels) / len(halves)
    return total


def half(method: str, whose: str, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
    """The mean over valid positions of what belongs to the teacher's samples, or to the student's."""
    log_q = student_logits.float().log_softmax(-1)
    with torch.no_grad():
        log_p = teacher_logits.float().log_softmax(-1)
    valid = labels != IGNORE
    return (divergence(method, whose, log_p, log_q) * valid).sum() / valid.sum()


def divergence(method: str, whose: str, log_p: Tensor, log_q: Tensor) -> Tensor:
    """Per position: a half of JS, TVD, or all of JS (`on_policy_js`, on the student's samples alone)."""
    p, q = log_p.exp(), log_q.exp()
    if method == "tvd":
        return 0.5 * (p - q).abs().sum(-1)
    log_m = ((p + q) / 2).clamp(min=1e-30).log()
    if method == "on_policy_js":
        return 0.5 * (p * (log_p - log_m)).sum(-1) + 0.5 * (q * (log_q - log_m)).sum(-1)
    return (p * (log_p - log_m)).sum(-1) if whose == "teacher" else (q * (log_q - log_m)).sum(-1)
