"""Objectives and their terms: which sequences they need, how a batch is reduced, and which names are refused."""

import pytest
import torch
import yaml
from fdistill.losses.inputs import IGNORE, LABELS, SOURCE, LossInputs
from fdistill.losses.objectives import Objective, Term
from fdistill.losses.step_losses import LOSSES
from fdistill.runtime.errors import UserError
from snake import ROOT

METHODS = yaml.safe_load((ROOT / "config/methods.yaml").read_text())


@pytest.mark.parametrize(("name", "sequences"), [("js", 2), ("tvd", 2), ("js_exact", 2), ("kl", 1), ("rkl", 1)])
def test_methods_ask_for_the_sequences_of_the_paper(name, sequences):
    objective = Objective.from_config(METHODS[name]["terms"])
    assert len(objective.sequences) == sequences and objective.needs_teacher and not objective.needs_hidden


def test_only_what_compares_distributions_needs_a_teacher():
    needing = [name for name in METHODS if Objective.from_config(METHODS[name]["terms"]).needs_teacher]
    assert set(METHODS) - set(needing) == {"mle", "seqkd", "sft", "pl", "orig_pl", "orig_pl_pl", "joint_teaching_ft"}


# --- reduction

STEPWISE = [name for name, loss in LOSSES.items() if not loss.compares_layers]


def random_inputs(seed=0):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (torch.randn(14, 9, generator=generator).requires_grad_() for _ in range(2))
    labels = torch.randint(9, (4, 6), generator=generator)
    for row, length in enumerate((6, 1, 3, 4)):
        labels[row, length:] = IGNORE
    return LossInputs(labels, student, teacher)


@pytest.mark.parametrize("loss", STEPWISE)
def test_the_loss_is_the_mean_over_the_valid_positions_of_each_row_alone(loss):
    """Rows of unequal lengths in one batch, and one by one without padding."""
    inputs = random_inputs()
    batched = Term("teacher_samples", loss).evaluate(inputs, {LABELS: 14})
    values, begin = [], 0
    for labels in inputs.labels:
        labels = labels[labels != IGNORE]
        rows = slice(begin, begin := begin + len(labels))
        values.append(
            LOSSES[loss].function(LossInputs(labels[None], inputs.student_logits[rows], inputs.teacher_logits[rows]))
        )
    row_by_row = torch.cat(values).mean()
    torch.testing.assert_close(batched, row_by_row)
    grads = [torch.autograd.grad(value, inputs.student_logits, retain_graph=True)[0] for value in (batched, row_by_row)]
    torch.testing.assert_close(grads[0], grads[1])


def test_a_batch_without_valid_positions_is_zero_and_not_nan():
    inputs = random_inputs()
    inputs = LossInputs(torch.full((4, 6), IGNORE), inputs.student_logits[:0], inputs.teacher_logits[:0])
    value = Term("teacher_samples", "kl").evaluate(inputs, {LABELS: 0})
    assert value.item() == 0
    assert torch.autograd.grad(value, inputs.student_logits)[0].abs().sum().item() == 0


def test_weight_and_temperature():
    """weight · τ² · KL(p^(1/τ) ‖ q^(1/τ))."""
    inputs = random_inputs()
    tau = 2.5
    p, q = (torch.softmax(x / tau, -1) for x in (inputs.teacher_logits, inputs.student_logits))
    naive = (p * (p / q).log()).sum(-1).mean()
    term = Term("ground_truth", "kl", weight=0.8, temperature=tau)
    torch.testing.assert_close(term.evaluate(inputs, {LABELS: 14}), 0.8 * tau**2 * naive)
    plain = Term("ground_truth", "nll")  # the temperature of one term is not that of the next
    picked = torch.softmax(inputs.student_logits, -1).gather(-1, inputs.labels[inputs.labels != IGNORE][:, None])
    torch.testing.assert_close(plain.evaluate(inputs, {LABELS: 14}), -picked.log().mean())


@pytest.mark.parametrize("normalize", [False, True])
def test_hidden_mse_against_loops(normalize):
    generator = torch.Generator().manual_seed(0)
    inputs = random_inputs()
    inputs.source_mask = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 1, 1]])
    random_states = lambda length: tuple(torch.randn(4, length, 5, generator=generator) * 3 + 1 for _ in range(2))  # noqa: E731
    inputs.hidden_pairs = [(*random_states(3), SOURCE), (*random_states(6), LABELS), (*random_states(6), LABELS)]
    total = 0.0
    for student, teacher, positions in inputs.hidden_pairs:
        mask = (inputs.source_mask == 1) if positions == SOURCE else (inputs.labels != IGNORE)
        squares, count = 0.0, 0
        for b, t in mask.nonzero().tolist():
            pair = [student[b, t], teacher[b, t]]
            if normalize:
                pair = [(h - h.mean()) / (h.var(unbiased=False) + 1e-5).sqrt() for h in pair]
            squares += sum((x - y) ** 2 for x, y in zip(*pair, strict=True)).item() / 5
            count += 1
        total += squares / count
    term = Term("ground_truth", "hidden_mse", weight=3.0, parameters={"normalize": normalize})
    counts = {LABELS: 14, SOURCE: int(inputs.source_mask.sum())}
    assert term.evaluate(inputs, counts).item() == pytest.approx(3 * total, rel=1e-5)


