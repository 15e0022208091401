"""Text to batches: lengths, padding, the order of an epoch; tokenizers that are trained from scratch."""

import logging
from collections import Counter

import pytest
import tiny
import torch
from fdistill.data.batches import POOL_BATCHES, epoch_batches, label_batch, pad, sorted_batches, source_batch
from fdistill.data.encoding import check_symbols, encode_split
from fdistill.data.limits import Limits
from fdistill.losses.inputs import IGNORE
from fdistill.models.families import FAMILIES
from fdistill.models.tokenization import decode, train_tokenizer
from fdistill.runtime.errors import UserError

LIMITS = Limits(max_source_tokens=6, max_target_tokens=5)


def split_of(sources, targets):
    ids = [f"example-{i}" for i in range(len(sources))]
    return {
        "id": ids,
        "group": ids,
        "source": sources,
        "references": [[t, "h"] for t in targets],
    }


def encode(family, sources, targets, limits=LIMITS):
    return encode_split(split_of(sources, targets), tiny.tokenizer(family), limits, "train.parquet")


# --- token ids and lengths


def test_targets_end_in_one_eos_and_sources_as_the_family_has_it(family):
    tokenizer = tiny.tokenizer(family)
    encoded = encode(family, ["a b", "c"], ["a b c", "d"])
    ids = tokenizer.convert_tokens_to_ids
    eos = tokenizer.eos_token_id
    assert encoded.ids == ["example-0", "example-1"] and len(encoded) == 2
    assert encoded.targets == [[*ids(["a", "b", "c"]), eos], [*ids(["d"]), eos]]  # the first reference
    closing = [eos] if FAMILIES[family].closes_text else []
    assert [len(references) for references in encoded.references] == [2, 2]
    assert encoded.sources == [ids(["a", "b"]) + closing, ids(["c"]) + closing]


def test_every_reference_is_encoded_and_held_to_the_limit():
    split = split_of(["a", "b"], ["a b", "c"])
    split["references"][1] = ["c", "d", "a a a a a a a"]
    tokenizer = tiny.tokenizer("bart")
    with pytest.raises(UserError, match=r"row 2 \(id 'example-1'\): the target has 8 tokens"):
        encode_split(split, tokenizer, LIMITS, "train.parquet")
    split["references"][1].pop()
    encoded = encode_split(split, tokenizer, LIMITS, "train.parquet")
    assert [tokenizer.batch_decode(ids, skip_special_tokens=True) for ids in encoded.references] == [
        ["a b", "h"],
        ["c", "d"],
    ]


def test_the_prefix_comes_before_every_source_and_counts_towards_its_length(family):
    limits = Limits(max_source_tokens=4, max_target_tokens=5, source_prefix="h g ")
    encoded = encode(family, ["a"], ["a"], limits)
    assert tiny.tokenizer(family).decode(encoded.sources[0], skip_special_tokens=True) == "h g a"
    with pytest.raises(UserError, match="max_source_tokens = 4"):
        encode(family, ["a b c"], ["a"], limits)


@pytest.mark.parametrize(("joined", "text"), [(False, "a\n b"), (True, "a b")])
def test_targets_without_line_breaks(joined, text):
    tokenizer = train_tokenizer(["a b"], 300, FAMILIES["bart"])
    encoded = encode_split(split_of(["c"], ["a\n b"]), tokenizer, Limits(9, 9, one_line_targets=joined), "train")
    assert decode(tokenizer, encoded.targets) == [text]


@pytest.mark.parametrize(
    ("texts", "unlike_words"),
    [
        (["h e l l o", "HH AH L OW"], False),
        (["AH0 L OW1 AH0"], True),  # digits, of stress
        (["aː n̩ tʃ aː kʷʰ"], True),  # length, and a mark that is a character of its own
        (["カ キャ カ"], False),
        (["ts' a' <pad> a'"], True),
    ],
)
def test_every_symbol_of_the_training_texts_is_one_token(texts, unlike_words):
    tokenizer = train_tokenizer(texts, 400, FAMILIES["bart"], symbols=True)
    check_symbols(split_of(texts, texts), tokenizer, "train")
    of_words = train_tokenizer(texts, 400, FAMILIES["bart"])
    same = tokenizer.backend_tokenizer.to_str() == of_words.backend_tokenizer.to_str()
    assert same != unlike_words  # letters alone have the tokenizer of words, to the byte
    if unlike_words:
        with pytest.raises(UserError, match="no token for the symbol"):
            check_symbols(split_of(texts, texts), of_words, "train")


