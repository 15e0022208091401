"""The metric of model selection: what cannot be computed for the development split is known before training."""

from copy import deepcopy

import pytest
import tiny
from fdistill.data.encoding import Encoded
from fdistill.runtime.errors import UserError
from fdistill.training.selection import Selection, dev_scorer, kept


@pytest.mark.parametrize("odd", [0, 5])
def test_a_metric_outside_its_domain_is_refused_before_training(odd):
    """All references are looked at, not only the first ones."""
    references = [["the cat sat"]] * odd + [["și ține minte"]]
    size = len(references)
    dev = Encoded([str(i) for i in range(size)], [[1]] * size, [[[1]]] * size)
    selection = Selection("rouge2", "best", 1, 1.0, None, 2)
    with pytest.raises(UserError, match=r"selection\.metric: rouge2 cannot be computed: .* other letters"):
        dev_scorer(selection, tiny.tokenizer("bart"), dev, references, 4, {})
    dev_scorer(selection, tiny.tokenizer("bart"), dev, references, 4, {"rouge2": {"tokenizer": "unicode"}})


def test_more_likeliest_tokens_than_there_are_is_refused_before_training(pair):
    teacher, student = pair
    sources, targets = tiny.random_pairs(teacher, 2)
    dev = Encoded(["0", "1"], sources, [[target] for target in targets])
    size = teacher.model.module.config.vocab_size
    for top_k, of in ((size, teacher.model), (size + 1, None)):
        selection = Selection("nll", "best", 1, 1.0, None, 2, top_k)
        dev_scorer(selection, student.tokenizer, dev, [["a"]] * 2, 4, {}, teacher=of)
    with pytest.raises(UserError, match=rf"selection\.agreement_top_k: {size + 1} is more than the {size} tokens"):
        dev_scorer(selection, student.tokenizer, dev, [["a"]] * 2, 4, {}, teacher=teacher.model)


@pytest.mark.parametrize(("metric", "keep", "step"), [("nll", "best", 2), ("bleu4", "best", 4), ("nll", "last", 6)])
def test_the_weights_that_are_kept(metric, keep, step):
    """Step 0, the starting point, is never kept; of equal scores the first is."""
    scores = {0: (1.0, 9.0), 2: (2.0, 5.0), 4: (3.0, 7.0), 6: (2.0, 7.0)}
    history = [{"step": at, "dev": {"nll": nll, "bleu4": bleu}} for at, (nll, bleu) in scores.items()]
    history.insert(1, {"step": 1, "loss": 0.5})
    assert kept(history, Selection(metric, keep, 1, 1.0, None, 2))["step"] == step
    assert kept(history[:2], Selection(metric, keep, 1, 1.0, None, 2)) is None


@pytest.mark.parametrize(("top_k", "names"), [(3, {"nll", "top_3_overlap", "log_prob_gap"}), (0, {"nll"})])
def test_agreement_with_the_teacher_is_scored_and_the_teacher_runs_once(pair, top_k, names):
    """The teacher's predictions are kept: the weights of a teacher that is not trained with are given up after them."""
    teacher, student = pair
    sources, targets = tiny.random_pairs(teacher, 7)
    dev = Encoded([str(i) for i in range(7)], sources, [[target] for target in targets])
    selection, references = Selection("nll", "best", 1, 1.0, 6, 4, top_k), [["a"]] * 7
    score = dev_scorer(selection, teacher.tokenizer, dev, references, 4, {}, teacher=teacher.model)
    same = deepcopy(teacher.model)
    teacher.model.module.to("meta")
    scores = [score(model) for model in (student.model, same)]
    assert scores[0].keys() == scores[1].keys() == names
    plain = dev_scorer(selection, teacher.tokenizer, dev, references, 4, {})
    assert plain(student.model) == {"nll": scores[0]["nll"]}
    if top_k:
        assert (scores[1]["top_3_overlap"], scores[1]["log_prob_gap"]) == (1, 0)
        assert 0 < scores[0]["top_3_overlap"] < 1
        assert scores[0]["log_prob_gap"] == pytest.approx(scores[0]["nll"] - scores[1]["nll"])
