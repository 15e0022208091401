"""Prompts: what stands around a source, by a chat template or without, and what is cut of a long one."""

import pytest
import tiny
from fdistill.data.encoding import encode_labels, encode_split
from fdistill.data.limits import Limits
from fdistill.data.output_tokens import Encoder
from fdistill.data.outputs import Output
from fdistill.data.prompts import answer_blanks, encode_prompts
from fdistill.data.reencoding import reencoded
from fdistill.models.checkpoints import load, save
from fdistill.models.families import FAMILIES
from fdistill.models.tokenization import train_tokenizer
from fdistill.runtime.errors import UserError

CHATML = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe brief.<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Gemma's: trims, refuses a system message and an assistant that begins.
STRICT = (
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>model\n{% endif %}"
)
# DeepSeek-LLM's.
SPOKEN = (
    "{% for message in messages %}{% if message['role'] == 'user' %}User: {{ message['content'] }}\n\n"
    "{% else %}Assistant: {{ message['content'] }}<|im_end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
TEXTS = ["Where is Rome?", "a  b\n c ", "He said: <|im_end|> and <pad>.", "mutare în română"]


def chat_tokenizer(template=CHATML):
    """A byte-level tokenizer as SmolLM2's: ChatML, whose closing token is EOS."""
    tokenizer = train_tokenizer(["Where is Rome? In Italy.", "user assistant system"], 400, FAMILIES["gpt2"])
    tokenizer.add_special_tokens({"eos_token": "<|im_end|>", "bos_token": "<|im_start|>"})
    tokenizer.chat_template = template
    tokenizer.truncation_side = "left"
    return tokenizer


def chat(**text):
    return Limits(**{"max_source_tokens": 500, "max_target_tokens": 50, "chat_template": True} | text)


def expected(tokenizer, messages):
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)


def tokens(texts, tokenizer, limits):
    return [prompt.tokens for prompt in encode_prompts(texts, tokenizer, limits)]


@pytest.mark.parametrize("template", [CHATML, STRICT, SPOKEN])
def test_a_prompt_is_the_templates_user_turn_with_its_generation_prompt(template):
    tokenizer = chat_tokenizer(template)
    for text, prompt in zip(TEXTS, tokens(TEXTS, tokenizer, chat()), strict=True):
        if "<|im_end|>" in text:  # spelt out in a source it is text, which the template's own closes
            assert prompt.count(tokenizer.eos_token_id) == {CHATML: 2, STRICT: 1, SPOKEN: 0}[template]
            assert text in tokenizer.decode(prompt)
        else:
            assert prompt == expected(tokenizer, [{"role": "user", "content": text}])


def test_the_system_message_replaces_the_templates_own():
    tokenizer = chat_tokenizer()
    for message in ("Answer in Latin.", ""):
        user = {"role": "user", "content": "Where?"}
        (prompt,) = tokens(["Where?"], tokenizer, chat(system_message=message))
        assert prompt == expected(tokenizer, [{"role": "system", "content": message}, user])


def test_prefix_and_suffix_stand_within_the_users_turn():
    (prompt,) = tokens(["Rome"], tokenizer := chat_tokenizer(), chat(source_prefix="Is ", source_suffix=" here?"))
    assert tokenizer.decode(prompt).endswith("user\nIs Rome here?<|im_end|>\n<|im_start|>assistant\n")


@pytest.mark.parametrize("end", ["", "|"])
def test_turns_are_messages_the_last_of_which_is_the_users(end):
    tokenizer = chat_tokenizer()
    roles = ["assistant", "user", "assistant", "user"]
    messages = [{"role": role, "content": word} for role, word in zip(roles, ["one", "two", "3", "4"], strict=True)]
    assert tokens([f"one|two|3|4{end}"], tokenizer, chat(turn_separator="|")) == [expected(tokenizer, messages)]


def test_a_long_chat_loses_its_oldest_turns_then_the_beginning_of_the_last():
    tokenizer = chat_tokenizer()
    text = "one two|three four|five six|seven eight"
    messages = [
        {"role": role, "content": turn} for role, turn in zip(["assistant", "user"] * 2, text.split("|"), strict=True)
    ]
    whole = expected(tokenizer, messages)
    for dropped in range(4):
        kept = expected(tokenizer, messages[dropped:])
        (prompt,) = encode_prompts([text], tokenizer, chat(max_source_tokens=len(kept), turn_separator="|"))
        assert (prompt.tokens, prompt.length) == (kept, len(whole))
    (prompt,) = encode_prompts([text], tokenizer, chat(max_source_tokens=len(kept) - 2, turn_separator="|"))
    own = tokenizer("seven eight").input_ids
    assert prompt.tokens == kept[: kept.index(own[0])] + own[2:] + kept[kept.index(own[0]) + len(own) :]
    with pytest.raises(
        UserError, match=r"text\.max_source_tokens: 5 tokens leave no room for a source, around which stand"
    ):
        tokens([text], tokenizer, chat(max_source_tokens=5, turn_separator="|"))


