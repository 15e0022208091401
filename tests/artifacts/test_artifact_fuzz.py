"""Every kind of JSON that this workflow reads, changed at every place: read or refused by name, never a traceback."""

import copy
import functools
import hashlib
import json
import logging
import random
import time

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from fdistill.artifacts import journal, provenance
from fdistill.artifacts.batch_store import BatchStore
from fdistill.artifacts.code import start_messages
from fdistill.artifacts.files import check_shape, read_json, write_json
from fdistill.artifacts.lineage import check_splits, lineage_of
from fdistill.artifacts.manifest import MANIFEST, check_files, manifest_of
from fdistill.artifacts.records import OWN_HASH, record_text
from fdistill.bench.study import example_counts
from fdistill.config.claim_checks import KEYS
from fdistill.data.samples import read_samples
from fdistill.data.schemas import SAMPLES
from fdistill.evaluation import figures, ledger, tables
from fdistill.evaluation.aggregate import RISKS, aggregate_risks, aggregate_scores
from fdistill.evaluation.claims import decide_claims
from fdistill.evaluation.comparisons import compare_task
from fdistill.evaluation.human.analysis import analyse
from fdistill.evaluation.human.kit import kit_name, read_key
from fdistill.evaluation.human.ratings import read_ratings
from fdistill.evaluation.metrics import ScoreStore
from fdistill.evaluation.model_card import DATA, MODEL, SCORE, TEACHER, Facts, model_card
from fdistill.evaluation.replicates import write_replicates
from fdistill.evaluation.tables.claims import claims_markdown, claims_table
from fdistill.evaluation.texts import Texts
from fdistill.models.export import read_usage
from fdistill.runtime.errors import UserError
from fdistill.sampling.ctranslate2_export import Conversion
from fdistill.training.state import TrainingCheckpoints

SEED = 0
CHANGES = 24  # of each kind of file, of all that are possible
SECONDS = 5.0  # of the processor, for all contents of one kind: several times what they take

LINEAGE = {"data": "d", "task": "t", "method": "kl", "teacher": "x", "seed": "1"}
ENTRY = {"mean": 1.5, "std": 0.5, "interval": [1.0, 2.0], "seeds": {"1": 1.0, "2": 2.0}}
PLACE = {"task": "t", "method": "kl", "lineage": LINEAGE}
COST = dict.fromkeys((*provenance.SUMS, *provenance.PEAKS), 1)
RECORD = {
    "stage": "score",
    "inputs": {"data.csv": "0" * 64},
    "outputs": {"results/t/kl/x.json": hashlib.sha256(b'{"a": 1}').hexdigest()},
    "code": {"commit": "c", "dirty": False, "sha256": "0" * 64},
    "attempts": 1,
    **COST,
}
PAIR = {"a": "js", "b": "kl", "difference": 0.0, "interval": [-0.5, 0.5], "p": 0.01, "p_holm": 0.02}
CLAIM = {"text": "KL beats JS.", "source": "s", "better": ["kl"], "than": ["js"]}
CLAIM = dict.fromkeys(KEYS) | CLAIM
RATED = {"title": "Fluency", "better": "higher", "question": "Is it?", "lowest": "no", "highest": "yes"}
KIT = {"task": "t", "scale": 5, "aspects": [RATED], "systems": ["kl", "js"]}
KIT["items"] = [{"item": "Q1-A", "id": "a", "input": "x", "output": "y", "systems": ["kl", "js"]}]
KEY = {"kit": kit_name(KIT), **KIT, "lineage": LINEAGE}
LAYOUT = tables.sections({}, {}, {"kl": "KL"})
MANIFEST_OF_MODEL = {
    "stage": "distill",
    "init": "scratch",
    "seed": 1,
    "lineage": LINEAGE,
    "terms": [{"loss": "kl", "sequences": "teacher_samples", "weight": 1.0}],
    "versions": {"torch": "2", "transformers": "4"},
    "files": {"model.safetensors": hashlib.sha256(b"weights").hexdigest()},
}


# --- readers: each reads one file as the scripts do


def read_manifest(path):
    folder = path.parent
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_text('{"model_type": "bart"}')
    lineage_of(folder)
    check_files(folder)
    if manifest := manifest_of(folder):
        check_shape(path, manifest, MODEL)
        check_shape(path, manifest, TEACHER)
        card(folder, manifest, data=FILES["manifest.json"][0], scores=FILES["score.json"][0])