@pytest.mark.parametrize(
    ("sources", "targets", "message"),
    [
        (
            ["h e l l o"],
            ["HH AH L OW"],
            "symbol 'HH': 'HH' becomes 'H' + 'H'; separate symbols by blanks. A tokenizer from scratch learns",
        ),
        (["h e l l o"], ["L OW"], "symbol 'OW': 'L OW' becomes 'L' + 'ĠO' + 'W'; "),
        (["h e l lo"], ["L"], "symbol 'lo': 'L lo' becomes 'L' + 'Ġl' + 'o'; "),
        (["h é"], ["L"], "symbol 'é': 'L é' becomes 'L' + 'Ġ' + 'Ã' + '©'; "),
    ],
)
def test_a_symbol_that_would_be_split_is_refused_by_name(sources, targets, message):
    tokenizer = train_tokenizer(["h e l l o", "O O L L L"], 400, FAMILIES["bart"])
    with pytest.raises(UserError) as error:
        check_symbols(split_of(sources, targets), tokenizer, "train")
    assert f"train: the tokenizer has no token for the {message}" in str(error.value)


def test_a_symbol_that_is_not_read_back_is_refused_by_name():
    tokenizer = tiny.tokenizer("bart")  # of words; what it does not know becomes one unknown token
    with pytest.raises(UserError, match="no token for the symbol 'ZH'"):
        check_symbols(split_of(["a"], ["ZH"]), tokenizer, "train")


@pytest.mark.parametrize(
    ("sources", "targets", "expected"),
    [
        (["a", "a b c d e f", "a b c d e f g h"], ["a", "b", "c"], ("source", "6", "example-2")),
        (["a", "b", "c"], ["a b c d e", "a b", "a b c d e f"], ("target", "5", "example-2")),
    ],
)
def test_an_over_long_example_is_refused_by_name(family, sources, targets, expected):
    side, limit, worst = expected
    with pytest.raises(UserError) as error:
        encode(family, sources, targets)
    message = str(error.value)
    closed = side == "target" or FAMILIES[family].closes_text  # EOS counts
    assert message.startswith(f"train.parquet, row 3 (id '{worst}'): the {side} has ")
    for part in (
        f"has {(9 if side == 'source' else 7) - (not closed)} tokens, more than max_{side}_tokens = {limit} (",
        f"({2 if closed else 1} of {3 if side == 'source' else 6} {side}s are too long, this one most)",
        f"raise text.max_{side}_tokens",
        "text.too_long: truncate",
    ):
        assert part in message


def test_texts_of_exactly_the_limit_pass(family):
    closed = FAMILIES[family].closes_text
    encoded = encode(family, ["a b c d e" if closed else "a b c d e f"], ["a b c d"])
    assert [len(encoded.sources[0]), len(encoded.targets[0])] == [6, 5]


def test_truncation_keeps_eos_and_is_counted(family, caplog):
    limits = Limits(max_source_tokens=4, max_target_tokens=3, too_long="truncate")
    with caplog.at_level(logging.INFO):
        encoded = encode(family, ["a b c d e f", "a"], ["a b c d e f", "b"], limits)
    tokenizer = tiny.tokenizer(family)
    ids, eos = tokenizer.convert_tokens_to_ids, tokenizer.eos_token_id
    assert encoded.targets[0] == [*ids(["a", "b"]), eos]
    last = eos if FAMILIES[family].closes_text else ids("d")
    assert encoded.sources[0] == [*ids(["a", "b", "c"]), last]
    assert [len(encoded.sources[1]), len(encoded.targets[1])] == [2 if FAMILIES[family].closes_text else 1, 2]
    assert "1 of 2 sources cut to 4" in caplog.text and "1 of 4 targets cut to 3" in caplog.text


def test_an_empty_split_is_refused(family):
    with pytest.raises(UserError, match=r"train\.parquet: the split is empty.*filters"):
        encode(family, [], [])


