"""Sinks of training curves: TensorBoard, Weights & Biases, MLflow, each through its own library.

A sink is a context manager that yields the function which takes a step and its numbers by name. It is opened at every
start of a training, a resumed one too, and receives the whole curve from its beginning. What an interrupted start of
the same training sent before is replaced or left out, so that a curve has no point twice and lacks none. Libraries are
imported here alone, and only when their sink is opened: none is a dependency of the project.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Send = Callable[[int, Mapping[str, float]], None]
TAG = "fdistill_training"  # of an MLflow run: the training's identity


@dataclass(frozen=True)
class Training:
    """The training that a curve is of."""

    name: str  # task/method/seed
    identity: str  # a hash of all that its numbers depend on: trainings with the same one have the same curve
    folder: Path  # for files of sinks


@contextmanager
def _tensorboard(options: bool, training: Training) -> Iterator[Send]:
    from torch.utils.tensorboard import SummaryWriter

    for file in training.folder.glob("events.out.tfevents.*"):
        file.unlink()
    # purge_step: a TensorBoard that runs meanwhile forgets the points of the files that were deleted.
    with SummaryWriter(training.folder, purge_step=0) as writer:

        def send(step: int, numbers: Mapping[str, float]) -> None:
            for name, value in numbers.items():
                writer.add_scalar(name, value, step)
            writer.flush()

        yield send


@contextmanager
def _wandb(options: dict[str, Any], training: Training) -> Iterator[Send]:
    import wandb

    training.folder.mkdir(parents=True, exist_ok=True)
    # The console is not sent, which shows paths and commands. Without `resume`, a run of the same id is written anew.
    settings = wandb.Settings(console="off", silent=True)
    name, run_id = training.name, training.identity[:32]
    group, folder = name.rpartition("/")[0], str(training.folder)
    with wandb.init(**options, id=run_id, name=name, group=group, dir=folder, settings=settings) as run:
        yield lambda step, numbers: run.log(dict(numbers), step=step)


@contextmanager
def _mlflow(options: dict[str, Any], training: Training) -> Iterator[Send]:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient(options["tracking_uri"])
    found = client.get_experiment_by_name(options["experiment"])
    experiment = found.experiment_id if found else client.create_experiment(options["experiment"])
    runs = client.search_runs([experiment], f"tags.{TAG} = '{training.identity}'", max_results=1)
    run = runs[0] if runs else client.create_run(experiment, tags={TAG: training.identity}, run_name=training.name)
    run_id = run.info.run_id
    client.update_run(run_id, "RUNNING")
    points = {(name, point.step) for name in run.data.metrics for point in client.get_metric_history(run_id, name)}

    def send(step: int, numbers: Mapping[str, float]) -> None:
        now = round(1000 * time.time())
        new = [Metric(name, value, now, step) for name, value in numbers.items() if (name, step) not in points]
        client.log_batch(run_id, metrics=new)

    try:
        yield send
    except BaseException:
        client.set_terminated(run_id, "KILLED")
        raise
    client.set_terminated(run_id)


# By the keys of section `logging`.
SINKS: dict[str, Callable[[Any, Training], AbstractContextManager[Send]]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}
