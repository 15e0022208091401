"""Perplexity: beside a loop over tokens in double precision, and the table of it."""

import json
import math

import pytest
import tiny
import torch
from fdistill.data.encoding import Encoded
from fdistill.evaluation.perplexity import perplexity
from fdistill.evaluation.tables import perplexity_table
from fdistill.runtime.errors import UserError

SYSTEMS = {"teacher": "Teacher", "init_student": "As initialised", "kl": "KL"}


@pytest.mark.parametrize("family", ["llama", "bart"])
def test_it_is_that_of_a_loop_over_tokens_in_double_precision(family):
    made = tiny.checkpoint(family)
    sources, targets = tiny.random_pairs(made, 6)
    several = [[target, targets[0]] if row % 2 else [target] for row, target in enumerate(targets)]
    found = perplexity(made.model, Encoded(list(map(str, range(6))), sources, several), 4)

    module = made.model.module.double()
    start = [module.config.decoder_start_token_id] if made.model.family.is_encoder_decoder else []
    total = count = 0
    for source, references in zip(sources, several, strict=True):
        for reference in references:
            for place, token in enumerate(reference):
                before = torch.tensor([[*(start or source), *reference[:place]]])
                inputs = (
                    {"input_ids": torch.tensor([source]), "decoder_input_ids": before}
                    if start
                    else {"input_ids": before}
                )
                with torch.no_grad():
                    total -= module(**inputs).logits[0, -1].log_softmax(-1)[token].item()
                count += 1
    assert found["tokens"] == count and found["references"] == 9
    assert found["nll"] == pytest.approx(total / count, rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(total / count), rel=1e-4)


def test_a_model_whose_probabilities_are_no_numbers_is_refused():
    made = tiny.checkpoint("llama")
    sources, targets = tiny.random_pairs(made, 2)
    made.model.module.lm_head.weight.data[0] = math.nan
    with pytest.raises(UserError, match="is not finite"):
        perplexity(made.model, Encoded(["0", "1"], sources, [[target] for target in targets]), 2)


def write(folder, system, nll, seed=1, tokenizer="same"):
    """A file of rule perplexity_of."""
    place = {"task": "chat", "method": system, "tokenizer": tokenizer, "lineage": {"seed": str(seed)}}
    path = folder / f"{system}.{seed}.json"
    path.write_text(json.dumps(place | {"references": 3, "tokens": 20, "nll": nll, "perplexity": math.exp(nll)}))
    return path


def test_the_table_says_what_was_lost_and_what_came_back(tmp_path):
    files = [write(tmp_path, "teacher", 2.0), write(tmp_path, "init_student", 6.0)]
    files += [write(tmp_path, "kl", 3.5, 1), write(tmp_path, "kl", 2.5, 2)]
    table = perplexity_table(files, {"chat": "Chat"}, SYSTEMS)
    rows = table.cells.to_numpy().tolist()
    assert rows[0] == ["Teacher", "2.000", "7.39", "–"]
    assert rows[1] == ["As initialised", "6.000", "403.43", "–"]
    assert rows[2] == ["KL", "3.000", "20.09", "75.0"]
    assert len(table.records) == 4 and table.notes == ["Chat: 3 references, 20 tokens."]


@pytest.mark.parametrize("initial", [2.0, 1.5])
def test_nothing_is_recovered_where_the_teacher_is_no_better_than_the_start(tmp_path, initial):
    files = [write(tmp_path, "teacher", 2.0), write(tmp_path, "init_student", initial), write(tmp_path, "kl", 1.0)]
    table = perplexity_table(files, {"chat": "Chat"}, SYSTEMS)
    assert [row[-1] for row in table.cells.to_numpy().tolist()] == ["–"] * 3


def test_models_of_different_tokens_are_not_compared(tmp_path):
    files = [write(tmp_path, "teacher", 2.0), write(tmp_path, "init_student", 6.0, tokenizer="other")]
    files.append(write(tmp_path, "kl", 3.0, tokenizer="other"))
    table = perplexity_table(files, {"chat": "Chat"}, SYSTEMS)
    assert table.cells.to_numpy().tolist()[2][-1] == "–"
    assert "different tokens" in table.notes[1]
