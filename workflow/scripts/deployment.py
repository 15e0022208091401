"""Measure what a model costs in use: size, latency, throughput and memory, by transformers and by CTranslate2.

Every runtime answers the same inputs of the test split, decoded as the task decodes, in turn with the teacher by
transformers, which speed-ups are over; if the teacher is files of outputs, in turn with the model itself. CTranslate2
decodes the whole split too, and its outputs are scored: with int8 weights they are not those of the study. Run it on a
machine that does nothing else.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import read_json, sha256, write_json
from fdistill.artifacts.lineage import check_splits, common_lineage
from fdistill.artifacts.manifest import model_identity
from fdistill.bench import deployed_scores, deployment
from fdistill.bench.footprint import footprint
from fdistill.bench.machine import machine
from fdistill.bench.miniature import miniature
from fdistill.config import arguments, cli, schema_flags
from fdistill.data.encoding import read_split
from fdistill.data.limits import Limits
from fdistill.evaluation.deployment import FULL, RUNTIMES
from fdistill.evaluation.replicates import read_replicates
from fdistill.models import checkpoints
from fdistill.runtime.device import set_up_device
from fdistill.sampling.batch_sizes import offline_batch_size
from fdistill.sampling.ctranslate2_conversion import converted_files
from fdistill.sampling.engine_limits import CTRANSLATE2, TRANSFORMERS, differences
from fdistill.sampling.engines import version_of
from fdistill.sampling.offline import generate_texts
from fdistill.sampling.sampler import SamplingConfig

# What is read of a score.json, as `artifacts.shapes` describes it.
SCORE = {
    "n_inputs": int,
    "metrics": {
        ...: {
            "title": str,
            "direction": ("higher", "lower"),
            "value": (float, None),
            "missing": ({"reason": str, "fix": str}, None),
        }
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the model, a student or the teacher")
    parser.add_argument("--teacher", type=Path, help="folder of its teacher (default: the same folder)")
    parser.add_argument("--test", type=Path, required=True, help="test split, Parquet")
    parser.add_argument("--score", type=Path, required=True, help="the model's scores on it (JSON)")
    for flag, default, text in (
        ("--inputs", 32, "inputs that are answered one at a time"),
        ("--batches", 8, "batches that are answered"),
        ("--batch", 32, "inputs of a batch"),
    ):
        parser.add_argument(flag, type=arguments.count, default=default, help=f"{text} (default: %(default)s)")
    cli.add_run_flags(parser)
    cli.add_memory_flag(parser)
    cli.add_metric_options_flag(parser)
    cli.add_place_flags(parser, required=True)
    for section in ("text", "decoding"):
        schema_flags.add_flags(parser, section)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    args = cli.parse(parser, "output")

    check_splits(test=args.test)
    is_teacher = args.teacher is None or args.teacher.resolve() == args.model.resolve()
    inputs, teacher_folder = (args.model, args.test, args.score), None if is_teacher else args.teacher
    place = {"task": args.task, "method": args.method, "seed": args.seed}
    lineage = common_lineage(*inputs, teacher=teacher_folder, **place)
    scores, replicates = read_json(args.score, SCORE)["metrics"], read_replicates(args.score)
    device = set_up_device(args.device, args.threads)
    model = checkpoints.load(args.model, device)
    teacher = model if is_teacher else checkpoints.load(args.teacher, device)
    test, columns = read_split(args.test, model, Limits(**schema_flags.read_flags(args, "text")))
    decoding = schema_flags.read_flags(args, "decoding")
    size, _ = decoding.pop("batch_size"), decoding.pop("engine")
    sampling = SamplingConfig.from_decoding(decoding)
    made, reasons = deployment.contenders(model.model, teacher.model, sampling)
    measured = deployment.measure(made, test.sources, sampling, args.inputs, args.batches, args.batch, args.seed)
    rows = deployment.batches_of(len(test), args.batch, 1, args.seed)[0]
    request = {
        "device": device,
        "threads": args.threads,
        "sampling": vars(sampling),
        "sources": [test.sources[row] for row in rows],
    }
    for name, entry in measured["runtimes"].items():
        entry["weights_bytes"] = deployment.weights_bytes(made[name], args.model)
        entry["memory"] = _memory(request, made[name], name, args.model, model)
        if name == FULL:
            entry["scores"] = deployed_scores.of_study(scores, replicates)
            continue
        entry["differs"] = differences(sampling.options)
        batches = offline_batch_size(
            size, [model.model], CTRANSLATE2, decoding["num_beams"], sampling.max_new_tokens, args.gpu_memory
        )
        texts = generate_texts(
            model.model, model.tokenizer, test.sources, decoding, batches, args.seed, engine=made[name].engine
        )["hypothesis"]
        references, options = columns["references"], args.metric_options
        entry["scores"] = deployed_scores.of_runtime(texts, references, options, args.threads, scores, replicates)
    missing = {name: {"missing": {"reason": reason, "fix": deployment.REMEDY}} for name, reason in reasons.items()}
    on = machine(device, args.threads)
    on["versions"] |= {} if missing.keys() == deployment.WEIGHTS_OF.keys() else version_of(CTRANSLATE2)
    content = {
        **place,
        "parameters": deployment.parameters(model.model),
        **measured,
        "reference": measured["reference"] | {"is_teacher": args.teacher is not None},
        "runtimes": {name: (measured["runtimes"] | missing)[name] for name in RUNTIMES},
        "decoding": decoding,
        "machine": on,
        "model": model_identity(args.model),
        "test": sha256(args.test),
        "lineage": lineage,
    }
    write_json(args.output, content)


def _memory(
    request: dict[str, Any],
    contender: deployment.Contender,
    name: str,
    folder: Path,
    checkpoint: checkpoints.Checkpoint,
) -> dict[str, Any]:
    """The memory of one runtime, which reads folders of the model and of its miniature."""
    small = miniature(contender.model)
    with tempfile.TemporaryDirectory() as temporary:
        warm_up, converted = Path(temporary, "miniature"), Path(temporary, "converted")
        request = request | {"miniature": str(warm_up)}
        if contender.files is None:
            checkpoints.save(checkpoints.Checkpoint(small, checkpoint.tokenizer), warm_up)
            return footprint(request | {"runtime": TRANSFORMERS, "folder": str(folder)})
        weights = deployment.WEIGHTS_OF[name]
        for place, files in ((converted, contender.files), (warm_up, converted_files(small, weights=weights))):
            place.mkdir()
            for file, content in files.items():
                (place / file).write_bytes(content)
        options = {
            "is_encoder_decoder": contender.model.family.is_encoder_decoder,
            "ends": contender.model.ends,
            "prefix": contender.model.decoder_prompt[1:],
            "compute_type": weights,
        }
        return footprint(request | {"runtime": CTRANSLATE2, "folder": str(converted), "options": options})


if __name__ == "__main__":
    cli.run(main)
