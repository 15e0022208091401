"""The metric of model selection: what cannot be computed for the development split is known before training."""

import pytest
import tiny
from fdistill.data.encoding import Encoded
from fdistill.runtime.errors import UserError
from fdistill.training.selection import Selection, dev_scorer


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
