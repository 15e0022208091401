"""Teachers from checkpoints as the hub has them (`hub_checkpoints`), through the same `load` as the real ones: what
they smuggle in is neither drawn from nor decoded with, and students cut from them are right.
"""

import importlib.util
import json
import logging
import sys
from functools import cache

import pytest
import tiny
import torch
import transformers
from fdistill.artifacts.files import read_json_lines, write_parquet
from fdistill.data.batches import label_batch, source_batch
from fdistill.data.encoding import Limits, encode_split
from fdistill.data.schemas import SPLIT
from fdistill.losses.objectives import IGNORE, LOSSES, Objective
from fdistill.models.architectures import model_class
from fdistill.models.checkpoints import WEIGHTS, load, save
from fdistill.models.families import FAMILIES
from fdistill.models.students import init_student
from fdistill.runtime.errors import UserError
from fdistill.sampling import sampler
from fdistill.sampling.offline import generate_texts
from fdistill.sampling.sampler import SamplingConfig, ancestral_sample, sequence_log_probs
from fdistill.training.micro_batches import TrainingData
from fdistill.training.trainer import Trainer
from hub_checkpoints import HUB, OTHER_TEXTS, TEXTS, TRANSLATE, write
from safetensors.torch import load_file, save_file
from snake import ROOT
from tiny import settings

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")

SCRIPTS = ROOT / "workflow/scripts"
SPLIT_COLUMNS = {
    "id": ["0", "1", "2"],
    "group": ["0", "1", "2"],
    "source": [TEXTS[0], "my friend", "the dog jumps"],
    "references": [["o zi"], ["un om bun", "un om"], ["aici este"]],
}
LIMITS = Limits(max_source_tokens=40, max_target_tokens=20, too_long="truncate")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """The folder of a published checkpoint, written once."""
    root = tmp_path_factory.mktemp("hub")
    return lambda name: root / name if (root / name).exists() else write(root / name, name)


@pytest.fixture(params=HUB)
def name(request) -> str:
    return request.param


def fresh(hub, name):
    return load(hub(name), "cpu", *HUB[name].languages)


@cache
def teacher_of(hub, name):
    """As `fresh`, for a test that leaves it as it is."""
    return fresh(hub, name)


def raw(hub, name):
    """What transformers itself loads."""
    return model_class(FAMILIES[HUB[name].family]).from_pretrained(hub(name)).eval()


def encoded(made, limits=LIMITS):
    return encode_split(SPLIT_COLUMNS, made.tokenizer, limits, "train")


def batch(made):
    split = encoded(made)
    return source_batch(made.model, split.sources), label_batch(split.targets, "cpu")


def logits_of(made):
    source, labels = batch(made)
    with torch.no_grad():
        return tiny.logits(made, source, labels)


def raw_logits(module, made, source, target):
    """log q of every target position of one unpadded example, by transformers; (T, V), the pad token apart."""
    with torch.no_grad():
        if made.model.family.is_encoder_decoder:
            read = torch.tensor([[*made.model.decoder_prompt, *target[:-1]]])
            logits = module(input_ids=torch.tensor([source]), decoder_input_ids=read).logits[0]
        else:
            logits = module(torch.tensor([source + target[:-1]])).logits[0]
    logits = logits[-len(target) :].clone()
    if made.model.family.pad_is_never_predicted:
        logits[:, made.model.pad_token_id] = float("-inf")
    return logits


# --- what a checkpoint smuggles in