def test_a_template_that_lets_only_the_user_begin_loses_two_turns_at_a_time():
    tokenizer = chat_tokenizer(STRICT)
    messages = [
        {"role": role, "content": turn} for role, turn in zip(["user", "assistant", "user"], "xyz", strict=True)
    ]
    limit = len(expected(tokenizer, messages)) - 1
    assert tokens(["x|y|z"], tokenizer, chat(max_source_tokens=limit, turn_separator="|")) == [
        expected(tokenizer, messages[2:])
    ]
    with pytest.raises(
        UserError, match=r"source 2 \(2 turns\): .* cannot write a conversation of assistant, user .*must alternate"
    ):
        tokens(["x|y|z", "x|y"], tokenizer, chat(turn_separator="|"))


def test_only_a_targets_own_tokens_and_the_token_that_closes_the_turn_are_learnt():
    tokenizer = chat_tokenizer()
    split = {"id": ["1"], "source": ["Where?"], "references": [["In Italy."]]}
    encoded = encode_split(split, tokenizer, chat(), "train")
    answered = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "In Italy."}]
    whole = tokenizer.apply_chat_template(answered, return_dict=False)
    assert encoded.sources[0] + encoded.targets[0] == whole[: len(whole) - 1]  # without the line break after EOS
    assert encoded.targets[0][-1] == tokenizer.eos_token_id


def test_a_chat_model_whose_answers_end_otherwise_than_its_texts_learns_the_answers_end(tmp_path):
    """As Gemma's and Phi-3's: EOS ends a text of pre-training, another token of the list an answer."""
    made = tiny.checkpoint("llama")
    made.tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    made.tokenizer.chat_template = CHATML
    eos, closing = made.tokenizer.eos_token_id, made.tokenizer.convert_tokens_to_ids("<|im_end|>")
    made.model.module.resize_token_embeddings(len(made.tokenizer))
    made.model.module.config.eos_token_id = [eos, closing]
    save(made, tmp_path / "chat")
    assert load(tmp_path / "chat").tokenizer.eos_token_id == eos
    save(load(tmp_path / "chat", is_chat=True), tmp_path / "teacher")
    teacher = load(tmp_path / "teacher")
    assert teacher.model.ends == (closing, eos)
    assert teacher.tokenizer.eos_token_id == teacher.model.eos_token_id == closing
    split = {"id": ["1"], "source": ["Where?"], "references": [["In Italy."]]}
    assert encode_split(split, teacher.tokenizer, chat(), "train").targets[0][-1] == closing


def test_a_blank_that_the_template_writes_before_a_turn_is_read_and_learnt_with_its_first_word():
    """As DeepSeek-LLM's; a byte-level tokenizer has other tokens for ` Rome` than for ` ` and `Rome`."""
    tokenizer = chat_tokenizer(SPOKEN)
    assert tokenizer.tokenize(" Rome") != [*tokenizer.tokenize(" "), *tokenizer.tokenize("Rome")]
    messages = [{"role": role, "content": "Rome"} for role in ("user", "assistant", "user")]
    limits = chat(turn_separator="|", one_line_targets=True)
    split = {"id": ["1"], "source": ["Rome|Rome|Rome"], "references": [["Rome"]]}
    encoded = encode_split(split, tokenizer, limits, "train")
    assert encoded.sources == [expected(tokenizer, messages)]
    answered = [*messages, {"role": "assistant", "content": "Rome"}]
    whole = tokenizer.apply_chat_template(answered, return_dict=False)
    assert encoded.sources[0] + encoded.targets[0] == whole
    assert encode_labels(["Rome"], tokenizer, limits, "labels") == encoded.targets
    ids = reencoded([[encoded.targets[0]]], tokenizer, [tokenizer.eos_token_id], tokenizer, limits, "samples")
    assert ids == [encoded.targets]
    assert [
        output.tokens for output in Encoder(tokenizer, limits).encode(Output("line 1", None, None, ["Rome"]))
    ] == encoded.targets
    assert answer_blanks(tokenizer, Limits(9, 9)) == answer_blanks(chat_tokenizer(), chat()) == ""


