"""The benchmark of off-line drawing: everyone draws for the same inputs, and the figures are of what was drawn."""

import pytest
import tiny
from fdistill.bench import offline
from fdistill.config.engine_checks import ENGINES


@pytest.mark.parametrize("name", ["bart", "t5", "gpt2"])
def test_it_says_what_it_has_measured(name):
    made = tiny.checkpoint(name, seed=3)
    sources = tiny.random_pairs(made, 20)[0]
    found = offline.compare(made.model, sources, 6, repeats=2, seed=1)
    assert (found["inputs"], found["longest"]) == (20, 6)
    for mode in offline.MODES:
        assert found[mode].keys() == {offline.PLAIN, *ENGINES}
        for way, one in found[mode].items():
            assert all(20 <= tokens <= 120 for tokens in one["tokens"]), way
            speeds = [tokens / seconds for tokens, seconds in zip(one["tokens"], one["seconds"], strict=True)]
            assert one["tokens_per_s"] == pytest.approx(sum(speeds) / 2)
            assert one["ratio"] == pytest.approx(one["tokens_per_s"] / found[mode][offline.PLAIN]["tokens_per_s"])
    searched = found["beam search"]
    assert searched["transformers"]["tokens"] == searched["ctranslate2"]["tokens"] == searched["plain"]["tokens"]
