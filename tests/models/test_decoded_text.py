"""The text of generated tokens depends on the tokens alone, whatever a checkpoint's settings ask for."""

import json

import pytest
from fdistill.models.tokenization import decode
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


@pytest.mark.parametrize("cleanup", [False, True])
def test_wordpiece_has_a_clean_up_of_its_own(cleanup):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "do", "n", "'", "t", ".", "go", "##ing"]
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(words)})
    tokenizer.backend_tokenizer.decoder.cleanup = cleanup
    ids = [tokenizer.cls_token_id, *map(words.index, ["do", "n", "'", "t", "go", "##ing", "."]), 99, 3, 0]
    assert decode(tokenizer, [ids, [2]]) == ["do n ' t going .", ""]


def test_nothing_else_decodes():
    files = (ROOT / "workflow").rglob("*.py")
    assert [file.name for file in files if "skip_special_tokens" in file.read_text()] == ["tokenization.py"]