@pytest.mark.parametrize("size", [1, 2])
def test_a_template_that_looks_at_the_text_is_refused(size):
    template = CHATML.replace(
        "<|im_start|>{{", "{% if 'green' in message['content'] %}COLOUR {% endif %}<|im_start|>{{"
    )
    tokenizer = chat_tokenizer(template)
    texts = ["Where?", "red|blue|green"][:size]
    with pytest.raises(
        UserError,
        match=rf"source {size} .*: text.chat_template: .* changes a turn, or writes other words around it .*COLOUR",
    ):
        tokens([*texts[:-1], texts[-1].replace("Where?", "green")], tokenizer, chat(turn_separator="|"))
    assert tokens(["green|blue|red"], tokenizer, chat(turn_separator="|", max_source_tokens=30))


def test_tokens_that_are_not_the_templates_are_named_in_the_log(caplog):
    tokenizer = chat_tokenizer()
    tokens(["r?", "a <|im_end|>"], tokenizer, chat())
    tokens(["a <|im_end|>"], tokenizer, chat())
    assert not caplog.records
    tokenizer.chat_template = CHATML.replace("\n{{", "use{{")
    tokens(["r?"], tokenizer, chat())
    assert "the first source's prompt has other tokens than apply_chat_template gives, from token" in caplog.text
    assert "['u', 's', 'e', 'r', '?'], not ['user', '?'" in caplog.text


@pytest.mark.parametrize(
    ("template", "text", "message"),
    [
        (None, {}, "text.chat_template: the tokenizer of .* has no chat template; set it to false"),
        ("{{ broken", {}, "text.chat_template: the chat template of .* cannot write a conversation of user"),
        (CHATML.replace("['content']", "['content'] | upper"), {}, "not write turn 1 of 1 once and unchanged"),
        (CHATML.replace("<|im_end|>", "<pad>"), {}, "closes the assistant's turn with <pad>, .* EOS is <|im_end|>"),
        (STRICT, {"system_message": "Hi."}, "text.system_message: not with this model; .*System role not supported"),
        (
            "{% for m in messages if m['role'] != 'system' %}{{ m['content'] }}<|im_end|>{% endfor %}",
            {"system_message": "Hi."},
            "text.system_message: the chat template of .* does not write a system message",
        ),
    ],
)  # fmt: skip
def test_a_template_that_cannot_be_used_is_refused(template, text, message):
    with pytest.raises(UserError, match=message.replace("|", r"\|")):
        tokens(["Where?"], chat_tokenizer(template), chat(**text))


def test_a_template_that_writes_the_day_writes_the_same_one_every_day():
    template = CHATML.replace("Be brief.", "Today is {{ strftime_now('%d %B %Y') }}.")
    (prompt,) = tokens(["Where?"], tokenizer := chat_tokenizer(template), chat())
    assert "Today is 26 Jul 2024." in tokenizer.decode(prompt)


# --- without a template


def test_a_decoder_only_model_sees_where_its_source_ends():
    tokenizer = chat_tokenizer()
    ids = tokenizer("Where?").input_ids
    plain = {"max_source_tokens": 50, "max_target_tokens": 50}
    assert tokens(["Where?"], tokenizer, Limits(**plain)) == [[*ids, *tokenizer("\n").input_ids]]
    assert tokens(["Where?"], tokenizer, Limits(**plain, source_suffix="")) == [ids]
    assert tokens(["Where?"], tokenizer, Limits(**plain, turn_separator="<|im_end|>")) == [ids]
    as_token = Limits(**plain, source_suffix="<|im_end|>")
    assert tokens(["Where?"], tokenizer, as_token) == [[*ids, tokenizer.eos_token_id]]
    tokenizer.truncation_side = "right"  # as an encoder-decoder model's
    assert tokens(["Where?"], tokenizer, Limits(**plain)) == [ids]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_long_source_keeps_its_suffix(side):
    tokenizer = chat_tokenizer()
    tokenizer.truncation_side = side
    own, suffix = tokenizer("one two three").input_ids, tokenizer("\n=>").input_ids
    (prompt,) = encode_prompts(["one two three"], tokenizer, Limits(len(suffix) + 3, 50, source_suffix="\n=>"))
    assert prompt.tokens == [*(own[-3:] if side == "left" else own[:3]), *suffix]
    assert prompt.length == len(own) + len(suffix)


def test_the_log_shows_where_the_context_ends_and_the_learnt_tokens_begin(caplog):
    split = {"id": ["1"], "source": ["Where?"], "references": [["In Italy."]]}
    with caplog.at_level("INFO"):
        encode_split(split, chat_tokenizer(), chat(system_message="Say."), "train.parquet")
    assert (
        r"train.parquet, the first example: reads "
        r'"<|im_start|>system\nSay.<|im_end|>\n<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\n", '
        r'target "In Italy.<|im_end|>"'
    ) in caplog.text
