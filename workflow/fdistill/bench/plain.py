"""The plain recipe: how a step of distillation on teacher and student samples is usually written.

A yardstick, independent of the library: `generate` for sampling, a forward pass of each whole model per half, the
teacher's encoder run for each of them, dense float32 distributions over every position, padded or not.
"""

import torch
from torch import Tensor
from transformers import PreTrainedModel

IGNORE = -100


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


def divergence(method: str, kind: str, log_p: Tensor, log_q: Tensor) -> Tensor:
    """One half of JS or TVD per position, `kind` saying whose samples these are: "teacher" or "student"."""
    p, q = log_p.exp(), log_q.exp()
    if method == "tvd":
        return 0.5 * (p - q).abs().sum(-1)
    log_m = ((p + q) / 2).clamp(min=1e-30).log()
    return (p * (log_p - log_m)).sum(-1) if kind == "teacher" else (q * (log_q - log_m)).sum(-1)


def loss(
    method: str,
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    halves: dict[str, Tensor],
) -> Tensor:
    """½ D on the teacher's samples + ½ D on the student's, each a mean over its valid positions."""
    total = torch.zeros((), device=input_ids.device)
    for kind, labels in halves.items():
        log_q = logits(student, input_ids, attention_mask, labels).float().log_softmax(-1)
        with torch.no_grad():
            log_p = logits(teacher, input_ids, attention_mask, labels).float().log_softmax(-1)
        valid = labels != IGNORE
        total = total + 0.5 * (divergence(method, kind, log_p, log_q) * valid).sum() / valid.sum()
    return total