def test_draws_come_from_the_models_own_distribution(hub, name, monkeypatch):
    """At every step what is drawn from is the softmax of transformers' logits: nothing forced, banned or cut."""
    made, module = teacher_of(hub, name), raw(hub, name)
    sources = encoded(made).sources
    drawn_from = []
    inverse_cdf = sampler._inverse_cdf

    def watched(logits, chance):
        drawn_from.append(logits.softmax(-1))
        return inverse_cdf(logits, chance)

    monkeypatch.setattr(sampler, "_inverse_cdf", watched)
    for row, source in enumerate(sources):
        drawn_from.clear()
        samples = ancestral_sample(made.model, source_batch(made.model, [source]), 8, [0], [row])
        tokens = samples.labels[0].tolist()
        expected = raw_logits(module, made, source, tokens).softmax(-1)
        torch.testing.assert_close(torch.cat(drawn_from), expected, rtol=1e-4, atol=1e-5)
        log_prob = expected.gather(1, torch.tensor(tokens).unsqueeze(1)).log().sum().item()
        stored = sequence_log_probs(made.model, source_batch(made.model, [source]), samples.labels)
        assert stored.sum().item() == pytest.approx(log_prob, abs=1e-3)


def test_decoding_is_the_tasks_alone(hub, name):
    """Greedy search is the argmax of transformers' logits, step by step, and no settings of the checkpoint's."""
    made, module = teacher_of(hub, name), raw(hub, name)
    sources = encoded(made).sources
    outputs = made.model.generate(source_batch(made.model, sources), max_new_tokens=12, do_sample=False)
    for source, output in zip(sources, outputs.tolist(), strict=True):
        expected = []
        while len(expected) < 12 and made.model.eos_token_id not in expected:
            last = raw_logits(module, made, source, [*expected, 0])[-1]
            expected.append(int(last.argmax()))
        assert output[: len(expected)] == expected


def test_beam_search_is_transformers_own_with_the_tasks_settings(hub, name):
    """Rows of a padded batch as each of them alone, by the untouched module under a clean configuration."""
    made, module = teacher_of(hub, name), raw(hub, name)
    config = module.config
    clean = transformers.GenerationConfig(
        max_new_tokens=8,
        num_beams=3,
        length_penalty=2.0,
        eos_token_id=made.model.eos_token_id,
        pad_token_id=made.model.pad_token_id,
        decoder_start_token_id=made.model.decoder_start_token_id,
        bad_words_ids=[[made.model.pad_token_id]] if made.model.family.pad_is_never_predicted else None,
    )
    module.generation_config = transformers.GenerationConfig()
    sources = encoded(made).sources
    ours = made.model.generate(source_batch(made.model, sources), max_new_tokens=8, num_beams=3, length_penalty=2.0)
    for source, output in zip(sources, ours.tolist(), strict=True):
        inputs = {"input_ids": torch.tensor([source]), "attention_mask": torch.ones(1, len(source), dtype=torch.long)}
        if config.is_encoder_decoder:
            inputs["decoder_input_ids"] = torch.tensor([made.model.decoder_prompt])
        before = len(made.model.decoder_prompt) or len(source)
        theirs = module.generate(**inputs, generation_config=clean)[0, before:].tolist()
        assert output[: len(theirs)] == theirs


def test_what_is_not_used_is_said_once(hub, name, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="fdistill")
    made = fresh(hub, name)
    said = [
        record.getMessage()
        for record in caplog.records
        if "settings of the checkpoint are ignored" in record.getMessage()
    ]
    assert len(said) == (name != "t5-v1_1") and all(str(hub(name)) in line for line in said)
    expected = HUB[name].generation or {key: v for key, v in HUB[name].legacy.items() if key == "num_beams"}
    for key, value in expected.items():
        assert f"{key} {value}" in said[0] or key == "bad_words_ids"
    for task in HUB[name].legacy.get("task_specific_params", {}):
        assert task in said[0]
    caplog.clear()
    save(made, tmp_path / "again")
    load(tmp_path / "again")
    assert not [
        record for record in caplog.records if record.name.startswith("fdistill")
    ]  # what we save has nothing left to say
    kept = {key for file in ("config", "generation_config") for key in read(tmp_path / f"again/{file}.json")}
    assert not kept & {
        "num_beams",
        "max_length",
        "min_length",
        "bad_words_ids",
        "forced_bos_token_id",
        "early_stopping",
    }


def read(path):
    return json.loads(path.read_text())


