"""Diverse beam search against a plain search in float64, one input at a time, and against transformers' beam search."""

import math

import pytest
import tiny
import torch
from fdistill.data.batches import source_batch
from fdistill.losses.inputs import IGNORE
from fdistill.sampling.diverse_beams import diverse_beam_search
from fdistill.sampling.sampler import SamplingConfig, sample_batch

LONGEST = 4
SETTINGS = [
    {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.5},
    {"num_beams": 3, "num_beam_groups": 3, "diversity_penalty": 0.4, "early_stopping": True},
    {"num_beams": 6, "num_beam_groups": 3, "diversity_penalty": 3.0, "length_penalty": 0.0, "min_new_tokens": 1},
]


def token_lists(labels):
    return [[token for token in row if token != IGNORE] for row in labels.tolist()]


class Search:
    """The reference of one group's search: sequences as tuples, all continuations in a sorted list."""

    def __init__(self, size, settings):
        self.size, self.penalty = size, settings.get("length_penalty", 1.0)
        self.stops_early, self.shortest = settings.get("early_stopping", False), settings.get("min_new_tokens", 0)
        self.beams, self.finished, self.over = [((), 0.0)], [], False

    def step(self, next_log_probs, eos, lowered):
        """Take a step; return the tokens of the new beams, each a choice that later groups are kept away from."""
        if self.over:
            return []
        continuations = [
            ((*tokens, token), score + log_p - lowered.get(token, 0.0))
            for tokens, score in self.beams
            for token, log_p in enumerate(next_log_probs(tokens))
            if token != eos or len(tokens) >= self.shortest
        ]
        continuations.sort(key=lambda pair: -pair[1])
        length = len(continuations[0][0])
        new = [pair for pair in continuations[: self.size] if pair[0][-1] == eos or length == LONGEST]
        self.finished += [(tokens, score / length**self.penalty) for tokens, score in new]
        self.finished = sorted(self.finished, key=lambda pair: -pair[1])[: self.size]
        self.beams = [pair for pair in continuations if pair[0][-1] != eos][: self.size]
        if len(self.finished) == self.size:
            best = self.beams[0][1] / length**self.penalty
            self.over = self.stops_early or best <= self.finished[-1][1]
        return [tokens[-1] for tokens, _ in self.beams]


def reference(model, source, settings):
    """The different sequences that the groups find, the best of each group first."""
    known = {}

    def next_log_probs(tokens):
        if tokens not in known:
            with torch.no_grad():
                logits = tiny.reference_outputs(model, source, [*tokens, 0]).logits[0].double()
            if not model.family.is_encoder_decoder:
                logits = logits[len(source) - 1 : len(source) + len(tokens)]
            known[tokens] = logits[-1].log_softmax(-1).tolist()
        return known[tokens]

    groups = [Search(settings["num_beams"] // settings["num_beam_groups"], settings)]
    groups += [Search(groups[0].size, settings) for _ in range(settings["num_beam_groups"] - 1)]
    for _ in range(LONGEST):
        lowered = {}
        for group in groups:
            for token in group.step(next_log_probs, model.eos_token_id, lowered):
                lowered[token] = lowered.get(token, 0.0) + settings["diversity_penalty"]
    ranks = [group.finished[rank][0] for rank in range(groups[0].size) for group in groups]
    return [list(tokens) for tokens in dict.fromkeys(ranks)]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: f"{settings['num_beam_groups']} groups")
def test_it_finds_what_a_plain_search_finds(family, settings):
    """Inputs of several lengths in one batch."""
    counts = set()
    for seed in (0, 1, 2):
        checkpoint = tiny.checkpoint(family, seed)
        sources = tiny.random_pairs(checkpoint, 8, seed=seed)[0]
        found = diverse_beam_search(
            checkpoint.model,
            source_batch(checkpoint.model, sources),
            max_new_tokens=LONGEST,
            num_return_sequences=settings["num_beams"],
            **settings,
        )
        rows = token_lists(found)
        for i, source in enumerate(sources):
            own = rows[i * settings["num_beams"] : (i + 1) * settings["num_beams"]]
            expected = reference(checkpoint.model, source, settings)
            counts.add(len(expected))
            assert own == (expected * settings["num_beams"])[: settings["num_beams"]]
    assert max(counts) > 1


@pytest.mark.parametrize("changes", [{}, {"early_stopping": True}, {"length_penalty": 2.0, "min_new_tokens": 2}])
def test_one_group_is_beam_search(family, changes):
    checkpoint = tiny.checkpoint(family, seed=3)
    source = source_batch(checkpoint.model, tiny.random_pairs(checkpoint, 15)[0])
    several = {"num_beams": 3, "num_return_sequences": 3} | changes
    expected = sample_batch(checkpoint.model, source, SamplingConfig(7, "beam", several), [0])
    found = diverse_beam_search(
        checkpoint.model, source, max_new_tokens=7, num_beam_groups=1, diversity_penalty=9.0, **several
    )
    assert torch.equal(found, expected.labels)


def test_a_row_does_not_depend_on_the_rest_of_its_batch(family):
    checkpoint = tiny.checkpoint(family, seed=5)
    sources = tiny.random_pairs(checkpoint, 12)[0]
    settings = SETTINGS[0] | {"max_new_tokens": 6, "num_return_sequences": 3}

    def found(rows):
        batch = source_batch(checkpoint.model, [sources[row] for row in rows])
        return token_lists(diverse_beam_search(checkpoint.model, batch, **settings))

    whole = found(range(12))
    for rows in ([3], [11, 0, 7]):
        assert found(rows) == [whole[3 * row + place] for row in rows for place in range(3)]


def test_a_larger_penalty_makes_first_tokens_differ():
    checkpoint = tiny.checkpoint("bart", seed=1)
    source = source_batch(checkpoint.model, tiny.random_pairs(checkpoint, 20)[0])

    def first_tokens(penalty):
        settings = {"num_beams": 3, "num_beam_groups": 3, "diversity_penalty": penalty, "num_return_sequences": 3}
        labels = diverse_beam_search(checkpoint.model, source, max_new_tokens=5, **settings)
        return [len(set(row)) for row in labels[:, 0].view(20, 3).tolist()]

    assert set(first_tokens(0.0)) == {1} and set(first_tokens(1e3)) == {3}
    assert math.fsum(first_tokens(0.0)) < math.fsum(first_tokens(1.0)) < math.fsum(first_tokens(1e3))