def card(folder, manifest, data, scores):
    text = {"source_prefix": ""}
    return model_card(
        Facts("t", "kl", 1, "bart", manifest, manifest, data, {}, scores, {}, None, text, Conversion()), []
    )


def with_replicates(path, seeds=1):
    """Put replicates beside a file of results."""
    write_replicates(path, {key: [[1.0, 2.0]] * seeds for key in ("bleu4", *RISKS)}, LINEAGE)
    return path


def read_scores(path):
    lineage_of(path)
    aggregate_scores([with_replicates(path)], [1], "t", "kl")
    (path.parent / "config.json").write_text('{"model_type": "bart"}')
    card(path.parent, MANIFEST_OF_MODEL, FILES["manifest.json"][0], read_json(path, SCORE))


def read_the_key(path):
    analyse(read_ratings([exported(path.parent)], read_key(path)), KEY)


def exported(folder):
    """An annotator's file."""
    write_json(folder / "ana.json", FILES["export.json"][0])
    return folder / "ana.json"


def read_export(path):
    read_ratings([path], KEY)


def read_data_manifest(path):
    lineage_of(path)
    tables.datasets_table({"t": path}, {"t": "T"}, {"t": "–"}, {"t": "a task"})
    example_counts({"t": {"source": {}}}, {"t": str(path)})
    (path.parent / "config.json").write_text('{"model_type": "bart"}')
    card(path.parent, MANIFEST_OF_MODEL, read_json(path, DATA), FILES["score.json"][0])


def read_metrics(path):
    compare_task([with_replicates(path, len(ENTRY["seeds"]))], [], ["kl"], "t")
    written(tables.main_table([path], [compared(path.parent)], {"t": "T"}, LAYOUT), path)


def read_risks(path):
    teacher = path.parent / "teacher.json"
    write_json(teacher, FILES["risks.json"][0] | {"method": "teacher"})
    compare_task([], [with_replicates(file, len(ENTRY["seeds"])) for file in (path, teacher)], ["kl"], "t")
    written(tables.risk_table([path], [compared(path.parent)], {"t": "T"}, LAYOUT), path)
    figures.risk_scatter([path], {"kl": "KL"}, "T", path.with_suffix(".svg"))


def compared(folder):
    """A file of comparisons."""
    write_json(folder / "compared", FILES["comparisons.json"][0])
    return folder / "compared"


def read_comparisons(path):
    write_json(path.parent / "metrics", FILES["metrics.json"][0])
    written(tables.main_table([path.parent / "metrics"], [path], {"t": "T"}, LAYOUT), path)
    decided = decide_claims({"kl": CLAIM}, [path], Texts())
    claims_markdown(decided, {"t": "T"}, {})
    tables.write(claims_table(decided, {"t": "T"}), [path.with_suffix(".html")])


def read_times(path):
    metrics = [path.parent / system for system in ("kl", "js")]
    for file in metrics:
        write_json(file, FILES["metrics.json"][0] | {"method": file.name})
    write_json(path.parent / "compared", FILES["comparisons.json"][0] | {"students": ["kl", "js"]})
    written(tables.online_table(metrics, [path.parent / "compared"], {"t": path}, {"t": "T"}, {}), path)


def written(table, path):
    tables.write(table, [path.with_suffix(suffix) for suffix in (".csv", ".md", ".tex", ".html")])


def read_history(path):
    lineage_of(path)
    figures.training_curves([("kl", path)], {"kl": "KL"}, "T", path.with_suffix(".svg"))


def read_beside_record(path):
    """The record is `path`; it is given its own hash again, so that more than that is looked at."""
    try:
        content = json.loads(path.read_bytes())
        path.write_text(record_text({key: value for key, value in content.items() if key != OWN_HASH}))
    except (ValueError, RecursionError, AttributeError):
        pass
    result = path.parent / "x.json"
    result.write_bytes(b'{"a": 1}')
    list(start_messages(path.parent, []))
    problems = []
    for read in (lambda: read_json(result), lambda: ledger.table(ledger.ledger(path.parent))):
        try:
            read()
        except UserError as error:
            problems.append(error)
    if problems:
        raise problems[0]