def test_the_prefixes_of_t5(hub):
    assert teacher_of(hub, "t5-base").source_prefixes == ("summarize: ", TRANSLATE)
    assert teacher_of(hub, "bart-large-xsum").source_prefixes == ()


# --- tokens


def test_targets_end_in_their_only_eos(hub, name):
    """Also where "</s>" is spelt out in the text, which sentencepiece vocabularies would take for a token."""
    made = teacher_of(hub, name)
    eos = made.tokenizer.eos_token
    split = SPLIT_COLUMNS | {"references": [["o zi"], [f"un om {eos} bun"], [""]]}
    targets = encode_split(split, made.tokenizer, LIMITS, "train").targets
    for target in targets:
        assert target.index(made.model.eos_token_id) == len(target) - 1
    words = made.tokenizer.decode(targets[1], skip_special_tokens=True).split()
    assert words[:2] == ["un", "om"] and words[-1] == "bun"


def test_text_survives_the_tokenizer(hub, name):
    """The target's language too: Marian has a sentencepiece model per language."""
    made = teacher_of(hub, name)
    texts = OTHER_TEXTS if name == "marian" else TEXTS
    split = SPLIT_COLUMNS | {"references": [[text] for text in (*texts, *texts)[:3]]}
    limits = Limits(80, 80)
    for target, text in zip(encode_split(split, made.tokenizer, limits, "train").targets, texts, strict=False):
        assert made.tokenizer.decode(target, skip_special_tokens=True).strip() == text


def test_tokens_beyond_the_tokenizer_are_decoded(hub, name):
    """T5's embeddings have more rows than tokens: a random model draws from all of them."""
    made = teacher_of(hub, name)
    rows = made.model.module.get_input_embeddings().num_embeddings
    assert rows == len(made.tokenizer) + HUB[name].spare_rows
    columns = generate_texts(
        made.model,
        made.tokenizer,
        encoded(made).sources,
        {"max_new_tokens": 9, "num_beams": 1, "do_sample": True},
        2,
        1,
    )
    assert all(isinstance(text, str) for text in columns["hypothesis"])
    if HUB[name].spare_rows:
        assert isinstance(made.tokenizer.decode([rows - 1], skip_special_tokens=True), str)


def test_more_tokens_than_rows_are_refused(hub, tmp_path):
    made = fresh(hub, "DialoGPT")
    made.tokenizer.add_tokens([f"[{i}]" for i in range(4)])  # the checkpoint has three rows to spare
    save(made, tmp_path / "model")
    with pytest.raises(UserError, match=r"token ids up to 293, but the model has only 293 embeddings"):
        load(tmp_path / "model")


def test_dialogpt_pads_with_eos(hub):
    made = teacher_of(hub, "DialoGPT")
    assert made.tokenizer.pad_token == made.tokenizer.eos_token == "<|endoftext|>"
    assert made.model.module.config.n_positions == 1024


# --- the pad token of Marian and Pegasus


@pytest.mark.parametrize("name", ["marian", "pegasus"])
def test_a_pad_token_is_no_word(hub, name):
    """Its logit is 0 whatever the context, and the greatest where all others are negative; it is never drawn."""
    made, module = fresh(hub, name), raw(hub, name)
    pad = made.model.pad_token_id
    with torch.no_grad():
        for one in (made.model.module, module):
            one.final_logits_bias[:, :pad] -= 100.0
            one.final_logits_bias[:, pad + 1 :] -= 100.0
    source = encoded(made).sources[0]
    assert raw_logits(module, made, source, [0])[0, pad] == float("-inf")
    theirs = module(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([[pad]])).logits[0, 0]
    assert theirs[pad] == 0 and theirs.argmax() == pad  # transformers, left to itself, would decode nothing else
    sources = source_batch(made.model, [source] * 50)
    samples = ancestral_sample(made.model, sources, 10, [0]).labels
    assert not (samples == pad).any()
    for decoding in ({}, {"num_beams": 4}, {"do_sample": True}, {"min_new_tokens": 10}):
        outputs = made.model.generate(sources, max_new_tokens=10, **decoding)
        for row in outputs.tolist():
            words = row[: row.index(made.model.eos_token_id)] if made.model.eos_token_id in row else row
            assert pad not in words