def test_special_tokens_written_in_a_target_are_text(family):
    """A docstring can contain "</s>": as the special token it would end the target too early."""
    texts = ["the tokenizer appends </s> to a sentence", "<pad> and <unk> and <|endoftext|> are reserved"]
    tokenizer = train_tokenizer(texts, 300, FAMILIES[family])
    split = split_of(["a", "b"], texts)
    encoded = encode_split(split, tokenizer, Limits(200, 200), "train")
    for text, target in zip(texts, encoded.targets, strict=True):
        assert target.count(tokenizer.eos_token_id) == 1 and target[-1] == tokenizer.eos_token_id
        assert not set(target[:-1]) & set(tokenizer.all_special_ids)
        assert tokenizer.decode(target, skip_special_tokens=True) == text


def test_special_tokens_written_in_a_source_are_text(family):
    texts = ["the tokenizer appends </s> to <s> a sentence", "<pad> and <unk> and <|endoftext|> are reserved", ""]
    tokenizer = train_tokenizer(texts, 300, FAMILIES[family])
    encoded = encode_split(split_of(texts, texts), tokenizer, Limits(200, 200), "train")
    around = tokenizer("").input_ids
    for text, source in zip(texts, encoded.sources, strict=True):
        assert sum(token in tokenizer.all_special_ids for token in source) == len(around)
        assert source[len(source) - len(around) :] == around
        assert tokenizer.decode(source, skip_special_tokens=True) == text


def test_turn_separators_in_a_dialogue_source_are_tokens():
    separator = FAMILIES["gpt2"].scratch_tokens["eos_token"]
    tokenizer = train_tokenizer(["hello there"], 300, FAMILIES["gpt2"])
    split = split_of([f"hello{separator}there <pad>{separator}"], ["hello"])
    encoded = encode_split(split, tokenizer, Limits(50, 50, turn_separator=separator), "train")
    assert encoded.sources[0].count(tokenizer.eos_token_id) == 2
    assert encoded.sources[0][-1] == tokenizer.eos_token_id
    assert tokenizer.decode(encoded.sources[0]) == split["source"][0]
    assert tokenizer.pad_token_id not in encoded.sources[0]
    [as_text] = encode_split(split, tokenizer, Limits(50, 50), "train").sources
    assert tokenizer.eos_token_id not in as_text and tokenizer.decode(as_text) == split["source"][0]


# --- tokenizers


@pytest.mark.parametrize(
    "text", ["Plain words.", "  two  spaces\nand a line ", "mutare în română: ș ț ă", "日本 🙂", ""]
)
def test_any_text_survives_a_trained_tokenizer(family, text):
    tokenizer = train_tokenizer(["some words to learn from"], 300, FAMILIES[family])
    ids = tokenizer(text).input_ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert (ids[-1:] == [tokenizer.eos_token_id]) == FAMILIES[family].closes_text


def test_a_trained_tokenizer_has_the_familys_tokens_and_learns_merges(family):
    corpus = ["the quick brown fox"] * 50
    small, large = (train_tokenizer(corpus, size, FAMILIES[family]) for size in (262, 290))
    for name, token in FAMILIES[family].scratch_tokens.items():
        assert getattr(large, name) == token
        assert large.convert_ids_to_tokens(getattr(large, f"{name}_id")) == token
    assert len(large) <= 290
    assert len(large("the quick brown fox").input_ids) < len(small("the quick brown fox").input_ids)
    again = train_tokenizer(corpus, 290, FAMILIES[family])
    assert again.get_vocab() == large.get_vocab()


# --- padding


def test_padding_sides(family):
    model = tiny.checkpoint(family).model
    rows = [[3, 4, 5], [6]]
    source = source_batch(model, rows)
    p = model.pad_token_id
    if FAMILIES[family].is_encoder_decoder:
        assert source.input_ids.tolist() == [[3, 4, 5], [6, p, p]]
        assert source.attention_mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    else:
        assert source.input_ids.tolist() == [[3, 4, 5], [p, p, 6]]
        assert source.attention_mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert label_batch(rows, "cpu").tolist() == [[3, 4, 5], [6, IGNORE, IGNORE]]


def test_a_pad_token_inside_a_source_is_not_masked(family):
    """The mask comes from lengths: with pad = EOS a source can contain its pad token."""
    model = tiny.checkpoint(family).model
    source = source_batch(model, [[model.pad_token_id, 5, model.pad_token_id], [5]])
    assert source.attention_mask[0].tolist() == [1, 1, 1]