def read_identity_of_table(path):
    """The identity is in `path`, and is written into a table as it is there."""
    rows = {"id": ["a"], "sample": [0], "tokens": [[1]]}
    rows = {name: rows.get(name, [None]) for name in SAMPLES.names}
    table = pa.Table.from_pydict(rows, schema=SAMPLES)
    samples = path.with_suffix(".parquet")
    parquet.write_table(table.replace_schema_metadata({"fdistill": path.read_bytes()}), samples)
    lineage_of(samples)
    check_splits(test=samples)
    read_samples(samples, ["a"], {"teacher": "x"}, "teacher_samples")


def read_texts(path):
    texts = Texts.read(path)
    texts.named_tasks([("t", "")]), texts.named_systems([("kl", "")])


def read_exported(path):
    for name in ("fdistill.json", "generation_config.json"):
        if name != path.name:
            (path.parent / name).write_text(json.dumps(FILES[name][0]))
    read_usage(path.parent)


def read_costs(path):
    with journal.opened() as notes:
        provenance.take_over_costs(path.parent)
        provenance.total([*notes.earlier_costs.values()])


def read_batches(path):
    seal(path)
    BatchStore(path.parent, {"seed": 1}).run("work", [1, 1], lambda number: [number])


def read_so_far(path):
    seal(path)
    ScoreStore(path, {"split": "a"}).read()


def seal(path):
    content = path.read_bytes()
    path.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)


def read_checkpoint(path):
    checkpoints = TrainingCheckpoints(path.parents[1], {"seed": 1})
    (path.parent / "state.pt").write_bytes(b"no tensors")
    checkpoints.latest()


SCORED = {"title": "BLEU-4", "direction": "higher", "signature": "s", "missing": None}
COMPARED = {"title": "BLEU-4", "direction": "higher", "seeds": ["1", "2"], "pairs": [PAIR], "missing": []}
COMPARED |= {"best": None, "leaders": ["kl"], "collapsed": [], "notes": ["few"]}
SPREAD = dict.fromkeys(("median", "min", "max"), 1.0)
TIMES = {
    "seconds": dict.fromkeys(("offline", "online"), SPREAD),
    "speedup": SPREAD | {"interval": [1.0, 1.0]},
    "other_cpus": 0.5,
}
MISSING = {"reason": "not installed", "fix": "install it"}
FILES = {
    "score.json": (
        {**PLACE, "seed": 1, "n_inputs": 3, "versions": {"python": "3"}}
        | {"metrics": {"bleu4": SCORED | {"value": 1.0}, "ter": SCORED | {"value": None, "missing": MISSING}}},
        read_scores,
    ),
    "risk.json": (
        {**PLACE, "seed": 1, "n_inputs": 3, **dict.fromkeys(RISKS, 1.5)},
        lambda p: aggregate_risks([with_replicates(p)]),
    ),
    "metrics.json": (
        {**PLACE, "n_inputs": 3}
        | {
            "metrics": {
                "bleu4": SCORED | ENTRY,
                "ter": SCORED | ENTRY | {"title": "TER", "mean": None, "seeds": {"1": None}, "missing": MISSING},
            }
        },
        read_metrics,
    ),
    "risks.json": ({**PLACE, "n_inputs": 3, "risks": dict.fromkeys(RISKS, ENTRY)}, read_risks),
    "comparisons.json": (
        {"task": "t", "n_inputs": 3, "students": ["kl"], "lineage": LINEAGE}
        | {"metrics": {key: COMPARED for key in ("bleu4", "ter", *RISKS)}},
        read_comparisons,
    ),
    "online.json": (
        {"task": "t", "steps": 2, "machine": {"name": "a CPU", "cpus": 2}, "lineage": LINEAGE}
        | {"pairs": [{"offline": "kl", "online": "js"} | TIMES]},
        read_times,
    ),
    "key.json": (KEY, read_the_key),
    "export.json": ({"kit": KEY["kit"], "annotator": "Ana", "ratings": {"Q1-A": {"Fluency": 3}}}, read_export),
    "manifest.json": (
        {"source": {"kind": "files"}, "splits": {"train": 3, "dev": 2, "test": 1}, "references": {"dev": 2, "test": 1}}
        | {"archives": [{"package": "a", "version": "1", "licence": "MIT", "sha256": "0"}], "split_rule": "by hand"}
        | {"leakage": {"dev": {"same_source": 0.5}, "test": {}}, "dropped": {"dev": 1}, "lineage": LINEAGE}
        | {"sha256": {"train": "0" * 64}},
        read_data_manifest,
    ),
    "train.jsonl": (
        [{"step": 0, "dev": {"nll": 2.0}}, {"step": 1, "loss": 2.0}, {"identity": {"lineage": LINEAGE}}],
        read_history,
    ),
    f"model/{MANIFEST}": (MANIFEST_OF_MODEL, read_manifest),
    "x.json.provenance.json": (RECORD, read_beside_record),
    "identity.json": (
        {"lineage": LINEAGE, "split_name": "test", "teacher": "x", "kind": "teacher_samples"},
        read_identity_of_table,
    ),
    "texts.json": ({"tasks": {"t": {"title": "T", "description": "d"}}, "systems": {"kl": "KL"}}, read_texts),
    "fdistill.json": (
        {"format": 1, "source_prefix": "", "max_source_tokens": 8, "max_target_tokens": 8, "too_long": "truncate"},
        read_exported,
    ),
    "generation_config.json": ({"max_new_tokens": 8, "num_beams": 2, "do_sample": False}, read_exported),
    "1.cost": (COST, read_costs),
    "work-00000000.json": ({"identity": {"seed": 1}, "batches": {"0": [0], "1": [1]}}, read_batches),
    "so_far.json": ({"identity": {"split": "a"}, "scores": {"ter": SCORED | {"value": 1.0}}}, read_so_far),
    "train/000001/manifest.json": ({"at": "step 1", "sha256": "0", "identity": {"seed": 1}}, read_checkpoint),
}
LOGGED = {"1.cost", "work-00000000.json", "so_far.json", "train/000001/manifest.json"}  # instead of refused

