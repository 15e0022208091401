"""The text of generated tokens depends on the tokens alone, whatever a checkpoint's settings ask for."""

import json

import pytest
from fdistill.models.tokenization import decode, has_languages, markup
from hub_checkpoints import HUB
from snake import ROOT
from transformers import AutoTokenizer, BertTokenizer

SETTINGS = ("clean_up_tokenization_spaces", "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output")


@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
@pytest.mark.parametrize("name", HUB)
def test_spaces_are_not_cleaned_up(name, hub, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(hub(name))
    comma = "▁," if any("▁" in token for token in tokenizer.get_vocab()) else "Ġ,"  # with the space before it
    tokenizer.add_tokens([comma])
    tokenizer.save_pretrained(tmp_path)
    file = tmp_path / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    texts, changed = [], []
    for value in (False, True):
        file.write_text(json.dumps(settings | dict.fromkeys(SETTINGS, value)))
        tokenizer = AutoTokenizer.from_pretrained(tmp_path)
        assert tokenizer.clean_up_tokenization_spaces is value
        ids = tokenizer(text_target="the dog", add_special_tokens=False).input_ids
        ids.append(tokenizer.convert_tokens_to_ids(comma))
        texts += decode(tokenizer, [ids])
        changed.append(tokenizer.decode(ids, skip_special_tokens=True))
    assert texts[0] == texts[1] == changed[0] != changed[1]
    assert texts[0].strip() == "the dog ,"


def test_pegasus_line_breaks_are_line_breaks(hub):
    tokenizer = AutoTokenizer.from_pretrained(hub("pegasus"))
    texts = ["the dog", "my friend"]
    first, second = (tokenizer(text_target=text, add_special_tokens=False).input_ids for text in texts)
    without = decode(tokenizer, [[*first, tokenizer.unk_token_id, *second]])[0]
    assert "\n" not in without
    tokenizer.add_tokens(["<n>"])  # the real vocabulary has it
    lines = decode(tokenizer, [[*first, tokenizer.convert_tokens_to_ids("<n>"), *second]])[0].split("\n")
    assert [line.strip() for line in lines] == texts


@pytest.mark.parametrize("cleanup", [False, True])
def test_wordpiece_has_a_clean_up_of_its_own(cleanup):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "do", "n", "'", "t", ".", "go", "##ing"]
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(words)})
    tokenizer.backend_tokenizer.decoder.cleanup = cleanup
    ids = [tokenizer.cls_token_id, *map(words.index, ["do", "n", "'", "t", "go", "##ing", "."]), 99, 3, 0]
    assert decode(tokenizer, [ids, [2]]) == ["do n ' t going .", ""]


@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
@pytest.mark.parametrize("name", HUB)
def test_words_that_a_checkpoint_calls_special_are_text(name, hub, tmp_path):
    """What marks a text (ends, padding, languages, sentinels) is left out in every tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(hub(name))
    left_out = markup(tokenizer)
    assert left_out == set(tokenizer.all_special_ids) and tokenizer.eos_token_id in left_out
    ids = tokenizer(text_target="the dog", add_special_tokens=False).input_ids
    assert decode(tokenizer, [[*ids, *left_out]])[0].strip() == "the dog"
    if not has_languages(tokenizer):
        word = tokenizer.convert_ids_to_tokens(ids[1])
        tokenizer.add_special_tokens({"extra_special_tokens": [word]}, replace_extra_special_tokens=False)
        assert ids[1] in tokenizer.all_special_ids
        found, shortened = decode(tokenizer, [ids])[0], tokenizer.decode(ids, skip_special_tokens=True)
        # Marian's tokenizer, in Python, sets spaces around what it calls special; nothing of it is lost.
        assert "".join(found.split()) == "thedog" != "".join(shortened.split())
        assert found.strip() == "the dog" or name == "marian"


def test_nothing_else_decodes():
    """Beside `decode`, only the model card has the word: in an example for people without this library."""
    files = (ROOT / "workflow").rglob("*.py")
    decoding = {file.name for file in files if "skip_special_tokens" in file.read_text()}
    assert decoding == {"tokenization.py", "model_card_code.py"}
