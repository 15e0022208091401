"""Preflight's checks of a study's inputs: teachers, data, and the models of metrics."""

import json
import os
import shutil
import types
from pathlib import Path

import pytest
import tiny
import torch
from fdistill.artifacts.atomic import write_text
from fdistill.artifacts.files import sha256
from fdistill.data.sources import SPLITS, Corpus, Example
from fdistill.models import checkpoints
from fdistill.preflight import data, gpu, metrics, reach, teachers
from fdistill.runtime.errors import UserError
from peft import LoraConfig, get_peft_model
from plans import from_checkpoint, plan, problems
from safetensors.torch import load_file
from small_config import METHODS, TABLE, put


@pytest.fixture
def checkpoint(tmp_path):
    """A folder with a BART of 2 + 2 layers and 32 positions."""
    checkpoints.save(tiny.checkpoint("bart"), tmp_path / "bart")
    return tmp_path / "bart"


# --- unlabelled inputs


@pytest.mark.parametrize(
    ("share", "words"), [(None, "none, so that these are the same training: kl and same"), (0.5, "")]
)
def test_methods_that_only_unlabelled_inputs_tell_apart_are_named(project, share, words):
    """Not those that another stage trains."""
    method = TABLE["kl"] | {"title": "Labelled", "unlabelled": False}
    project.write(METHODS, TABLE | {"same": method, "other": method | {"training": "predistill"}})
    changes = [("source.unlabelled_share", share)] if share else []
    made = plan(project, *changes, methods=["mle", "kl", "same", "other"])
    found = [finding for finding in data.check(made) if finding.where == "web: unlabelled inputs"]
    assert not any(finding.problem for finding in found)
    assert (found[0].text == words) if words else "same (unlabelled: false)" in found[0].text
    assert not [one for one in data.check(plan(project, methods=["mle", "kl"])) if one.where.endswith("inputs")]


# --- teachers


def test_a_checkpoint_that_fits(project, checkpoint):
    short = (("text", {"max_source_tokens": 16, "max_target_tokens": 16}),)
    (finding,) = teachers.check(plan(project, *from_checkpoint(checkpoint, *short)))
    assert not finding.problem
    assert "a folder on this machine" in finding.text


@pytest.mark.parametrize("window", [32, 24])
def test_texts_that_are_longer_than_a_window_need_the_engine_that_has_it(project, tmp_path, window):
    checkpoints.save(tiny.checkpoint("mistral", sliding_window=window), tmp_path / "mistral")
    changes = [
        ("model.family", "mistral"),
        ("model.student", {"decoder": 1}),
        ("text", {"max_source_tokens": 16, "max_target_tokens": 16}),
        ("decoding", {"max_new_tokens": 16, "num_beams": 1, "engine": "ctranslate2"}),
    ]
    (finding,) = teachers.check(plan(project, *from_checkpoint(tmp_path / "mistral", *changes)))
    assert finding.problem == (window == 24)
    if finding.problem:
        assert "decoding.engine: texts of 32 tokens are longer than the model's sliding window, 24" in finding.text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            (("model.student", {"encoder": 3, "decoder": 1}),),
            "a student of 3 layers cannot be copied from a teacher of 2",
        ),
        ((("text", {"max_source_tokens": 64, "max_target_tokens": 16}),), "64, but the model has 32 positions"),
        ((("model.family", "mbart"),), "is a bart model, not mbart; set its family"),
        ((("model.teacher", {"init": "./nowhere"}),), "model.teacher.init: ./nowhere: there is no such folder"),
        ((("model.teacher", {"init": "my/models/x"}),), "model.teacher.init: my/models/x: there is no such folder"),
        ((("model.teacher", {"init": "my model"}),), "my model is not available (Repo id must use alphanumeric"),
    ],
)
def test_a_checkpoint_that_does_not_fit(project, checkpoint, changes, text):
    (finding,) = teachers.check(plan(project, *from_checkpoint(checkpoint, *changes)))
    assert finding.problem
    assert text in finding.text


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("model.safetensors", "has no model.safetensors"),
        ("config.json", "has no config.json"),
        ("tokenizer.json", "has no tokenizer"),
    ],
)
def test_a_checkpoint_that_lacks_a_file(project, checkpoint, file, text):
    (checkpoint / file).unlink()
    (finding,) = teachers.check(plan(project, *from_checkpoint(checkpoint)))
    assert finding.problem
    assert text in finding.text


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("dropout", 5, "model.teacher.config.dropout: 5 is not allowed; must be a number from 0 to 1"),
        ("encoder_attention_heads", 0, "model.teacher.config.encoder_attention_heads: 0 is not allowed"),
        ("encoder_ffn_dim", -4, "model.teacher.config.encoder_ffn_dim: -4 is not allowed"),
        ("activation_function", "gulu", "model.teacher.config.activation_function: unknown activation"),
        ("encoder_attention_heads", 7, "model.teacher.config: embed_dim must be divisible by num_heads"),
        ("d_model", "wide", "model.teacher.config: Validation error for field 'd_model'"),
        ("d_modle", 64, "model.teacher.config: BartConfig has no key 'd_modle'; did you mean 'd_model'?"),
        ("to_dict", 1, "model.teacher.config: BartConfig has no key 'to_dict'"),
        ("d_model", 10**7, "model.teacher.config: makes a model of"),
    ],
)
def test_a_teacher_from_scratch_that_cannot_be_made_is_refused_by_key(project, key, value, text):
    (finding,) = teachers.check(plan(project, (f"model.teacher.config.{key}", value)))
    assert finding.problem
    assert text in finding.text


