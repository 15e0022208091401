"""The plain recipe: a step of distillation on teacher and student samples, as it is usually written.

It is the baseline of the benchmark, and independent of the library except for the names of the parts of a step: it
samples with `generate`, runs each model as a whole once per term of the objective, the teacher's encoder included, and
computes dense float32 distributions at every position, padding included.
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
    """Take one optimiser step with fresh samples of the student; return the number of target tokens.

    `input_ids` and `attention_mask` (B, S) are the sources. `teacher_samples` are labels (B, T), or None for a method
    that learns from the student's samples only.
    """
    with autocast:
        with step_part(SAMPLING):
            samples = {"student": sample(student, input_ids, attention_mask, max_new_tokens)}
        if teacher_samples is not None:
            samples["teacher"] = teacher_samples
        value = loss(method, student, teacher, input_ids, attention_mask, samples)
    with step_part(BACKWARD):
        value.backward()
    torch.nn.utils.clip_grad_norm_(student.parameters(), max_grad_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return sum(int((labels != IGNORE).sum()) for labels in samples.values())


def sample(student: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor, max_new_tokens: int) -> Tensor:
    """Sample one sequence y' ~ q per source (B, S); return labels (B, T), IGNORE after EOS."""
    student.eval()
    tokens = student.generate(
        input_ids=input_ids, attention_mask=attention_mask, do_sample=True, top_k=0, max_new_tokens=max_new_tokens
    )
    student.train()
    prompt = 1 if student.config.is_encoder_decoder else input_ids.shape[1]
    tokens = tokens[:, prompt:]
    is_end = torch.isin(tokens, tokens.new_tensor(student.config.eos_token_id)).long()  # of one token or of several
    return tokens.masked_fill(is_end.cumsum(-1) - is_end > 0, IGNORE)


def logits(model: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
    """Return the logits (B, T, V) at every label (B, T), by one forward pass of the whole model."""
    pad = model.config.pad_token_id
    if model.config.is_encoder_decoder:
        start = labels.new_full((len(labels), 1), model.config.decoder_start_token_id)
        shifted = torch.cat([start, labels[:, :-1]], 1)
        shifted = shifted.masked_fill(shifted == IGNORE, pad)
        return model(input_ids=input_ids, attention_mask=attention_mask, decoder_input_ids=shifted).logits
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
    samples: dict[str, Tensor],
) -> Tensor:
    """Return the mean over `samples` of each one's `term`: a scalar.

    `samples` contains labels (B, T) by sampler: `student`, and `teacher` if the method learns from its samples too.
    """
    total = torch.zeros((), device=input_ids.device)
    for sampler, labels in samples.items():
        with step_part(STUDENT):
            student_logits = logits(student, input_ids, attention_mask, labels)
        with torch.no_grad(), step_part(TEACHER):
            teacher_logits = logits(teacher, input_ids, attention_mask, labels)
        with step_part(LOSS):
            total = total + term(method, sampler, student_logits, teacher_logits, labels) / len(samples)
    return total


def term(method: str, sampler: str, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over valid positions of the divergence's part on samples of `sampler`: a scalar.

    Logits have shape (..., V) and labels (...); positions with label IGNORE are not valid.
    """
    log_q = student_logits.float().log_softmax(-1)
    with torch.no_grad():
        log_p = teacher_logits.float().log_softmax(-1)
    valid = labels != IGNORE
    return (divergence(method, sampler, log_p, log_q) * valid).sum() / valid.sum()


def divergence(method: str, sampler: str, log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the divergence at each position, from log-probabilities (..., V) of teacher and student.

    For `tvd` it is TVD; for `js`, the term of JS that belongs to samples of `sampler`; for `on_policy_js`, both terms.
    """
    p, q = log_p.exp(), log_q.exp()
    if method == "tvd":
        return 0.5 * (p - q).abs().sum(-1)
    log_m = ((p + q) / 2).clamp(min=1e-30).log()
    if method == "on_policy_js":
        return 0.5 * (p * (log_p - log_m)).sum(-1) + 0.5 * (q * (log_q - log_m)).sum(-1)
    return (p * (log_p - log_m)).sum(-1) if sampler == "teacher" else (q * (log_q - log_m)).sum(-1)
