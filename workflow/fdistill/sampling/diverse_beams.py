"""Diverse beam search (Vijayakumar et al. 2016): groups of beams, each kept away from what the earlier ones chose."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fdistill.losses.inputs import IGNORE
from fdistill.models.language_model import LanguageModel, Source

NONE = float("-inf")  # the score of a beam or a finished sequence that does not exist


@torch.no_grad()
def diverse_beam_search(
    model: LanguageModel,
    source: Source,
    *,
    max_new_tokens: int,
    num_beams: int,
    num_beam_groups: int,
    diversity_penalty: float,
    num_return_sequences: int = 1,
    length_penalty: float = 1.0,
    early_stopping: bool = False,
    min_new_tokens: int = 0,
) -> Tensor:
    """Return `num_return_sequences` sequences per source as labels (B·n, T), those of a source side by side.

    At each step the groups choose their beams one after the other: for a group, a token's log-probability is lowered by
    `diversity_penalty` for each beam of an earlier group that has chosen it at this step (Eq. 2, Hamming diversity).
    The penalties stay in a beam's score. Apart from them, each group is a beam search of its own, equal to
    transformers': `num_beams` / `num_beam_groups` beams, `length_penalty`, `early_stopping` and `min_new_tokens` as
    there. A search that has ended chooses no tokens any more. A source's result does not depend on its batch.

    The sequences are the best of each group, then each group's second best, and so on, each sequence once; where the
    groups have fewer than n different ones, these are repeated.
    """
    logits, state = model.start(model.encode(source))
    count, vocabulary = logits.shape
    size = num_beams // num_beam_groups
    shape = (count, size, max_new_tokens)
    groups = [_Group(shape, length_penalty, early_stopping, logits.device) for _ in range(num_beam_groups)]
    first_rows = num_beams * torch.arange(count, device=logits.device).unsqueeze(1)
    beams = torch.arange(count, device=logits.device).repeat_interleave(num_beams)  # all begin as the same one
    model.select_rows(beams, state)
    logits = logits[beams]
    for step in range(max_new_tokens):
        log_probs = logits.float().log_softmax(-1).view(count, num_beam_groups, size, vocabulary)
        if step < min_new_tokens:
            log_probs[..., list(model.ends)] = NONE
        chosen = log_probs.new_zeros(count, vocabulary)  # by how many beams, at this step
        rows = []
        for number, group in enumerate(groups):
            searching = group.searching.clone()
            parents = group.advance(log_probs[:, number] - diversity_penalty * chosen.unsqueeze(1), model.ends)
            rows.append(first_rows + number * size + parents)
            chosen.scatter_add_(1, group.tokens[..., -1], searching.float().unsqueeze(1).expand(count, size))
        if step == max_new_tokens - 1 or not any(group.searching.any() for group in groups):
            break
        model.select_rows(torch.cat(rows, 1).flatten(), state)
        logits = model.step(torch.cat([group.tokens[..., -1] for group in groups], 1).reshape(-1, 1), state)
    by_rank = torch.stack([group.finished for group in groups], 2).flatten(1, 2)  # (B, num_beams, T)
    exists = torch.stack([group.finished_scores > NONE for group in groups], 2).flatten(1)
    chosen_rows = [_different(*row, num_return_sequences) for row in zip(by_rank, exists, strict=True)]
    labels = torch.cat([sequences[rows] for sequences, rows in zip(by_rank, chosen_rows, strict=True)])
    return labels[:, : int((labels != IGNORE).sum(1).max())]


class _Group:
    """One group's beam search in a batch of B inputs: its K beams, and its K best finished sequences, best first."""

    def __init__(self, shape: tuple[int, int, int], length_penalty: float, early_stopping: bool, device: torch.device):
        """`shape` is (B, K, T), T the longest sequence in tokens."""
        self.length_penalty, self.early_stopping = length_penalty, early_stopping
        self.finished = torch.full(shape, IGNORE, device=device)
        self.finished_scores = torch.full(shape[:2], NONE, device=device)  # divided by length ** length_penalty
        self.tokens = self.finished[..., :0]  # of the beams so far
        self.scores = self.finished_scores.clone()  # sums of log-probabilities and penalties
        self.scores[:, 0] = 0
        self.searching = torch.ones(shape[0], dtype=torch.bool, device=device)

    def advance(self, log_probs: Tensor, ends: Sequence[int]) -> Tensor:
        """Take a step with the log-probabilities (B, K, V) of the next tokens; return the new beams' parents (B, K).

        Of the K (1 + E) best continuations, where E tokens end a sequence, those in the first K that end are finished
        sequences, and the best K others are the new beams.
        """
        size, longest = self.finished.shape[1:]
        scores, places = (self.scores.unsqueeze(-1) + log_probs).flatten(1).topk(size * (1 + len(ends)))
        parents, last = places // log_probs.shape[-1], places % log_probs.shape[-1]
        tokens = torch.cat([_pick(self.tokens, parents), last.unsqueeze(-1)], 2)
        is_end = torch.isin(last, last.new_tensor(ends))
        length = tokens.shape[2]
        self._finish(tokens, scores / length**self.length_penalty, is_end | (length == longest))
        self.scores, best = scores.masked_fill(is_end, NONE).topk(size)
        self.tokens = _pick(tokens, best)
        worst, has_all = self.finished_scores[:, -1], self.finished_scores[:, -1] > NONE
        can_improve = self.scores[:, 0] / length**self.length_penalty > worst
        self.searching &= can_improve & ~(has_all & self.early_stopping)
        return parents.gather(1, best)

    def _finish(self, tokens: Tensor, scores: Tensor, ends: Tensor) -> None:
        """Keep the best K of the finished sequences and of those of the first K continuations (B, L, T) that end."""
        count, size, longest = self.finished.shape
        new = self.finished.new_full((count, size, longest), IGNORE)
        new[..., : tokens.shape[2]] = tokens[:, :size]
        counts = ends[:, :size] & self.searching.unsqueeze(1)
        merged = torch.cat([self.finished_scores, scores[:, :size].masked_fill(~counts, NONE)], 1)
        self.finished_scores, best = merged.topk(size)
        self.finished = _pick(torch.cat([self.finished, new], 1), best)


def _pick(sequences: Tensor, places: Tensor) -> Tensor:
    """Return the sequences (B, K, T) at the given places (B, L) of each row: (B, L, T)."""
    return sequences.gather(1, places.unsqueeze(-1).expand(-1, -1, sequences.shape[2]))


def _different(sequences: Tensor, exists: Tensor, count: int) -> list[int]:
    """Return the places of the first `count` different sequences among those (K, T) that exist, repeated if fewer."""
    first = {tuple(tokens): place for place, tokens in reversed([*enumerate(sequences.tolist())]) if exists[place]}
    places = sorted(first.values())
    return (places * count)[:count]
