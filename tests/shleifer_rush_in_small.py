"""Shleifer & Rush's study with everything real but small: an overlay of config/shleifer_rush.yaml, and its files.

By hand: `python tests/shleifer_rush_in_small.py FOLDER`, then
`snakemake --directory FOLDER --configfile config/shleifer_rush.yaml FOLDER/small.yaml -- all`.
"""

import json
import sys
from pathlib import Path

import hub_checkpoints
import paper_in_small
import yaml

# The checkpoints by hub id: the one of `hub_checkpoints.HUB` that is like it, and the real depths and positions.
BART = {"encoder_layers": 12, "decoder_layers": 12, "max_position_embeddings": 1024}
PEGASUS = {"encoder_layers": 16, "decoder_layers": 16}
CHECKPOINTS = {
    "facebook/bart-large-xsum": ("bart-large-xsum", BART),
    "facebook/bart-large-cnn": ("bart-large-xsum", BART),
    "google/pegasus-xsum": ("pegasus", PEGASUS | {"max_position_embeddings": 512}),
    "google/pegasus-cnn_dailymail": ("pegasus", PEGASUS | {"max_position_embeddings": 1024}),
    "Helsinki-NLP/opus-mt-en-ro": (
        "marian",
        {"encoder_layers": 6, "decoder_layers": 6, "max_position_embeddings": 512},
    ),
    "facebook/mbart-large-en-ro": ("mbart", BART),
}
# The real widths and vocabularies, for the configurations that preflight reads.
WIDE = {
    "d_model": 1024,
    "encoder_ffn_dim": 4096,
    "decoder_ffn_dim": 4096,
    "encoder_attention_heads": 16,
    "decoder_attention_heads": 16,
}
NARROW = {key: value // 2 for key, value in WIDE.items()}
SIZES = {
    "facebook/bart-large-xsum": WIDE | {"vocab_size": 50264},
    "facebook/bart-large-cnn": WIDE | {"vocab_size": 50264},
    "google/pegasus-xsum": WIDE | {"vocab_size": 96103},
    "google/pegasus-cnn_dailymail": WIDE | {"vocab_size": 96103},
    "Helsinki-NLP/opus-mt-en-ro": NARROW | {"vocab_size": 59543},
    "facebook/mbart-large-en-ro": WIDE | {"vocab_size": 250027},
}
TEACHERS = {  # by task: its teacher, and the other one
    "xsum": ("facebook/bart-large-xsum", "google/pegasus-xsum"),
    "xsum_pegasus": ("google/pegasus-xsum", "facebook/bart-large-xsum"),
    "cnn_dailymail": ("facebook/bart-large-cnn", "google/pegasus-cnn_dailymail"),
    "cnn_dailymail_pegasus": ("google/pegasus-cnn_dailymail", "facebook/bart-large-cnn"),
    "wmt16_en_ro_marian": ("Helsinki-NLP/opus-mt-en-ro", "facebook/mbart-large-en-ro"),
    "wmt16_en_ro_mbart": ("facebook/mbart-large-en-ro", "Helsinki-NLP/opus-mt-en-ro"),
}


def cnn_dailymail(folder: Path) -> dict[str, str]:
    rows = [
        {"article": f"The fox was seen {n} times. It jumped.", "highlights": f"A fox jumped.\nIt was {n}.", "id": n}
        for n in range(paper_in_small.ROWS)
    ]
    return paper_in_small.files(folder, train=(".parquet", rows), dev=(".jsonl", rows[:2]), test=(".jsonl", rows[2:4]))


DATA = {"xsum": paper_in_small.xsum, "cnn": cnn_dailymail, "wmt16": paper_in_small.wmt16_en_ro}


def sources(folder: Path) -> dict:
    """The overlay's part on data: each data set from files in `folder`."""
    made = {name: make(folder / name) for name, make in DATA.items()}
    return {task: {"source": {"path": made[task.split("_")[0]], "expected_counts": None}} for task in TEACHERS}


def overlay(folder: Path) -> dict:
    """What lies over config/shleifer_rush.yaml: where the files are, and how little is done with them."""
    here = {
        name: str(hub_checkpoints.write(folder / name, like, **sizes)) for name, (like, sizes) in CHECKPOINTS.items()
    }
    tasks = sources(folder)
    for task, (teacher, other) in TEACHERS.items():
        tasks[task] |= {
            "model": {"teacher": {"init": here[teacher]}},
            "other_teacher": {"init": here[other]},
            "training": {"distill": dict(paper_in_small.ONE_STEP)},
            "teacher_beam": dict(paper_in_small.SHORT),
            "other_teacher_beam": dict(paper_in_small.SHORT),
            "decoding": dict(paper_in_small.SHORT),
        }
    return {"device": "cpu", "task_overrides": tasks}


def hub(folder: Path) -> Path:
    """A folder for `loopback_hub.serving`: the checkpoints by hub id, with configurations of their real sizes."""
    for name, (like, depths) in CHECKPOINTS.items():
        path = hub_checkpoints.write(folder / name, like, **depths) / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | SIZES[name]))
    return folder


def write(folder: Path, content: dict) -> Path:
    """The overlay `content` as a file in `folder`."""
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


if __name__ == "__main__":
    place = Path(sys.argv[1]).resolve()
    print(write(place, overlay(place)))
