"""The stream of an epoch: labelled and unlabelled inputs, original pairs, and the stored sequences of each in turn."""

import json

import pytest
import tiny
from chain import TEXT, TRAINING, Study, run
from fdistill.artifacts.files import read_json, read_json_lines
from fdistill.artifacts.lineage import lineage_of
from fdistill.data.encoding import Encoded
from fdistill.sampling.cache_kinds import STATES, TOPK
from fdistill.training.micro_batches import TrainingData
from fdistill.training.state import TrainingCheckpoints
from training_cases import constant_score, data_of, selection, trainer_of

LABELLED, UNLABELLED = 7, 4
KL = {"sequences": "teacher_samples", "loss": "kl"}


def stream_of(checkpoint, **use):
    """Seven labelled and four unlabelled examples with three samples and one beam output each."""
    data = data_of(checkpoint, LABELLED + UNLABELLED)
    references = [*data.train.references[:LABELLED], *([] for _ in range(UNLABELLED))]
    return TrainingData(Encoded(data.train.ids, data.train.sources, references), data.stored, **use)


def epoch_of(trainer, epoch, kind):
    """What an epoch of the trainer shows: (id, source, sequence) of every row, sorted."""
    trainer.state.step = epoch * trainer.epoch_steps
    batches, shown = trainer.batches(), []
    for _ in range(trainer.epoch_steps):
        for batch in next(batches):
            source, labels = batch.source, batch.labels[kind]
            rows = zip(batch.ids, source.input_ids, source.attention_mask.bool(), labels, strict=True)
            shown += [(name, ids[mask].tolist(), row[row >= 0].tolist()) for name, ids, mask, row in rows]
    return sorted(shown)


@pytest.mark.parametrize("include_original", [False, True])
@pytest.mark.parametrize("per_input", [None, 1, 2])
def test_epochs_are_enumerated_by_hand(include_original, per_input):
    teacher, student = tiny.checkpoint("bart", 1), tiny.checkpoint("bart", 2)
    data = stream_of(student, include_original=include_original, per_input=per_input)
    trainer = trainer_of(student, teacher, "kl", data, batch_size=4, accumulation=1)
    assert trainer.epoch_steps == (5 if include_original else 3)
    train, samples = data.train, data.stored["teacher_samples"]
    for epoch in range(5):
        turn = epoch % (3 if per_input is None else per_input)
        expected = [(train.ids[i], train.sources[i], samples[i][turn]) for i in range(LABELLED + UNLABELLED)]
        if include_original:
            expected += [(train.ids[i], train.sources[i], train.references[i][0]) for i in range(LABELLED)]
        assert epoch_of(trainer, epoch, "teacher_samples") == sorted(expected)


def test_the_log_says_what_an_epoch_has():
    student = tiny.checkpoint("bart", 2)
    data = stream_of(student, include_original=True, per_input=2)
    assert data.summary == (
        "7 labelled inputs, 4 unlabelled inputs, 7 original pairs; 2 teacher_samples per input, in turn; "
        "1 teacher_beam per input, in turn"
    )
    data = stream_of(student)
    del data.stored["teacher_samples"][3][1:]
    assert "0 original pairs; 1 to 3 teacher_samples per input, in turn; 1 teacher_beam" in data.summary


def test_originals_have_their_references_in_turn_for_every_stored_kind():
    student = tiny.checkpoint("bart", 2)
    data = stream_of(student, include_original=True, per_input=1)
    data.train.references[0].append([5, 2])
    original = len(data.train)
    assert [data.sequences("teacher_samples", original, epoch) for epoch in range(3)] == [
        data.train.references[0][i] for i in (0, 1, 0)
    ]
    assert data.sequences("teacher_beam", original, 1) == data.sequences("ground_truth", 0, 1) == [5, 2]
    assert (len(data), data.labelled, data.example(original + 3)) == (18, 7, 3)


def test_lengths_are_those_of_the_references_or_of_the_first_stored_sequence():
    student = tiny.checkpoint("bart", 2)
    data = stream_of(student, include_original=True)
    for item in range(len(data)):
        example = data.example(item)
        target = (data.train.references[example] or data.stored["teacher_samples"][example])[0]
        assert data.lengths(item) == (len(data.train.sources[example]), len(target))
    assert TrainingData(data.train, {}).lengths(LABELLED) == (len(data.train.sources[LABELLED]), 0)


@pytest.mark.parametrize("method", ["rkl", "js", "js_online"])
def test_methods_that_sample_train_on_unlabelled_inputs(method):
    teacher, student = tiny.checkpoint("gpt2", 1), tiny.checkpoint("gpt2", 2)
    trainer = trainer_of(student, teacher, method, stream_of(student), batch_size=4, epochs=1)
    history = trainer.run(constant_score, selection())
    assert trainer.state.step == 3 and all(entry["loss"] > 0 for entry in history if "loss" in entry)


def test_a_resumed_run_has_the_bytes_of_one_that_was_not_interrupted(tmp_path):
    def run_to(steps, checkpoints=None):
        teacher, student = tiny.checkpoint("bart", 1), tiny.checkpoint("bart", 2, **tiny.DROPOUT["bart"])
        data = stream_of(student, include_original=True, per_input=2)
        trainer = trainer_of(student, teacher, "js", data, batch_size=4, epochs=3, learning_rate=1e-2)
        with TrainingCheckpoints(checkpoints, {"seed": 1}, 0) as saving:
            if (latest := saving.latest()) is not None:
                trainer.load_state_dict(latest)
            batches = trainer.batches()
            while trainer.state.step < min(steps, trainer.total_steps):
                trainer.step(next(batches))
                trainer.state.step += 1
            saving.save_if_due(trainer.state_dict, "test")
        return b"".join(value.numpy().tobytes() for value in student.model.module.state_dict().values())

    whole = run_to(99)
    for steps in (4, 7):
        assert run_to(steps, tmp_path) != whole
    assert run_to(99, tmp_path) == whole