def test_what_the_run_would_refuse_of_a_checkpoint_is_a_problem(project, checkpoint):
    whole = (checkpoint / "model.safetensors").read_bytes()
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    for content, text in ((pointer, "run `git lfs pull`"), (whole[:-9], "damaged or cut off")):
        (checkpoint / "model.safetensors").write_bytes(content)
        (finding,) = teachers.check(plan(project, *from_checkpoint(checkpoint)))
        assert finding.problem and text in finding.text
        with pytest.raises(UserError) as error:
            checkpoints.load(checkpoint)
        assert finding.text == f"model.teacher.init: {error.value}"  # a key, which loading does not know


def test_an_adapter_that_fits_and_others(project, checkpoint):
    """What preflight says of an adapter is what loading says, with the key."""
    adapter = checkpoint.parent / "adapter"
    module = tiny.checkpoint("bart").model.module
    get_peft_model(module, LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(adapter)
    short = ("text", {"max_source_tokens": 16, "max_target_tokens": 16})
    given = ("model.teacher", {"init": str(checkpoint), "adapter": str(adapter)})
    (finding,) = teachers.check(plan(project, *from_checkpoint(checkpoint, short, given)))
    assert not finding.problem
    file = adapter / "adapter_config.json"
    of_peft = json.loads(file.read_text())
    for change, text in (({"r": 3}, "has the shape [2, 16], not [3, 16]"), ({"peft_type": "LOHA"}, "only LORA")):
        file.write_text(json.dumps(of_peft | change))
        (finding,) = teachers.check(plan(project, *from_checkpoint(checkpoint, short, given)))
        assert finding.problem and text in finding.text
        with pytest.raises(UserError) as error:
            checkpoints.load(checkpoint, adapter=str(adapter))
        assert finding.text == f"model.teacher.adapter: {error.value}"


def test_maps_for_lora_that_the_checkpoint_lacks(project, checkpoint):
    short = ("text", {"max_source_tokens": 16, "max_target_tokens": 16})
    for names, is_problem in ((["q_proj", "fc1"], False), (["c_attn"], True)):
        lora = ("training.teacher.lora", {"target_modules": names})
        (finding,) = teachers.check(plan(project, *from_checkpoint(checkpoint, short, lora)))
        assert finding.problem == is_problem
    assert 'training.teacher.lora.target_modules: "c_attn" is no linear map' in finding.text


def test_a_checkpoint_below_home(project, checkpoint, monkeypatch):
    monkeypatch.setenv("HOME", str(checkpoint.parent))
    short = ("text", {"max_source_tokens": 16, "max_target_tokens": 16})
    (finding,) = teachers.check(plan(project, *from_checkpoint("~/bart", short)))
    assert not finding.problem
    checkpoints.load("~/bart")


def test_a_checkpoint_with_a_pickle_alone_needs_leave(project, checkpoint):
    torch.save(load_file(checkpoint / "model.safetensors"), checkpoint / "pytorch_model.bin")
    (checkpoint / "model.safetensors").unlink()
    (finding,) = teachers.check(plan(project, *from_checkpoint(checkpoint)))
    assert finding.problem and "if you trust it, set allow_pickle: true beside its init" in finding.text
    given = {"init": str(checkpoint), "allow_pickle": True}
    (finding,) = teachers.check(plan(project, *from_checkpoint(checkpoint, ("model.teacher", given))))
    assert not finding.problem


def test_a_checkpoint_on_the_hub_is_named_with_what_nodes_without_a_network_need(project, monkeypatch):
    files = {"config.json": 900, "model.safetensors": 2 * 10**9, "tokenizer.json": 2000}
    monkeypatch.setattr(reach, "hub_model", lambda model_id: files)
    monkeypatch.setattr(reach, "hub_file", lambda model_id, name: None)
    found = tiny.checkpoint("bart").model
    monkeypatch.setattr(
        "fdistill.preflight.architectures.read_configuration", lambda name: (found.module.config, found.family)
    )
    change = from_checkpoint("someone/bart", ("text", {"max_source_tokens": 16, "max_target_tokens": 16}))
    (finding,) = teachers.check(plan(project, *change, jobs={"distill": {}}))
    assert not finding.problem
    assert "hf download someone/bart" in finding.text
    (finding,) = teachers.check(plan(project, *change))
    assert "hf download" not in finding.text


# --- data


def test_local_data(project, tmp_path):
    files = {}
    for split in ("train", "dev", "test"):
        files[split] = str(tmp_path / f"{split}.jsonl")
        write_text(files[split], '{"source": "a", "target": "b"}\n')
    planned = plan(project, ("source", {"kind": "files", "path": files}))
    (finding,) = data.check(planned)
    assert (finding.problem, finding.text) == (False, "local files (train 1, dev 1, test 1 examples)")
    (tmp_path / "dev.jsonl").unlink()
    (finding,) = data.check(planned)
    assert finding.problem and f"source.path: no such file '{tmp_path / 'dev.jsonl'}' (relative to" in finding.text


def test_the_targets_of_local_sources_are_looked_for_too(project, tmp_path):
    files = dict.fromkeys(("train", "dev", "test"), str(tmp_path / "all.source"))
    write_text(files["train"], "a\n")
    (finding,) = data.check(plan(project, ("source", {"kind": "xsum", "path": files})))
    assert finding.problem and finding.text.count(str(tmp_path / "all.target")) == 1
    assert "all.source" not in finding.text


def test_local_data_are_read_to_the_last_row(project, tmp_path):
    path = dict.fromkeys(("train", "dev", "test"), str(tmp_path / "all.csv"))
    write_text(path["train"], "source,target\n" + "a,b\n" * 3000 + "c,\n")
    planned = plan(project, ("source", {"kind": "files", "path": path}))
    (finding,) = data.check(planned)
    assert finding.problem and "all.csv, line 3002: 'target' is empty" in finding.text
    write_text(path["train"], "source,target\na,b\n")
    write_text(planned.results / "web/prepare/manifest.json", "{}")
    (finding,) = data.check(planned)
    assert not finding.problem and finding.text.startswith("local files")  # other data were prepared


def test_local_data_are_prepared_while_their_content_is_what_was_read(project, tmp_path):
    path = {split: str(tmp_path / f"{split}.csv") for split in ("train", "dev", "test")}
    for split, file in path.items():
        write_text(file, f"source,target\n{split},b\n")
    planned = plan(project, ("source", {"kind": "files", "path": path}))
    manifest = {"archives": [{"package": file, "sha256": sha256(file)} for file in path.values()]}
    write_text(planned.results / "web/prepare/manifest.json", json.dumps(manifest))
    os.utime(path["train"], (2e9, 2e9))
    assert [finding.text for finding in data.check(planned)] == ["prepared already"]
    write_text(path["train"], "source,target\nother,b\n")
    os.utime(path["train"], (0, 0))  # as `mv backup.csv train.csv` leaves it
    (finding,) = data.check(planned)
    assert finding.text.startswith("local files")
    Path(path["dev"]).unlink()
    (finding,) = data.check(planned)
    assert finding.problem and "dev.csv" in finding.text


def test_what_learns_from_unlabelled_inputs_is_said(project, tmp_path):
    path = {split: str(tmp_path / f"{split}.csv") for split in ("train", "dev", "test")}
    for split, file in path.items():
        write_text(file, "source,target\n" + "".join(f"{split} {i},b\n" for i in range(4)))
    project.write(METHODS, put(TABLE, "seqkd.unlabelled", False))
    source = {"kind": "files", "path": path, "unlabelled_share": 0.5}
    planned = plan(project, ("source", source), methods=["mle", "kl", "seqkd"])
    texts = [f"{finding.where}: {finding.text}" for finding in data.check(planned)]
    assert texts == [
        "web: data: local files (train 2, dev 4, test 4, unlabelled 2 examples)",
        "web: unlabelled inputs: kl learns from them too; on labelled inputs alone: mle (ground_truth), "
        "predistill (ground_truth), seqkd (unlabelled: false)",
    ]
    archives = [{"package": file, "sha256": sha256(file)} for file in path.values()]
    for share, text in ((0.5, "prepared already"), (0.25, "local files")):  # of this share, and of another
        manifest = {"source": source | {"unlabelled_share": share}, "archives": archives}
        write_text(planned.results / "web/prepare/manifest.json", json.dumps(manifest))
        assert next(data.check(planned)).text.startswith(text)


def test_a_source_without_files_and_places_is_built(project, monkeypatch):
    splits = {split: [Example(split, split, "a", ("b",))] for split in SPLITS}
    mine = types.SimpleNamespace(ARCHIVES=(), load=lambda archives, options: Corpus(splits, ""))
    planned = plan(project, ("source", {"kind": "xsum"}))
    monkeypatch.setattr("fdistill.data.sources.source_module", lambda kind: mine)
    (finding,) = data.check(planned)
    assert (finding.problem, finding.text) == (False, "built by source xsum")


def test_data_that_is_prepared_is_not_looked_for(project):
    planned = plan(project, ("source", {"kind": "xsum"}))
    write_text(planned.results / "web/prepare/manifest.json", "{}")
    (finding,) = data.check(planned)
    assert finding.text == "prepared already"


def test_data_from_the_first_place_that_answers(project, monkeypatch):
    revisions = []

    def answer(dataset_id, revision):
        revisions.append(revision)
        if revision == "main":
            raise UserError("not here")

    monkeypatch.setattr(reach, "hub_dataset", answer)
    (finding,) = data.check(plan(project, ("source", {"kind": "xsum"})))
    assert not finding.problem
    assert "revision refs/convert/parquet" in finding.text
    assert revisions == ["main", "refs/convert/parquet"]


# --- metrics


def test_metrics_that_cannot_be_computed(project, monkeypatch):
    def down(model_id):
        raise UserError(f"{model_id} is not available (no network)")

    monkeypatch.setattr(reach, "hub_model", down)
    monkeypatch.setattr(shutil, "which", lambda *_: None)  # no Java
    changes = (
        ("metrics", ["bleu4", "meteor", "bertscore", "moverscore", "bleurt"]),
        ("metric_options", {"bertscore": {"model": "someone/encoder"}, "moverscore": {"model": "./nowhere"}}),
    )
    findings = list(metrics.check(plan(project, *changes)))
    assert [text.split(":")[2].split(" will")[0].strip() for text in problems(findings)] == [
        "METEOR",
        "BERTScore",
        "MoverScore",
    ]
    text = "\n".join(problems(findings))
    assert "apt-get install default-jre-headless" in text
    assert "metric_options.bertscore.model" in text
    assert "moverscore.model" in text
    left_out, ready = [finding.text for finding in findings if not finding.problem]
    assert left_out.startswith("BLEURT will be n/a: ")  # no checkpoint is set, so it is left out on purpose
    assert ready == "BLEU-4: ready"


def test_a_metric_of_the_selection_counts(project):
    changes = (("selection", {"metric": "moverscore"}), ("metric_options", {"moverscore": {"model": "no/such/folder"}}))
    text = problems(metrics.check(plan(project, *changes)))[0]
    assert "MoverScore will be n/a: 'no/such/folder' is not an encoder's directory" in text


def test_an_encoder_whose_weights_are_a_git_lfs_pointer(project, tmp_path):
    write_text(tmp_path / "encoder/config.json", "{}")
    write_text(tmp_path / "encoder/model.safetensors", "version https://git-lfs.github.com/spec/v1\n")
    options = {"moverscore": {"model": str(tmp_path / "encoder")}}
    planned = plan(project, ("metrics", ["bleu4", "moverscore"]), ("metric_options", options))
    (problem,) = problems(metrics.check(planned))
    assert "model.safetensors: is a Git LFS pointer, not the file itself; run `git lfs pull`" in problem


def test_an_encoder_on_the_hub_is_named_with_what_nodes_without_a_network_need(project, monkeypatch):
    files = {"config.json": 900, "model.safetensors": 10**9, "vocab.txt": 2000}
    monkeypatch.setattr(reach, "hub_model", lambda model_id: files)
    monkeypatch.setattr(reach, "hub_file", lambda model_id, name: None)
    changes = (("metrics", ["moverscore"]), ("metric_options", {"moverscore": {"model": "someone/encoder"}}))
    (finding,) = metrics.check(plan(project, *changes, jobs={"score": {}}))
    assert not finding.problem
    assert "hf download someone/encoder" in finding.text


# --- another teacher


def with_other(project, **other):
    """Return the findings about the other teacher of a study that learns from its labels."""
    terms = [{"sequences": "other_teacher_beam", "loss": "nll"}]
    project.write(METHODS, TABLE | {"kl": TABLE["mle"] | {"training": "distill", "terms": terms}})
    findings = teachers.check(plan(project, ("other_teacher", other)))
    return [finding for finding in findings if finding.where == "web: other teacher"]


def test_another_teacher_that_fits_and_one_that_does_not(project, checkpoint):
    (finding,) = with_other(project, init=str(checkpoint), text={"max_source_tokens": 32})
    assert not finding.problem and "a folder on this machine" in finding.text
    (finding,) = with_other(project, init=str(checkpoint), text={"max_source_tokens": 64})
    assert finding.problem and "64, but the model has 32 positions" in finding.text
    (finding,) = with_other(project, init="./nowhere")
    assert finding.problem and "./nowhere: there is no such folder" in finding.text
    (finding,) = with_other(project, init="studies/t5/teacher/model")
    assert finding.problem and "other_teacher.init: studies/t5/teacher/model: there is no such" in finding.text


def test_another_teachers_labels_must_fit_a_gpu(project, checkpoint):
    terms = [{"sequences": "other_teacher_beam", "loss": "nll"}]
    project.write(METHODS, TABLE | {"kl": TABLE["mle"] | {"training": "distill", "terms": terms}})
    other = {"init": str(checkpoint), "text": {"max_source_tokens": 32}}
    beam = ("other_teacher_beam.batch_size", 1_000_000)
    found = [*gpu.check(plan(project, ("other_teacher", other), beam, gpu_memory=1))]
    (problem,) = [finding.text for finding in found if finding.text.startswith("label needs about") and finding.problem]
    assert problem.endswith("lower batch_size of other_teacher_beam")


def test_labels_that_exist_already(project, tmp_path):
    (tmp_path / "own.csv").write_text("id,text\n")
    (finding,) = with_other(project, labels=str(tmp_path / "own.csv"))
    assert not finding.problem
    (finding,) = with_other(project, labels=str(tmp_path / "none.csv"))
    assert finding.problem and "none.csv: no such file; correct other_teacher.labels" in finding.text
