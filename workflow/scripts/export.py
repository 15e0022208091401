"""Export a trained model: a folder for transformers, and in it one for CTranslate2, with all that its use needs."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import check_shape, read_json
from fdistill.artifacts.lineage import common_lineage
from fdistill.artifacts.manifest import manifest_of
from fdistill.artifacts.records import MANIFEST, record_of_job
from fdistill.artifacts.shapes import Shape
from fdistill.config import arguments, cli, schema_flags
from fdistill.data.limits import Limits
from fdistill.evaluation.model_card import DATA, MODEL, RECORD, SCORE, TEACHER, Facts, model_card
from fdistill.evaluation.replicates import read_replicates
from fdistill.evaluation.resampling import interval
from fdistill.evaluation.shleifer_rush import read_depths
from fdistill.models import checkpoints
from fdistill.models.export import export
from fdistill.models.tokenization import piece_ids
from fdistill.runtime.errors import UserError
from fdistill.sampling.ctranslate2_export import FOLDER, convert


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--teacher", type=Path, help="folder of its teacher, or the same folder (default: it has none)")
    parser.add_argument("--data", type=Path, required=True, help="manifest of the task's data (JSON)")
    parser.add_argument("--score", type=Path, required=True, help="the model's scores on the test split (JSON)")
    parser.add_argument("--folder", type=Path, required=True, help="folder to write")
    parser.add_argument("--task", required=True, help="the task's key, for the model card")
    parser.add_argument("--method", required=True, help="the system's key, for the model card")
    parser.add_argument("--seed", type=arguments.seed, required=True, help="the seed of the model")
    for section in ("text", "decoding"):
        schema_flags.add_flags(parser, section)
    args = cli.parse(parser, "folder")
    teacher = None if args.teacher == args.model else args.teacher
    place = {"task": args.task, "method": args.method, "seed": args.seed}
    common_lineage(args.model, args.data, args.score, teacher=teacher, **place)
    text, decoding = schema_flags.read_flags(args, "text"), schema_flags.read_flags(args, "decoding")
    for key in ("batch_size", "engine"):  # not of the model, but of the machine that it runs on
        del decoding[key]
    scores, replicates = read_json(args.score, SCORE), read_replicates(args.score)
    values = {key: score["value"] for key, score in scores["metrics"].items() if score["value"] is not None}
    checkpoint = checkpoints.load(args.model, reports_decoding=False)
    text["source_suffix"] = Limits(**text).suffix(continues=not checkpoint.model.family.is_encoder_decoder)
    conversion = convert(checkpoint, decoding)
    facts = Facts(
        **{"task": args.task, "system": args.method, "seed": args.seed},
        family=checkpoint.model.module.config.model_type,
        manifest=_manifest(args.model, MODEL),
        teacher=_manifest(args.teacher, TEACHER) if args.teacher else None,
        data=read_json(args.data, DATA),
        depths=read_depths(args.teacher)[1] if args.teacher else {},
        scores=scores,
        intervals={key: interval([value], replicates[key]) for key, value in values.items() if key in replicates},
        record=record_of_job(args.model / MANIFEST, RECORD),
        text=text | {"closing": piece_ids(checkpoint.tokenizer, text["source_suffix"], follows=True)},
        conversion=conversion,
    )
    files = {f"{FOLDER}/{name}": content for name, content in conversion.files.items()}
    export(args.model, args.folder, text, decoding, partial(model_card, facts), files)


def _manifest(folder: Path, shape: dict[str, Shape]) -> dict[str, Any]:
    manifest = manifest_of(folder)
    if not manifest:
        raise UserError(f"{folder}: was not written by this workflow; give the folder of a model that it trained")
    check_shape(folder / MANIFEST, manifest, shape)
    return manifest


if __name__ == "__main__":
    cli.run(main)
