"""Label the training split with another teacher, as text: its own outputs, or labels that exist already in a file.

The teacher is used as it is, with its own tokenizer and limits. encode_labels makes token ids of the text.
"""

import argparse
from pathlib import Path
from typing import Any

from fdistill.artifacts.contributions import CONTRIBUTIONS, LABELS, contribution
from fdistill.artifacts.files import read_parquet, sha256
from fdistill.artifacts.lineage import Lineage, common_lineage
from fdistill.config import cli, schema_flags
from fdistill.data.encoding import read_split, rows_of
from fdistill.data.labels import files_of, label_file, read_label_file, write_labels
from fdistill.data.limits import Limits
from fdistill.data.lines import tidy_lines
from fdistill.data.schemas import SPLIT
from fdistill.models import checkpoints
from fdistill.models.location import short_name
from fdistill.models.tokenization import decode, tokenizer_identity
from fdistill.runtime import distributed
from fdistill.runtime.device import set_up_device
from fdistill.sampling.offline import sample_split
from fdistill.training.state import weights_identity


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", type=Path, required=True, help="training split, Parquet")
    origin = parser.add_mutually_exclusive_group(required=True)
    origin.add_argument("--init", metavar="NAME", help="folder, GGUF file or hub id of the other teacher")
    origin.add_argument("--file", help="labels that exist already: rows of id and text")
    cli.add_checkpoint_flags(parser)
    parser.add_argument("--labels", type=Path, required=True, help="Parquet file to write")
    cli.add_max_examples_flag(parser)
    cli.add_offline_flags(parser)
    for section in ("text", "offline_sampling"):
        schema_flags.add_flags(parser, section)
    cli.add_place_flags(parser, method=False)
    args = cli.parse(parser, "labels")
    lineage = common_lineage(args.split, task=args.task)
    if args.init:
        label(args, lineage)
        return
    ids = read_parquet(args.split, SPLIT)[0]["id"]
    columns = read_label_file(args.file, [ids[row] for row in rows_of(len(ids), args.max_examples)], ids, args.split)
    labels = " ".join(map(sha256, files_of(args.file)))
    made_by = {CONTRIBUTIONS: [contribution(LABELS, label_file(args.file).name, labels)]}
    identity = {"lineage": lineage, "split": sha256(args.split), "labels": labels}
    write_labels(args.labels, columns, identity | made_by)


def label(args: argparse.Namespace, lineage: Lineage) -> None:
    """Write the other teacher's own labels."""
    device = set_up_device(args.device, args.threads)
    ranks = distributed.join(device)
    teacher = checkpoints.load(args.init, device, args.source_language, args.target_language, args.allow_pickle)
    limits = Limits(**schema_flags.read_flags(args, "text"))
    encoded, _ = read_split(args.split, teacher, limits, args.max_examples)
    weights = weights_identity(teacher.model.module)
    made_from = {
        "lineage": lineage,
        "split": sha256(args.split),
        "other_teacher": weights,
        CONTRIBUTIONS: [contribution(LABELS, short_name(args.init), weights)],
        "other_tokenizer": tokenizer_identity(teacher.tokenizer),
        "text": str(vars(limits)),
    }

    def write(columns: dict[str, list], identity: dict[str, Any]) -> None:
        columns["text"] = list(map(tidy_lines, decode(teacher.tokenizer, columns.pop("tokens"))))
        write_labels(args.labels, columns, identity)

    settings = schema_flags.read_flags(args, "offline_sampling")
    sample_split(args, ranks, teacher.model, encoded, settings, limits.max_target_tokens, made_from, write)


if __name__ == "__main__":
    cli.run(main)