@pytest.mark.parametrize("name", ["marian", "pegasus"])
@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "hidden_mse"])
def test_every_loss_is_finite_without_a_pad_token_and_leaves_its_row(hub, name, loss):
    """The row is the decoder's first input, zeros: with a probability it would be trained as an output."""
    made = teacher_of(hub, name)
    student = init_student(made, {"encoder": 2, "decoder": 1})
    sequences = {"nll": "ground_truth", "kl_q_mixture": "student_samples"}.get(loss, "teacher_samples")
    train = encoded(made)
    data = TrainingData(train, {"teacher_samples": [[target] for target in train.targets]})
    terms = Objective.from_config([{"sequences": sequences, "loss": loss}])
    chosen = settings(batch_size=3, weight_decay=0.1)
    trainer = Trainer(student.model, made.model, terms, data, chosen, SamplingConfig(6), 0)
    before = [student.model.module.state_dict()[key].clone() for key in positions_of(student)]
    assert torch.isfinite(torch.tensor(trainer.step(next(trainer.batches()))))
    assert (student.model.module.get_input_embeddings().weight[student.model.pad_token_id] == 0).all()
    after = [student.model.module.state_dict()[key] for key in positions_of(student)]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


# --- students


def positions_of(made):
    return [key for key in made.model.module.state_dict() if "embed_positions" in key]


