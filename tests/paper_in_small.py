"""The paper's study with everything real but small: an overlay of config/paper.yaml, and the files that it names.

By hand: `python tests/paper_in_small.py FOLDER`, then
`snakemake --directory FOLDER --configfile config/paper.yaml FOLDER/small.yaml -- all`.
"""

import sys
from pathlib import Path

import hub_checkpoints
import published_files
import torch
import yaml
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

# The real depths, so that the published layer maps are those used; the real positions, so that lengths need no change.
BART_DEPTH = {"encoder_layers": 12, "decoder_layers": 12, "max_position_embeddings": 1024}
TEACHERS = {  # by task: the checkpoint of the hub, and what of it is not as small as it is in other tests
    "dart": ("bart-large", BART_DEPTH),
    "xsum": ("bart-large-xsum", BART_DEPTH),
    "wmt16_en_ro": ("t5-base", {"num_layers": 12, "num_decoder_layers": 12}),
    "commonsense_dialogue": ("DialoGPT", {"n_layer": 24}),
}
ROWS = 6

XML = """<benchmark><entries>{}</entries></benchmark>"""
XML_ENTRY = (
    '<entry category="MISC" eid="Id{0}" size="1"><modifiedtripleset><mtriple>{1}</mtriple></modifiedtripleset>'
    '<lex comment="WikiTableQuestions_lily" lid="Id1">{2}</lex></entry>'
)
# Two entries of the same triple, one of another: two inputs, of two references and one.
DART_TEST = [
    ("Mars Hill | JOINED | 1973", "Mars Hill joined in 1973."),
    ("the fox | JUMPS_OVER | the dog", "The quick brown fox jumps over the dog."),
    ("Mars Hill | JOINED | 1973", "In 1973 Mars Hill came."),
]


def dart(folder: Path) -> dict[str, str]:
    entries = [
        {
            "tripleset": [["the fox", "JUMPS_OVER", f"dog {n}"], ["the fox", "COLOUR", "brown"]],
            "subtree_was_extended": False,
            "annotations": [
                {"source": "WikiTableQuestions_lily", "text": f"The brown fox jumps over dog {n}."},
                {"source": "WikiTableQuestions_lily", "text": f"Dog {n} is jumped over by the fox."},
            ],
        }
        for n in range(ROWS)
    ]
    test = XML.format("".join(XML_ENTRY.format(n, *row) for n, row in enumerate(DART_TEST)))
    return files(folder, train=(".json", entries), dev=(".json", entries[:2]), test=(".xml", test))


def xsum(folder: Path) -> dict[str, str]:
    rows = [
        {"document": f"The fox was seen {n} times.\nIt jumped over a dog.", "summary": f"A fox jumped, {n}.", "id": n}
        for n in range(ROWS)
    ]
    return files(folder, train=(".parquet", rows), dev=(".jsonl", rows[:2]), test=(".jsonl", rows[2:4]))


def wmt16_en_ro(folder: Path) -> dict[str, str]:
    rows = [{"translation": {"en": f"a good man is here, {n}", "ro": f"un om bun este aici, {n}"}} for n in range(ROWS)]
    pairs = [
        {"source": "what a day it is", "target": "ce zi mai este azi"},
        {"source": "my friend is here", "target": "prietenul meu este aici"},
    ]
    return files(folder, train=(".parquet", rows), dev=(".source", pairs), test=(".source", pairs[::-1]))


def commonsense_dialogue(folder: Path) -> dict[str, str]:
    dialogues = {
        str(n): {
            "context": f"Robin won race {n}.",
            "speaker": "Robin",
            "turns": ["I won!", "How nice.", f"It was {n}."],
        }
        for n in range(ROWS // 3 + 1)
    }
    held_out = {"9": {"context": "Kai fell.", "speaker": "Kai", "turns": ["It hurts.", "What a day, my friend."]}}
    return files(folder, train=(".json", dialogues), dev=(".json", held_out), test=(".json", held_out))


def files(folder: Path, **splits) -> dict[str, str]:
    folder.mkdir(parents=True)
    return {
        split: published_files.write(folder / f"{split}{suffix}", content)
        for split, (suffix, content) in splits.items()
    }


def bleurt(folder: Path) -> str:
    """A random BLEURT checkpoint of eight layers, which serves as the encoder of the other metrics too."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz.,!?"]
    letters = [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    torch.manual_seed(0)
    size = {"hidden_size": 12, "num_hidden_layers": 8, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=len(vocabulary + letters), num_labels=1, initializer_range=0.6, **size)
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizer(vocab={token: i for i, token in enumerate(vocabulary + letters)}).save_pretrained(folder)
    return str(folder)


DATA = {"dart": dart, "xsum": xsum, "wmt16_en_ro": wmt16_en_ro, "commonsense_dialogue": commonsense_dialogue}
SHORT = {"max_new_tokens": 14, "min_new_tokens": 2}
ONE_STEP = {"max_steps": 1, "warmup_steps": 0, "evaluate_every": 100}


def overlay(folder: Path) -> dict:
    """What lies over config/paper.yaml: where the files are, and how little is done with them."""
    encoder = bleurt(folder / "bleurt")
    metrics = {"bertscore": {"model": encoder}, "moverscore": {"model": encoder}, "bleurt": {"model": encoder}}
    tasks = {}
    for task, (checkpoint, size) in TEACHERS.items():
        teacher = hub_checkpoints.write(folder / checkpoint, checkpoint, **size)
        tasks[task] = {
            "source": {"path": DATA[task](folder / task), "expected_counts": None},
            "text": {"max_target_tokens": 16},
            "model": {"teacher": {"init": str(teacher)}},
            "training": {stage: dict(ONE_STEP) for stage in ("teacher", "predistill", "distill")},
            "teacher_beam": dict(SHORT),
            "decoding": dict(SHORT),
        }
    tasks["dart"]["metric_options"] = metrics
    tasks["commonsense_dialogue"]["metric_options"] = {"bertscore": metrics["bertscore"]}
    tasks["wmt16_en_ro"]["source"]["train_size"] = ROWS - 2
    return {"device": "cpu", "methods": ["js"], "task_overrides": tasks}


def write(folder: Path, **changes: dict) -> Path:
    """The overlay as a file, beside the files that it names; `changes` to keys of its tasks, by task."""
    content = overlay(folder)
    for task, change in changes.items():
        content["task_overrides"][task] |= change
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


if __name__ == "__main__":
    print(write(Path(sys.argv[1]).resolve()))