# --- changes

DEEP = functools.reduce(lambda value, _: [value], range(300), 1)
VALUES = [None, True, 0, 4, -1, 1e300, -1e-300, 10**400, "", "x", "\ud800", "a\0b", "a" * 5000, [], [[]], {}, {"a": {}}]
VALUES += [DEEP, {"": None}, [4, "x"]]
TEXTS = [
    b"",
    b"\n",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"a": ' + b"9" * 5000 + b"}",
    b'{"a": NaN}',
    b"\xff\xfe{}",
    b"\xef\xbb\xbf{}",
    b"null",
    b"4",
    b'"x"',
    b"[]",
    b"{}",
    b"\x00" * 64,
]


def places(value, path=()):
    """Every path of keys in `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def changed(value, path, change):
    """A copy of `value` in which `change(container, key)` was applied at `path`."""
    value = copy.deepcopy(value)
    inner = functools.reduce(lambda inner, key: inner[key], path[:-1], value)
    change(inner, path[-1])
    return value


def text_of(value):
    """The bytes of a JSON file, or of JSON lines for a list."""
    return "".join(json.dumps(line) + "\n" for line in (value if isinstance(value, list) else [value])).encode()


def changes(value, rng):
    """Contents of a file: with another value at each place, without it, cut off, with a flipped bit, and `TEXTS`."""
    structured = [
        changed(value, path, lambda inner, key, new=new: inner.__setitem__(key, new))
        for path in places(value)
        for new in VALUES
    ]
    structured += [changed(value, path, lambda inner, key: inner.pop(key)) for path in places(value)]
    whole = text_of(value)
    cut = [whole[: rng.randrange(len(whole))] for _ in range(6)]
    flipped = []
    for _ in range(6):
        content, place = bytearray(whole), rng.randrange(8 * len(whole))
        content[place // 8] ^= 1 << place % 8
        flipped.append(bytes(content))
    chosen = rng.sample(structured, min(CHANGES, len(structured)))
    return [*TEXTS, *map(text_of, chosen), *cut, *flipped]


@pytest.mark.parametrize("name", FILES)
def test_no_content_of_a_file_ends_in_a_traceback(name, tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)
    value, read = FILES[name]
    path, refused = tmp_path / name, 0
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text_of(value))
    read(path)
    began = time.process_time()
    contents = changes(value, random.Random(f"{SEED} {name}"))
    for content in contents:
        path.write_bytes(content)
        try:
            read(path)
        except UserError as error:
            assert str(tmp_path) in str(error) or "t/kl" in str(error), error
            assert "; " in str(error), error  # what to do
            refused += 1
        except Exception as error:
            raise AssertionError(f"{content[:2000]!r}") from error
    assert refused > len(contents) / 3 or name in LOGGED
    assert time.process_time() - began < SECONDS
