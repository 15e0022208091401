"""A study of one task at its smallest, made by the scripts themselves, one after the other in this process."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from fdistill.data.preparation import FILES
from snake import ROOT

TEXT = ["--max-source-tokens", "16", "--max-target-tokens", "16", "--too-long", "truncate"]
TRAINING = ["--learning-rate", "0.01", "--epochs", "1", "--batch-size", "4"]
METHOD = "kl"
MODEL = {
    "d_model": 8,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 1,
    "decoder_attention_heads": 1,
    "encoder_ffn_dim": 8,
    "decoder_ffn_dim": 8,
    "max_position_embeddings": 32,
}


def run(script, *arguments, fails=False):
    """Run a script with arguments; what it says if it `fails`, which it must then."""
    before = sys.argv
    sys.argv = [str(ROOT / "workflow/scripts" / f"{script}.py"), *map(str, arguments)]
    try:
        if not fails:
            runpy.run_path(sys.argv[0], run_name="__main__")
            return None
        with pytest.raises(SystemExit) as error:
            runpy.run_path(sys.argv[0], run_name="__main__")
        return str(error.value)
    finally:
        sys.argv = before


class Study:
    """The files of one study below `folder`; its task tells its data from another's, `seed` its models."""

    def __init__(self, folder: Path, task: str = "colours", seed: int = 1, method: str = METHOD):
        self.folder, self.task, self.seed, self.method = folder, task, seed, method

    def __getattr__(self, name):
        """A file of the study by the flag that a script takes it with."""
        task = self.folder / "results" / self.task
        student, teacher = task / self.method / f"seed{self.seed}", task / "teacher" / f"seed{self.seed}"
        places = {
            **{split: task / "prepare" / f"{split}.parquet" for split in FILES},
            "manifest": task / "prepare/manifest.json",
            "teacher": teacher / "model",
            "teacher_history": teacher / "train.jsonl",
            "samples": task / "sample_teacher/train.teacher_samples.parquet",
            "test_samples": task / "sample_teacher/test.teacher_samples.parquet",
            "start": task / "init_student/model",
            "student": student / "model",
            "history": student / "train.jsonl",
            "generations": student / "generate.parquet",
            "score": student / "score.json",
            "risk": student / "risk.json",
            "metrics": task / self.method / "metrics.json",
            "risks": task / self.method / "risk.json",
            "teacher_generations": teacher / "generate.parquet",
            "teacher_risk": teacher / "risk.json",
            "teacher_risks": task / "teacher/risk.json",
            "comparisons": self.folder / "results/comparisons" / f"{self.task}.json",
            **{name: task / "human" / f"annotate.{name}" for name in ("html", "csv")},
            "key": task / "human/key.json",
            "ratings": task / "human/ratings/ana.json",
            "human": self.folder / "results/human" / f"{self.task}.json",
        }
        if name not in places:
            raise AttributeError(name)
        return places[name]

    def stages(self, output):
        """Every stage: its script, its inputs by flag, its other arguments; `output(path)` is where it writes."""
        run_flags = ["--seed", self.seed, "--device", "cpu"]
        task, system = self.task, ["--task", self.task, "--method", self.method]
        kind = ["--task", task, "--kind", "teacher_samples"]
        of_teacher = ["--task", task, "--method", "teacher"]
        titles = [f"--tasks={task}=Task", f"--students={self.method}=KL"]
        teacher = "--teacher=teacher=Teacher"
        terms = json.dumps([{"sequences": "teacher_samples", "loss": self.method}])
        tables = ["--output", output(self.folder / "results/tables/table.md")]
        return {
            "finetune_teacher": (
                {"--train": self.train, "--dev": self.dev, "--test": self.test},
                [
                    "--family",
                    "bart",
                    "--init",
                    "scratch",
                    "--vocab-size",
                    "300",
                    "--model-config",
                    json.dumps(MODEL),
                    "--model",
                    output(self.teacher),
                    "--history",
                    output(self.teacher_history),
                    "--task",
                    task,
                    *run_flags,
                    *TEXT,
                    *TRAINING,
                ],
            ),
            "sample_teacher": (
                {"--split": self.train, "--teacher": self.teacher},
                ["--samples", output(self.samples), *kind, *run_flags, *TEXT],
            ),
            "sample_teacher test": (
                {"--split": self.test, "--teacher": self.teacher},
                [
                    "--samples",
                    output(self.test_samples),
                    "--kind",
                    "teacher_samples",
                    "--task",
                    task,
                    *run_flags,
                    *TEXT,
                ],
            ),
            "init_student": (
                {"--teacher": self.teacher},
                ["--layers", '{"encoder": 1, "decoder": 1}', "--model", output(self.start), "--task", task],
            ),
            "distill": (
                {"--start": self.start, "--teacher": self.teacher, "--train": self.train, "--dev": self.dev}
                | {"--teacher-samples": self.samples},
                [
                    "--start-method",
                    "init_student",
                    *system,
                    "--terms",
                    terms,
                    "--model",
                    output(self.student),
                    "--history",
                    output(self.history),
                    *run_flags,
                    *TEXT,
                    *TRAINING,
                ],
            ),
            "trivial": (
                {"--train": self.train, "--test": self.test},
                ["--system", "most_frequent", "--generations", output(self.folder / "trivial.parquet"), "--task", task],
            ),
            "generate": (
                {"--model": self.student, "--teacher": self.teacher, "--test": self.test}
                | {"--teacher-samples": self.test_samples},
                [
                    "--generations",
                    output(self.generations),
                    "--risk",
                    output(self.risk),
                    *system,
                    *run_flags,
                    *TEXT,
                    "--max-new-tokens",
                    "8",
                ],
            ),
            "generate teacher": (
                {"--model": self.teacher, "--teacher": self.teacher, "--test": self.test}
                | {"--teacher-samples": self.test_samples},
                [
                    "--generations",
                    output(self.teacher_generations),
                    "--risk",
                    output(self.teacher_risk),
                    *of_teacher,
                    *run_flags,
                    *TEXT,
                    "--max-new-tokens",
                    "8",
                ],
            ),
            "score": (
                {"--test": self.test, "--generations": self.generations},
                ["--metrics", "bleu4", "--seed", self.seed, *system, "--output", output(self.score)],
            ),
            "metrics": ({"--scores": self.score}, ["--seeds", self.seed, *system, "--output", output(self.metrics)]),
            "metrics risks": ({"--risks": self.risk}, ["--seeds", self.seed, *system, "--output", output(self.risks)]),
            "metrics teacher": (
                {"--risks": self.teacher_risk},
                ["--seeds", self.seed, *of_teacher, "--output", output(self.teacher_risks)],
            ),
            "compare": (
                {f"--metrics={task}/{self.method}": self.metrics, f"--risks={task}/{self.method}": self.risks}
                | {f"--risks={task}/teacher": self.teacher_risks},
                ["--students", self.method, "--task", task, "--output", output(self.comparisons)],
            ),
            "claims": (
                {f"--comparisons={task}": self.comparisons},
                [
                    *("--claims", ROOT / "config/claims.yaml", "--json", output(self.folder / "results/claims.json")),
                    *("--markdown", output(self.folder / "results/claims.md")),
                    *(
                        "--table",
                        output(self.folder / "results/claims.html"),
                        output(self.folder / "results/claims.tex"),
                    ),
                ],
            ),
            "tables main": (
                {f"--metrics={task}/{self.method}": self.metrics, f"--comparisons={task}": self.comparisons},
                [*titles, *tables],
            ),
            "tables risk": (
                {f"--risks={task}/{self.method}": self.risks, f"--risks={task}/teacher": self.teacher_risks}
                | {f"--comparisons={task}": self.comparisons},
                [*titles, teacher, *tables],
            ),
            "tables results": (
                {f"--metrics={task}/{self.method}": self.metrics, f"--risks={task}/{self.method}": self.risks}
                | {f"--comparisons={task}": self.comparisons},
                [*titles, "--output", output(self.folder / "results/tables/results.parquet")],
            ),
            "tables datasets": (
                {f"--manifests={task}": self.manifest},
                [f"--tasks={task}=Task", *tables],
            ),
            "tables examples": (
                {f"--tests={task}": self.test, f"--generations={task}/{self.method}": self.generations}
                | {f"--generations={task}/teacher": self.teacher_generations},
                [*titles, teacher, *tables],
            ),
            "human kit": (
                {"--test": self.test, f"--generations={self.method}": self.generations}
                | {"--generations=teacher": self.teacher_generations},
                ["--task", task, "--page", output(self.html), "--csv", output(self.csv), "--key", output(self.key)],
            ),
            "human table": (
                {"--key": self.key},
                [
                    "--ratings",
                    self.ratings,
                    "--task",
                    task,
                    "--results",
                    output(self.human),
                    "--output",
                    output(self.human.with_suffix(".md")),
                ],
            ),
            "figures training": (
                {f"--logs={self.method}": self.history, "--logs=teacher": self.teacher_history},
                [
                    "--systems",
                    f"{self.method}=KL",
                    "teacher=Teacher",
                    "--title",
                    "T",
                    "--output",
                    output(self.folder / "results/figures/curves.svg"),
                ],
            ),
            "figures risk": (
                {f"--risks={task}/{self.method}": self.risks},
                [
                    "--systems",
                    f"{self.method}=KL",
                    "--title",
                    "T",
                    "--output",
                    output(self.folder / "results/figures/risk.svg"),
                ],
            ),
            "figures sizes": (
                {f"--metrics={task}/{self.method}": self.metrics},
                [
                    *("--student", '{"encoder": 1, "decoder": 1}', "--systems", f"{self.method}=KL", "--title", "T"),
                    *("--output", output(self.folder / "results/figures/sizes.svg")),
                ],
            ),
        }

    def command(self, stage, output=lambda path: path):
        """The script of a stage, or of `prepare`, and its arguments."""
        if stage == "prepare":
            return ["prepare", *self.preparation(output)]
        inputs, others = self.stages(output)[stage]
        given: dict[str, list] = {}
        for flag, path in inputs.items():
            flag, _, key = flag.partition("=")
            given.setdefault(flag, []).append(f"{key}={path}" if key else path)
        script, *table = stage.split()
        table = table if script in ("tables", "figures", "human") else []
        return [script, *table, *(part for flag, values in given.items() for part in (flag, *values)), *others]

    def preparation(self, output):
        """The arguments of `prepare`, for files of the user's own."""
        splits = ("train", "dev", "test")
        paths = json.dumps({"path": {split: str(self.folder / f"{split}.csv") for split in splits}})
        outputs = [part for name in (*FILES, "manifest") for part in (f"--{name}", output(getattr(self, name)))]
        return ["--kind", "files", "--options", paths, *outputs, "--task", self.task]

    def prepare(self):
        """The data, by the script `prepare`."""
        self.folder.mkdir(exist_ok=True)
        for split, size in (("train", 12), ("dev", 4), ("test", 4)):
            rows = [f"{self.task} of {split} {i},{self.task} {i % 3}" for i in range(size)]
            (self.folder / f"{split}.csv").write_text("\n".join(["source,target", *rows]) + "\n")
        run(*self.command("prepare"))

    def make(self):
        """Run every stage."""
        self.prepare()
        for stage in self.stages(lambda path: path):
            if stage == "human table":
                self.rate()
            run(*self.command(stage))
        return self

    def rate(self):
        """Write the ratings of an annotator, who likes everything."""
        key = json.loads(self.key.read_text())
        best = {aspect["title"]: 5 for aspect in key["aspects"]}
        ratings = {"kit": key["kit"], "annotator": "Ana", "ratings": {item["item"]: best for item in key["items"]}}
        self.ratings.parent.mkdir()
        self.ratings.write_text(json.dumps(ratings))


__all__ = ["METHOD", "Study", "run"]