def test_pad():
    assert pad([[1, 2], [3]], 0).tolist() == [[1, 2], [3, 0]]
    assert pad([[1, 2], [3]], 0, left=True).tolist() == [[1, 2], [0, 3]]
    assert pad([[1]], 0).dtype == torch.long


# --- the order of an epoch


def lengths_of(count, seed=0):
    """Of sources and targets."""
    return list(map(tuple, torch.randint(1, 60, (count, 2), generator=torch.Generator().manual_seed(seed)).tolist()))


@pytest.mark.parametrize("count", [1, 7, 8, 9, 8 * POOL_BATCHES, 1000])
def test_an_epoch_is_a_permutation(count):
    batches = epoch_batches(lengths_of(count), 8, seed=1, epoch=0)
    assert sorted(i for batch in batches for i in batch) == list(range(count))
    assert all(1 <= len(batch) <= 8 for batch in batches)
    assert len(batches) == -(-count // 8)


def test_the_order_is_fixed_by_seed_and_epoch():
    lengths = lengths_of(200)
    orders = {(s, e): epoch_batches(lengths, 8, s, e) for s in range(3) for e in range(3)}
    torch.manual_seed(99)
    assert all(epoch_batches(lengths, 8, s, e) == order for (s, e), order in orders.items())
    assert len({str(order) for order in orders.values()}) == 9


def test_batches_hold_about_equal_lengths():
    lengths = lengths_of(2000)
    shuffled = [batch.tolist() for batch in torch.randperm(2000, generator=torch.Generator().manual_seed(0)).split(8)]
    for side in (0, 1):
        size = [pair[side] for pair in lengths]
        bucketed, random = (
            sum(len(batch) * max(size[i] for i in batch) for batch in batches) / sum(size)
            for batches in (epoch_batches(lengths, 8, 1, 0), shuffled)
        )
        assert bucketed < 1.25 < 1.5 < random


def test_an_examples_place_in_an_epoch_depends_on_neither_length_nor_index():
    """Over many epochs, long and short, first and last examples are on average in the middle."""
    count, epochs = 96, 300
    lengths = sorted(lengths_of(count))
    position = torch.zeros(count)
    for epoch in range(epochs):
        batches = epoch_batches(lengths, 4, seed=0, epoch=epoch)
        for place, batch in enumerate(batches):
            position[batch] += place / (len(batches) - 1) / epochs
    deviation = (1 / 12 / epochs) ** 0.5
    assert (position - 0.5).abs().max() < 4.5 * deviation
    assert abs(position[:32].mean() - position[-32:].mean()) < 0.02


def test_a_small_last_batch_is_not_always_the_longest_examples():
    """Every step weighs the same, so that examples of a small batch weigh more: they must not always be the same."""
    count = 20  # in batches of 8: one batch holds 4
    lengths = [(length, length) for length in range(1, count + 1)]
    seen = Counter()
    for epoch in range(200):
        seen.update(i for batch in epoch_batches(lengths, 8, 0, epoch) if len(batch) < 8 for i in batch)
    assert set(seen) == set(range(count))
    assert sum(seen.values()) == 800


def test_sorted_batches_start_with_the_longest():
    lengths = [source for source, _ in lengths_of(50)]
    batches = list(sorted_batches(lengths, 8))
    flat = [i for batch in batches for i in batch]
    assert sorted(flat) == list(range(50))
    assert [lengths[i] for i in flat] == sorted(lengths, reverse=True)
    assert [len(batch) for batch in batches] == [8] * 6 + [2]


def test_a_batch_has_as_many_rows_as_its_longest_allows():
    lengths = [3, 9, 1, 6, 2, 5, 1, 1, 4]
    batches = list(sorted_batches(lengths, lambda longest: 12 // longest))
    assert [[lengths[i] for i in batch] for batch in batches] == [[9], [6, 5], [4, 3, 2], [1, 1, 1]]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_prompt_is_cut_at_its_beginning_and_any_other_source_before_its_end(name):
    tokenizer = tiny.checkpoint(name).tokenizer
    split = split_of(["b a d c b a"], ["ab"])
    [whole] = encode_split(split, tokenizer, Limits(99, 9), "test").sources
    [cut] = encode_split(split, tokenizer, Limits(4, 9, "truncate"), "test").sources
    assert len(whole) > 4
    assert cut == ([*whole[:3], whole[-1]] if FAMILIES[name].is_encoder_decoder else whole[-4:])
