"""Outputs in the student's tokens: limits, and distributions against a computation of their own in float64."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from fdistill.data.limits import Limits
from fdistill.data.output_tokens import Encoder
from fdistill.data.outputs import Output
from fdistill.losses.divergences import LOG_ZERO
from fdistill.losses.inputs import LossInputs
from fdistill.losses.step_losses import LOSSES
from fdistill.models.families import FAMILIES
from fdistill.models.tokenization import train_tokenizer
from fdistill.runtime.errors import UserError
from fdistill.sampling.outputs_cache import rectangular

TOKENIZER = tiny.tokenizer("bart")  # a token per letter
VOCABULARY = TOKENIZER.get_vocab()
A, B, C, EOS = (VOCABULARY[token] for token in ("a", "b", "c", "</s>"))
LIMITS = Limits(16, 5)


def output(text="a b", known=None, **more):
    tokens = None if known is None else more.pop("tokens", ["a", "b"])
    return Output("outputs.jsonl, line 3", "1", None, [text], tokens=tokens, known=known, **more)


def encoded(row, limits=LIMITS, tokenizer=TOKENIZER):
    [made] = Encoder(tokenizer, limits).encode(row)
    return made


def test_texts_end_in_eos_unless_they_have_not_ended():
    assert encoded(output()).tokens == [A, B, EOS] and encoded(output()).finished
    unfinished = encoded(output(finished=False))
    assert unfinished.tokens == [A, B] and not unfinished.finished
    assert len(Encoder(TOKENIZER, LIMITS).encode(Output("", "1", None, ["a", "b c"]))) == 2


def test_longer_outputs_follow_too_long():
    long = output("a b c a b c", known=[{token: -0.5} for token in "abcabc"], tokens=list("abcabc"))
    with pytest.raises(UserError, match=r"line 3: the output has 7 tokens, more than max_target_tokens = 5"):
        encoded(long)
    encoder = Encoder(TOKENIZER, Limits(16, 5, too_long="truncate"))
    [cut] = encoder.encode(long)
    assert cut.tokens == [A, B, C, A, B] and not cut.finished and encoder.cut == 1 and cut.known[0].shape == (5, 1)
    assert cut.log_prob == 5 * -0.5  # of the tokens that are left
    ended = output("a b", known=[{token: -0.5} for token in ("a", "b", "</s>")], tokens=["a", "b", "</s>"])
    assert (encoded(ended).log_prob, encoded(replace(ended, finished=False)).log_prob) == (-1.5, -1.0)


def test_every_known_position_is_coarsened_and_an_unknown_one_is_the_token_itself():
    made = encoded(output(known=[{"a": np.log(0.5), "c": np.log(0.3)}, {"b": np.log(0.2), "a": np.log(0.7)}]))
    tokens, log_probs = rectangular(made, 2)
    assert tokens.tolist()[:2] == [[A, C], [A, B]] and tokens[2, 0] == EOS and len(set(tokens[2])) == 2
    expected = [[0.5, 0.3, 0.2], [0.7, 0.2, 0.1], [1, 0, 0]]
    assert np.allclose(np.exp(log_probs.astype(float)), expected, atol=1e-6) and log_probs.dtype == np.float32
    assert made.log_prob == pytest.approx(np.log(0.5) + np.log(0.2))


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("loss", ["kl", "tvd", "kl_p_mixture", "squared_hellinger", "skew_kl"])
def test_losses_on_them_are_those_of_the_coarse_distributions(width, loss):
    """Against float64: the likeliest K tokens by themselves and all others together; an unknown position one-hot."""
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(2, len(VOCABULARY), generator=generator, dtype=torch.float64).softmax(-1).numpy()
    logits = torch.randn(3, len(VOCABULARY), generator=generator)
    names = {id_: token for token, id_ in VOCABULARY.items()}
    known = []
    for row, own in zip(p, (A, B), strict=True):
        top = {names[i]: float(np.log(row[i])) for i in np.argsort(-row)[:4]}
        known.append(top | {names[own]: float(np.log(row[own]))})
    tokens, log_probs = rectangular(encoded(output(known=known)), width)
    inputs = LossInputs(
        torch.tensor([[A, B, EOS]]),
        logits,
        top_tokens=torch.from_numpy(tokens),
        top_log_probs=torch.from_numpy(log_probs),
    )
    values = LOSSES[loss].function(inputs, **LOSSES[loss].parameters)

    q = logits.double().softmax(-1).numpy()
    for position, row in enumerate(p):
        kept = tokens[position]
        coarse = [np.append(full[kept], 1 - full[kept].sum()) for full in (row, q[position])]
        assert values[position].item() == pytest.approx(naive(loss, *coarse), rel=1e-4, abs=1e-6)
    one_hot = [np.array([1.0, 0.0]), np.array([q[2, EOS], 1 - q[2, EOS]])]
    if loss == "kl":
        assert values[2].item() == pytest.approx(-np.log(q[2, EOS]), rel=1e-5)  # the token's NLL
    if loss in ("tvd", "kl_p_mixture"):
        assert values[2].item() == pytest.approx(naive(loss, *one_hot), rel=1e-4)


def naive(loss, p, q):
    def kl(a, b):
        return sum(x * np.log(x / y) for x, y in zip(a, b, strict=True) if x > 0)

    return {
        "kl": lambda: kl(p, q),
        "tvd": lambda: np.abs(p - q).sum() / 2,
        "kl_p_mixture": lambda: kl(p, (p + q) / 2),
        "squared_hellinger": lambda: ((np.sqrt(p) - np.sqrt(q)) ** 2).sum() / 2,
        "skew_kl": lambda: kl(p, 0.1 * p + 0.9 * q),
    }[loss]()


def test_probabilities_that_add_up_to_a_little_more_than_one_are_normalised():
    made = encoded(output(known=[{"a": np.log(0.6), "c": np.log(0.405)}, {"b": -0.1, "a": -3}]))
    _, log_probs = rectangular(made, 2)
    assert np.exp(log_probs[0].astype(float)).sum() == pytest.approx(1) and log_probs[0, 2] == np.float32(LOG_ZERO)


def test_a_row_without_log_probabilities_is_the_tokens_themselves():
    tokens, log_probs = rectangular(encoded(output()), 3)
    assert tokens[:, 0].tolist() == [A, B, EOS] and log_probs[:, 0].tolist() == [0, 0, 0]
    assert all(len(set(row)) == 3 for row in tokens.tolist()) and (log_probs[:, 1:] == np.float32(LOG_ZERO)).all()


def test_the_end_may_be_reported_too():
    known = [{"a": -0.5}, {"b": -0.5}, {"</s>": -0.25, "a": -2.0}]
    made = encoded(output(known=known, tokens=["a", "b", "</s>"]))
    tokens, log_probs = rectangular(made, 1)
    assert tokens[:, 0].tolist() == [A, B, EOS] and log_probs[2, 0] == -0.25


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["a", "z"], "its token 'z' is no token of the student's tokenizer; log-probabilities of another tokenizer"),
        (["a"], "its tokens spell 'a', not its text; give the tokens of the text, all of them"),
        (["b", "a"], "its tokens spell 'b a', not its text"),
    ],
)
def test_tokens_of_another_tokenizer_are_refused(tokens, words):
    with pytest.raises(UserError, match=f"line 3: {words}"):
        encoded(output(known=[{token: -0.5} for token in tokens], tokens=tokens))
    with pytest.raises(UserError, match="line 3: 'zz' in its log-probabilities is no token of the student's"):
        encoded(output(known=[{"a": -0.5, "zz": -3}, {"b": -0.5}]))


BYTES = train_tokenizer(["hello world hello", "help the world"], 300, FAMILIES["bart"])


def pieces(text):
    return BYTES.convert_ids_to_tokens(BYTES(text, add_special_tokens=False).input_ids)


def test_tokens_may_be_those_of_the_vocabulary_or_the_texts_that_they_stand_for():
    own = pieces("hello world")
    for tokens in (own, [BYTES.convert_tokens_to_string([token]) for token in own]):
        row = output("hello world", [{token: -0.5} for token in tokens], tokens=tokens)
        assert encoded(row, Limits(16, 16), BYTES).known[0].shape[0] == len(own) + 1


def of_pieces(text, tokens):
    """An output whose tokens are likely in the order of their positions."""
    return output(text, [{token: -0.5 - number} for number, token in enumerate(tokens)], tokens=tokens)


def test_a_sampled_row_keeps_its_tokens_where_the_tokenizer_splits_the_text_otherwise():
    vocabulary, encoder = BYTES.get_vocab(), Encoder(BYTES, Limits(16, 16))
    assert len(pieces("hello")) < 5
    usual = output("hello", [{token: -0.5} for token in pieces("hello")], tokens=pieces("hello"))
    encoder.encode(usual)
    for end in ([], ["</s>"], [""]):  # of which the last two are how the end is reported
        tokens = [*"hello", *end]
        [made] = encoder.encode(of_pieces("hello", tokens))
        assert made.tokens == [*(vocabulary[letter] for letter in "hello"), vocabulary["</s>"]]
        top, log_probs = made.known
        assert top[:, 0].tolist() == made.tokens and made.finished
        assert log_probs[:, 0].tolist() == [*(-0.5 - number for number in range(len(tokens))), *([] if end else [0])]
        assert made.log_prob == pytest.approx(sum(-0.5 - number for number in range(len(tokens))))
    assert (encoder.compared, encoder.otherwise) == (4, 3)
    row = output("hello", [{letter: -0.5} for letter in "hello"], tokens=list("hello"), finished=False)
    [unfinished] = encoder.encode(row)
    assert unfinished.tokens[-1] == vocabulary["o"] and not unfinished.finished


def test_rows_of_the_same_tokenizer_that_are_split_otherwise_are_half_of_the_rows_at_most():
    encoder = Encoder(BYTES, Limits(16, 16))
    encoder.encode(of_pieces("help the world", pieces("help the world")))
    encoder.encode(of_pieces("help", ["h", *pieces("elp")]))
    encoder.check_tokenizer()
    encoder.encode(of_pieces("hello", list("hello")))
    words = r"line 3: .* from token 1 on, into \['help'\], not \['h', .*\]; it splits 2 of 3 rows .*"
    with pytest.raises(UserError, match=words):
        encoder.check_tokenizer()


def test_rows_without_log_probabilities_say_nothing_of_the_tokenizer():
    encoder = Encoder(BYTES, Limits(16, 16))
    encoder.encode(output("hello"))
    encoder.check_tokenizer()
    assert encoder.compared == 0


@pytest.mark.parametrize("text", ["hé", "helloé"])
def test_parts_of_characters_are_known_by_the_vocabulary_or_by_the_tokenizers_own_tokens(text):
    """Endpoints report each as the same replacement character; in a row that is split otherwise, it may be any."""
    parts, limits = pieces("é"), Limits(16, 16)
    shown = [BYTES.convert_tokens_to_string([part]) for part in parts]
    assert len(parts) == 2 and set(shown) == {"\ufffd"}
    letters = list(text[:-1])
    own = [BYTES.get_vocab()[token] for token in [*letters, *parts]]
    assert encoded(of_pieces(text, [*letters, *parts]), limits, BYTES).tokens[:-1] == own
    row = output(text, [{token: -0.5} for token in [*letters, *shown]], tokens=[*letters, *shown])
    if pieces(text) == [*letters, *parts]:
        assert encoded(row, limits, BYTES).tokens[:-1] == own
    else:
        with pytest.raises(UserError, match=r"its tokens spell .* as the student's vocabulary writes them"):
            encoded(row, limits, BYTES)


@pytest.mark.parametrize("first", ["<s>", "c"])
def test_tokens_that_do_not_spell_the_text_have_several_remedies(first):
    row = output(known=[{token: -0.5} for token in (first, "a", "b")], tokens=[first, "a", "b"])
    with pytest.raises(UserError, match=r"its tokens spell .*, or, for all rows, set model.* false$") as error:
        encoded(row)
    assert ("without special tokens such as <s>" in str(error.value)) == (first == "<s>")


def test_a_special_token_is_no_text():
    row = of_pieces("a </s> b", ["a", "</s>", "b"])
    with pytest.raises(UserError, match=r"line 3: its token '</s>' is a special one, and no text"):
        encoded(row)


def test_line_breaks_that_the_task_removes_are_named():
    row = of_pieces("a\nb", ["a", "\n", "b"])
    with pytest.raises(UserError, match=r"line 3: .* that text.one_line_targets removes; set it to false"):
        encoded(row, Limits(16, 16, one_line_targets=True), BYTES)