def sinusoids(rows, width):
    """sin(position / 10000^(2i/width)) in the first half, cos in the second."""
    angles = torch.arange(rows)[:, None] / 10000 ** (2 * torch.arange(width // 2) / width)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@pytest.mark.parametrize("name", ["marian", "pegasus"])
def test_sinusoidal_positions_are_constant(hub, name, tmp_path):
    """transformers makes them trainable when it loads them, and does not save Marian's."""
    teacher = fresh(hub, name)
    save(init_student(teacher, {"encoder": 2, "decoder": 1}), tmp_path / "student")
    for made in (teacher, load(tmp_path / "student")):
        for key in positions_of(made):
            parameter = made.model.module.get_parameter(key)
            torch.testing.assert_close(parameter.data, sinusoids(*parameter.shape), rtol=1e-4, atol=1e-5)
            assert not parameter.requires_grad
    assert any(p.requires_grad for p in raw(hub, name).model.encoder.embed_positions.parameters())


def all_layers(made):
    return {name: getattr(made.model.module.config, stack.size_key) for name, stack in made.model.family.stacks.items()}


def test_a_student_of_all_layers_is_the_teacher(hub, name, tmp_path):
    """Before and after saving; and its file holds every weight once."""
    teacher = teacher_of(hub, name)
    student = init_student(teacher, all_layers(teacher))
    student.model.module.eval()
    save(student, tmp_path / "student")
    saved = load(tmp_path / "student")
    assert saved.model.decoder_prompt == teacher.model.decoder_prompt
    for made in (student, saved):
        assert torch.equal(logits_of(made), logits_of(teacher))
        assert tied(made) == tied(teacher)
    weights = load_file(tmp_path / "student" / WEIGHTS)
    assert len({tensor.numpy().tobytes() for tensor in weights.values() if tensor.ndim == 2}) == sum(
        tensor.ndim == 2 for tensor in weights.values()
    ) - (name == "pegasus")  # two tables of positions, equal by nature
    save(teacher, tmp_path / "teacher")
    sizes = [(tmp_path / folder / WEIGHTS).stat().st_size for folder in ("teacher", "student")]
    assert sizes[0] == sizes[1]


def tied(made):
    module = made.model.module
    return module.get_output_embeddings().weight is module.get_input_embeddings().weight


def test_t5_1_1_keeps_its_own_output_layer(hub, tmp_path):
    """And does not scale what enters it, which T5 does."""
    assert tied(teacher_of(hub, "t5-base"))
    teacher = teacher_of(hub, "t5-v1_1")
    assert not tied(teacher)
    save(init_student(teacher, {"encoder": 1, "decoder": 1}), tmp_path / "student")
    student = load(tmp_path / "student")
    assert not tied(student) and not student.model.module.config.scale_decoder_outputs
    assert torch.equal(student.model.module.lm_head.weight, teacher.model.module.lm_head.weight)
    assert torch.equal(student.model.module.shared.weight, teacher.model.module.shared.weight)
    assert teacher_of(hub, "t5-base").model.module.config.scale_decoder_outputs


def test_the_logits_bias_is_copied(hub, tmp_path):
    teacher = teacher_of(hub, "marian")
    save(init_student(teacher, {"encoder": 1, "decoder": 1}), tmp_path / "student")
    bias = load(tmp_path / "student").model.module.final_logits_bias
    assert torch.equal(bias, teacher.model.module.final_logits_bias) and bias.abs().min() > 0


# --- mBART's languages


@pytest.mark.parametrize("name", ["mbart", "mbart-50"])
def test_mbart_reads_and_writes_as_it_was_trained(hub, name, tmp_path):
    """The logits of our targets are those that transformers computes on the model's own format."""
    made = teacher_of(hub, name)
    tokens = made.tokenizer.convert_ids_to_tokens
    split = encoded(made)
    if name == "mbart":  # text </s> code
        assert tokens(split.sources[0][-2:]) == ["</s>", "en_XX"]
        assert tokens(made.model.decoder_prompt) == ["ro_RO"]
    else:  # code text </s>
        assert tokens([split.sources[0][0], split.sources[0][-1]]) == ["en_XX", "</s>"]
        assert tokens(made.model.decoder_prompt) == ["</s>", "ro_RO"]
    assert not {"en_XX", "ro_RO"} & {token for target in split.targets for token in tokens(target)}

    module = raw(hub, name)
    for row, text in enumerate(["o zi", "un om bun"]):
        source, target = split.sources[row], split.targets[row]
        labels = made.tokenizer(text_target=text, return_tensors="pt").input_ids
        theirs = module(input_ids=torch.tensor([source]), labels=labels).logits[0]
        begin = labels[0].tolist().index(target[0])
        assert labels[0, begin : begin + len(target)].tolist() == target
        ours = logits_of(made)[row, : len(target)]
        torch.testing.assert_close(ours, theirs[begin : begin + len(target)], rtol=1e-4, atol=1e-4)

    save(made, tmp_path / "saved")  # the languages are saved with it
    saved = load(tmp_path / "saved")
    assert saved.model.decoder_prompt == made.model.decoder_prompt and encoded(saved) == encoded(made)


def test_a_cut_source_of_mbart_keeps_its_eos_and_its_language(hub):
    made = teacher_of(hub, "mbart")
    sources = encoded(made, Limits(6, 20, "truncate")).sources
    assert all(
        len(source) <= 6 and made.tokenizer.convert_ids_to_tokens(source[-2:]) == ["</s>", "en_XX"]
        for source in sources
    )


@pytest.mark.parametrize(
    ("name", "languages", "message"),
    [
        ("mbart-50", (), r"source_language: missing; .*mbart-50 marks texts"),
        ("mbart-50", ("en_XX",), r"target_language: missing"),
        ("mbart", ("en", "ro_RO"), r"source_language: unknown code 'en'"),
        ("mbart", ("en_XX", "ro"), r"target_language: unknown code 'ro'"),
        ("marian", ("en_XX", "ro_RO"), r"marian has no language codes; remove"),
    ],
)
def test_languages_that_cannot_be(hub, name, languages, message):
    with pytest.raises(UserError, match=message):
        load(hub(name), "cpu", *languages)


# --- weights


@pytest.fixture
def copied(hub, tmp_path):
    """A copy of a published checkpoint, to damage."""

    def copy(name):
        made = teacher_of(hub, name)
        save(made, tmp_path / "copy")
        return tmp_path / "copy"

    return copy


@pytest.mark.parametrize(
    ("name", "key"), [("bart-large", "decoder_layers"), ("t5-base", "num_layers"), ("DialoGPT", "n_layer")]
)
def test_weights_of_more_layers_are_refused(copied, name, key):
    """transformers would load the first layers and leave the others."""
    folder = copied(name)
    (folder / "config.json").write_text(json.dumps(read(folder / "config.json") | {key: 2}))
    with pytest.raises(UserError, match=r"weights have no place in the model of config\.json \(first: .*2\."):
        load(folder)


def test_what_is_not_a_weight_is_tolerated(copied):
    folder = copied("bart-large-xsum")
    weights = load_file(folder / WEIGHTS)
    extra = {
        "lm_head.weight": weights["model.shared.weight"].clone(),
        "model.decoder.embed_tokens.weight": weights["model.shared.weight"].clone(),
        "model.encoder.embeddings.position_ids": torch.arange(4),
        "model.decoder.version": torch.tensor([3.0]),
    }
    save_file(weights | extra, folder / WEIGHTS, metadata={"format": "pt"})
    load(folder)
    save_file(weights | {"model.adapter.weight": torch.ones(2)}, folder / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"1 weights have no place .*model\.adapter\.weight"):
        load(folder)


def test_a_checkpoint_without_safetensors(copied):
    folder = copied("DialoGPT")
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()
    with pytest.raises(UserError, match=r"has no model\.safetensors.*set model\.teacher\.allow_pickle"):
        load(folder)
    load(folder, allow_pickle=True)  # what the message says does what it promises


def test_a_checkpoint_of_two_vocabularies(copied):
    folder = copied("marian")
    config = read(folder / "config.json") | {"share_encoder_decoder_embeddings": False}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="separate vocabularies for sources and targets"):
        load(folder)


# --- left padding


@pytest.mark.parametrize("decoding", [{"num_beams": 1}, {"num_beams": 4}, {"num_beams": 3, "min_new_tokens": 6}])
def test_left_padding_changes_no_output(hub, decoding):
    """Learned positions count the tokens of a row, not its padding."""
    made = teacher_of(hub, "DialoGPT")
    sources = encoded(made).sources
    assert len({len(source) for source in sources}) == 3
    ranks = made.model.generate(source_batch(made.model, sources), max_new_tokens=8, **decoding).tolist()
    for source, row in zip(sources, ranks, strict=True):
        alone = made.model.generate(source_batch(made.model, [source]), max_new_tokens=8, **decoding)[0].tolist()
        assert row[: len(alone)] == alone


def test_left_padding_changes_no_draw(hub, monkeypatch):
    """The distributions that are drawn from are those of each row alone, at every step; wrong positions would show."""
    made = teacher_of(hub, "DialoGPT")
    sources = encoded(made).sources
    source = source_batch(made.model, sources)
    seen, going = [[] for _ in sources], [range(len(sources))]
    start, step, keep = made.model.start, made.model.step, made.model.select_rows

    def watched(logits):
        for row, of_row in zip(going[-1], logits, strict=True):
            seen[row].append(of_row)
        return logits

    def started(context):
        logits, state = start(context)
        return watched(logits), state

    def kept(rows, state):
        going.append([going[-1][row] for row in rows.tolist()])
        keep(rows, state)

    monkeypatch.setattr(made.model, "start", started)
    monkeypatch.setattr(made.model, "step", lambda *args: watched(step(*args)))
    monkeypatch.setattr(made.model, "select_rows", kept)
    samples = ancestral_sample(made.model, source, 6, [0]).labels
    for row, one in enumerate(sources):
        tokens = [token for token in samples[row].tolist() if token != IGNORE]
        expected = raw_logits(made.model.module, made, one, tokens)
        got = torch.stack(seen[row])
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        shifted = made.model.module(source.input_ids, attention_mask=source.attention_mask).logits[1, -1]
    assert (shifted - seen[1][0]).abs().max() > 0.1


# --- from the checkpoint to a student's output


def run_script(monkeypatch, script, *arguments):
    """A script's `main` in this process."""
    spec = importlib.util.spec_from_file_location(f"script_{script}", SCRIPTS / f"{script}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    module.main()


def finetune(monkeypatch, folder, hub, name, *arguments):
    """finetune_teacher with epochs 0: the checkpoint as it is."""
    write_parquet(folder / "split.parquet", SPLIT_COLUMNS, SPLIT)
    out = folder / "teacher"
    languages = zip(("--source-language", "--target-language"), HUB[name].languages, strict=False)
    given = ["--train", folder / "split.parquet", "--dev", folder / "split.parquet", "--model", out]
    given += ["--history", folder / "history.jsonl", "--init", hub(name), "--seed", "1", "--epochs", "0"]
    given += ["--learning-rate", "1", "--max-source-tokens", "40", "--max-target-tokens", "20"]
    given += [*(part for pair in languages for part in pair), *arguments]
    if "--family" not in arguments:
        given += ["--family", HUB[name].family]
    run_script(monkeypatch, "finetune_teacher", *given)
    return out


def test_a_teacher_used_as_it_is(hub, name, tmp_path, monkeypatch):
    """Every weight byte for byte, but for the pad token's logit where it is no word; then one of everything."""
    folder = finetune(monkeypatch, tmp_path, hub, name, "--too-long", "truncate")
    assert read_json_lines(tmp_path / "history.jsonl")[0] == []
    before, after = raw(hub, name).state_dict(), load(folder).model.module.state_dict()
    assert before.keys() == after.keys()
    for key, value in before.items():
        if key == "final_logits_bias":
            pad = load(folder).model.pad_token_id
            value[:, pad] = after[key][:, pad]
        assert torch.equal(value, after[key]), key

    teacher = load(folder)
    layers = dict.fromkeys(teacher.model.family.stacks, 2)
    run_script(
        monkeypatch,
        "init_student",
        "--teacher",
        folder,
        "--layers",
        json.dumps(layers),
        "--model",
        tmp_path / "student",
    )
    student = load(tmp_path / "student")
    train = encoded(student)
    terms = Objective.from_config(
        [{"sequences": "ground_truth", "loss": "kl"}, {"sequences": "student_samples", "loss": "rkl"}]
    )
    chosen = settings(batch_size=3, learning_rate=1e-3)
    trainer = Trainer(student.model, teacher.model, terms, TrainingData(train, {}), chosen, SamplingConfig(6), 0)
    losses = [trainer.step(next(trainer.batches())) for _ in range(2)]
    assert all(torch.isfinite(torch.tensor(losses)))
    columns = generate_texts(
        student.model, student.tokenizer, train.sources, {"max_new_tokens": 6, "num_beams": 2}, 2, seed=0
    )
    assert len(columns["hypothesis"]) == len(train)


def test_a_prefix_that_t5_does_not_know(hub, tmp_path, monkeypatch, caplog):
    for prefix, warned in ((TRANSLATE, False), ("translate: ", True)):
        caplog.clear()
        finetune(monkeypatch, tmp_path, hub, "t5-base", "--too-long", "truncate", f"--source-prefix={prefix}")
        messages = [record.getMessage() for record in caplog.records]
        assert any("'translate: ', none of those" in message and TRANSLATE in message for message in messages) == warned


@pytest.mark.parametrize(
    ("name", "given"), [("pegasus", "bart"), ("mbart-50", "bart"), ("DialoGPT", "t5"), ("marian", "pegasus")]
)
def test_a_checkpoint_of_another_family(hub, name, given, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=rf"is a {HUB[name].family} model, not {given}; set its family"):
        finetune(monkeypatch, tmp_path, hub, name, "--family", given)
