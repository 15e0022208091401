"""Make a student from its teacher by copying layers, or from other models' layers and random ones."""

import argparse
from pathlib import Path

from fdistill.artifacts.contributions import CONTRIBUTIONS, LAYERS, contribution
from fdistill.artifacts.lineage import TEACHER_METHOD, check_place, common_lineage
from fdistill.artifacts.manifest import manifest_of, model_identity
from fdistill.artifacts.systems import INIT_STUDENT
from fdistill.config import arguments, cli
from fdistill.models import checkpoints
from fdistill.models.location import SCRATCH, short_name
from fdistill.models.student_layers import PRETRAINED, TEACHER, origins
from fdistill.models.students import check_same_tokens, init_student
from fdistill.training.state import weights_identity


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", type=Path, required=True, help="folder of the teacher")
    parser.add_argument(
        "--layers",
        type=arguments.layers,
        required=True,
        metavar="JSON",
        help='layers per stack: a number, or the teacher\'s layers to copy, as in {"encoder": 3, "decoder": [0]}, or '
        'a mapping, {"layers": 3, "choose": "high", "from": "pretrained"}; or 12-3',
    )
    parser.add_argument(
        "--other-teachers",
        nargs="+",
        action="extend",
        type=arguments.file_pair,
        default=[],
        metavar="TASK=FOLDER",
        help="teachers of other tasks, from which --layers copies some",
    )
    parser.add_argument(
        "--pretrained", metavar="NAME", help="folder, GGUF file or hub id of the teacher before fine-tuning, likewise"
    )
    cli.add_checkpoint_flags(parser)
    parser.add_argument(
        "--seed", type=arguments.seed, default=1, help="seed of layers with random weights (default: %(default)s)"
    )
    parser.add_argument("--model", type=Path, required=True, help="folder to write: the student")
    cli.add_place_flags(parser, method=False)
    parser.add_argument(
        "--method", default=INIT_STUDENT, help="its name, which ends in that of its size, if any (default: %(default)s)"
    )
    args = cli.parse(parser, "model")
    teachers = dict(args.other_teachers)
    given = {*teachers, *([PRETRAINED] if args.pretrained else [])}
    if given != set(origins(args.layers)):
        parser.error(
            f"--layers copies from {', '.join([TEACHER, *origins(args.layers)])}: give the same models with "
            "--other-teachers and --pretrained"
        )
    lineage = common_lineage(teacher=args.teacher, task=args.task, method=args.method)
    for task, folder in teachers.items():
        check_place(folder, task, TEACHER_METHOD)

    teacher = checkpoints.load(args.teacher)
    others = {task: checkpoints.load(folder) for task, folder in teachers.items()}
    if args.pretrained:
        languages = (args.source_language, args.target_language)
        others[PRETRAINED] = checkpoints.load(args.pretrained, "cpu", *languages, args.allow_pickle)
    for name, other in others.items():
        check_same_tokens(teacher, other, f"model.student: the model of '{name}'")
    student = init_student(teacher, args.layers, others, args.seed)
    manifest = {
        "stage": INIT_STUDENT,
        "lineage": lineage,
        "teacher": model_identity(args.teacher),
        "layers": args.layers,
    }
    entries = [contribution(LAYERS, _name(task, folder), model_identity(folder)) for task, folder in teachers.items()]
    if args.pretrained:
        weights = weights_identity(others[PRETRAINED].model.module)
        entries.append(contribution(LAYERS, short_name(args.pretrained), weights))
    checkpoints.save(student, args.model, manifest | {CONTRIBUTIONS: entries})


def _name(task: str, teacher: Path) -> str:
    """What a teacher of another task is called in the manifest."""
    init = manifest_of(teacher).get("init", SCRATCH)
    return f"the teacher of task {task}" + ("" if init == SCRATCH else f", from {short_name(init)}")


if __name__ == "__main__":
    cli.run(main)