def test_hidden_cosine_of_the_last_layers_against_loops():
    generator = torch.Generator().manual_seed(1)
    inputs = random_inputs()
    inputs.source_mask = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 1, 1]])
    pairs = [
        (*(torch.randn(4, length, 5, generator=generator, dtype=torch.float64) for _ in range(2)), positions)
        for length, positions in ((3, SOURCE), (3, SOURCE), (6, LABELS), (6, LABELS))
    ]
    inputs.hidden_pairs = pairs
    total = 0.0
    for student, teacher, positions in (pairs[1], pairs[3]):  # the first layer of each stack is not compared
        places = (inputs.source_mask == 1 if positions == SOURCE else inputs.labels != IGNORE).nonzero().tolist()
        cosines = [
            float(student[b, t] @ teacher[b, t] / (student[b, t].norm() * teacher[b, t].norm())) for b, t in places
        ]
        total += sum(1 - cosine for cosine in cosines) / len(places)
    counts = {LABELS: 14, SOURCE: int(inputs.source_mask.sum())}
    assert Term("ground_truth", "hidden_cosine").evaluate(inputs, counts).item() == pytest.approx(total, rel=1e-5)


def test_attention_mse_against_loops_and_whatever_the_padding():
    """Over real queries and keys of each row alone, in float64."""
    generator = torch.Generator().manual_seed(2)
    labels = torch.zeros(2, 4, dtype=torch.long)
    labels[1, 2:] = IGNORE
    allowed = (labels != IGNORE)[:, None, None, :] & torch.ones(4, 4, dtype=torch.bool).tril()
    scores = torch.randn(2, 2, 3, 4, 4, generator=generator, dtype=torch.float64)  # model, row, head, query, key
    student, teacher = torch.softmax(scores.masked_fill(~allowed, -torch.inf), -1)
    total, count = 0.0, 0
    for row, length in enumerate((4, 2)):
        for query in range(length):
            squares = [
                float(student[row, head, query, key] - teacher[row, head, query, key]) ** 2
                for head in range(3)
                for key in range(length)
            ]
            total, count = total + sum(squares) / len(squares), count + 1
    inputs = LossInputs(labels, attention_pairs=[(student, teacher, LABELS)])
    term = Term("ground_truth", "attention_mse")
    assert term.evaluate(inputs, {LABELS: count}).item() == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize("counts", [(14, 14), (14, 5)])
def test_labels_of_several_teachers_are_their_concatenation(counts):
    """Σ of weight · mean is the mean over all tokens where the weights are the kinds' shares of the tokens."""
    generator = torch.Generator().manual_seed(3)
    values = [torch.rand(count, generator=generator, dtype=torch.float64) for count in counts]
    concatenated = torch.cat(values).mean()
    shares = [count / sum(counts) for count in counts]
    mixed = sum(share * value.mean() for share, value in zip(shares, values, strict=True))
    torch.testing.assert_close(mixed, concatenated)
    weights = [term["weight"] for term in METHODS["orig_pl"]["terms"]]
    equal_lengths = counts[0] == counts[1]
    ours = sum(weight * value.mean() for weight, value in zip(weights, values, strict=True))
    assert torch.isclose(ours, concatenated).item() == equal_lengths
    assert sum(term["weight"] for term in METHODS["orig_pl_pl"]["terms"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("term", "named"),
    [
        ({"sequences": "students", "loss": "kl"}, "student_samples"),
        ({"sequences": "ground_truth", "loss": "kld"}, "jeffreys"),
        ({"sequences": "ground_truth", "loss": "skew_kl", "parameters": {"scew": 0.1}}, "skew"),
        ({"sequences": "ground_truth", "loss": "kl", "parameters": {"beta": 0.1}}, "none"),
        ({"sequences": "ground_truth", "loss": "hidden_mse", "temperature": 2.0}, "temperature: not used with loss"),
    ],
)
def test_terms_that_do_not_exist_are_refused_with_what_is_allowed(term, named):
    with pytest.raises(UserError, match=named):
        Objective.from_config([term])