# --- the scripts


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study to the teacher's samples of both splits, with five unlabelled inputs; and the samples of the latter."""
    study = Study(tmp_path_factory.mktemp("study"))
    (study.folder / "unlabelled.csv").write_text("source\n" + "".join(f"{study.task} of new {i}\n" for i in range(5)))
    preparation = study.preparation

    def with_unlabelled(output):
        given = preparation(output)
        at = given.index("--options") + 1
        options = json.loads(given[at])
        options["path"]["unlabelled"] = str(study.folder / "unlabelled.csv")
        return [*given[:at], json.dumps(options), *given[at + 1 :]]

    study.preparation = with_unlabelled
    study.prepare()
    script, *teacher = study.command("finetune_teacher")
    run(script, *teacher, "--unlabelled", study.unlabelled)
    run(*study.command("init_student"))
    unlabelled = study.folder / "unlabelled_samples.parquet"
    for split, samples in ((study.train, study.samples), (study.unlabelled, unlabelled)):
        of = ["--split", split, "--teacher", study.teacher, "--samples", samples, "--kind", "teacher_samples"]
        run("sample_teacher", *of, "--task", study.task, "--per-input", 2, "--seed", 1, "--device", "cpu", *TEXT)
    return study


def distill(study, folder, *given, fails=False, terms=KL):
    """Train a student on both splits with further flags; what the script says if it `fails`, or its curve."""
    terms = json.dumps([terms])
    inputs = ["--teacher", study.teacher, "--start", study.start, "--train", study.train, "--dev", study.dev]
    inputs += ["--teacher-samples", study.samples, "--unlabelled", study.unlabelled, "--terms", terms]
    written = ["--model", folder / "model", "--history", folder / "train.jsonl"]
    others = ["--seed", 1, "--device", "cpu", *TEXT, *TRAINING, "--task", study.task]
    said = run("distill", *inputs, *written, *others, *given, fails=fails)
    if fails:
        return said
    lines, _ = read_json_lines(folder / "train.jsonl")
    return [value for line in lines for value in (line.get("loss"), *line.get("dev", {}).values()) if value]


def test_the_scripts_read_both_splits(study, tmp_path, capfd):
    unlabelled = ["--unlabelled-teacher-samples", study.folder / "unlabelled_samples.parquet"]
    curve = distill(study, tmp_path / "plain", *unlabelled)
    said = capfd.readouterr().err
    assert "an epoch: 12 labelled inputs, 5 unlabelled inputs, 0 original pairs; 2 teacher_samples per input" in said
    manifest = read_json(tmp_path / "plain/model/manifest.json")
    assert {"unlabelled", "unlabelled_teacher_samples"} < manifest["inputs"].keys() and "stream" not in manifest
    assert lineage_of(tmp_path / "plain/model")["task"] == study.task
    distill(study, tmp_path / "original", *unlabelled, "--include-original", "--per-input", 1, "--max-unlabelled", 5)
    assert "an epoch: 12 labelled inputs, 5 unlabelled inputs, 12 original pairs" in capfd.readouterr().err
    manifest = read_json(tmp_path / "original/model/manifest.json")
    assert manifest["stream"] == {"include_original": True, "per_input": 1}

    for kind in (STATES, TOPK):  # the same curve with the distributions of both splits from the cache
        caches = []
        for split, samples in ((study.train, study.samples), (study.unlabelled, unlabelled[1])):
            caches.append(tmp_path / kind / split.stem)
            of = ["--split", split, "--teacher", study.teacher, "--teacher-samples", samples, "--cache", caches[-1]]
            run("cache_teacher", *of, "--kind", kind, "--top-k", 1000, "--seed", 1, "--device", "cpu", *TEXT)
        cached = ["--teacher-cache", caches[0], "--unlabelled-teacher-cache", caches[1]]
        assert distill(study, tmp_path / kind, *unlabelled, *cached) == pytest.approx(curve, rel=1e-3)
    said = distill(study, tmp_path / "x", *unlabelled, *cached, "--include-original", fails=True)
    assert "a cache has no original pairs" in said
    assert "one is missing; give both or none" in distill(study, tmp_path / "x", *unlabelled, *cached[:2], fails=True)
    mixed = [*cached[:2], "--unlabelled-teacher-cache", tmp_path / STATES / "unlabelled"]
    assert "the caches differ in --kind" in distill(study, tmp_path / "x", *unlabelled, *mixed, fails=True)


def test_mistakes_are_refused(study, tmp_path):
    unlabelled = study.folder / "unlabelled_samples.parquet"
    assert "--unlabelled-teacher-samples: missing" in distill(study, tmp_path, fails=True)
    said = distill(study, tmp_path, "--unlabelled-teacher-samples", study.samples, fails=True)
    assert "they were sampled for another version of the split" in said
    truth = {"sequences": "ground_truth", "loss": "nll"}
    assert "its inputs have no ground_truth" in distill(study, tmp_path, terms=truth, fails=True)
    said = distill(study, tmp_path, "--unlabelled", study.dev, "--unlabelled-teacher-samples", unlabelled, fails=True)
    assert "is the split 'dev', expected 'unlabelled'" in said
    sampled = {"sequences": "student_samples", "loss": "rkl"}
    said = distill(study, tmp_path, "--per-input", 1, terms=sampled, fails=True)
    assert "no term learns from stored sequences" in said
