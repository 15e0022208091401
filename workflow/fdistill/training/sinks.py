"""Sinks of training curves: TensorBoard, Weights & Biases, MLflow, each through its own library.

A sink is a context manager that yields the function which takes a step and its numbers by name. It is opened at every
start of a training, a resumed one too, and receives the whole curve from its beginning. What an interrupted start of
the same training sent before is replaced or left out, so that a curve has no point twice and lacks none. Libraries are
imported here alone, and only when their sink is opened: none is a dependency of the project.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

Send = Callable[[int, Mapping[str, float]], None]
WAIT = 50.0  # seconds for an answer of W&B at the beginning and at the end, a little less than `curves.CLOSE_SECONDS`
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

    run_id = training.identity[:32]
    for old in training.folder.glob(f"wandb/offline-run-*-{run_id}"):  # whole or not, this one has all its points
        rmtree(old)
    training.folder.mkdir(parents=True, exist_ok=True)
    # The console stays as it is: it is the job's log. A server that does not answer may not hold up the end of the
    # process. Without `resume`, a run of the same id is written anew.
    limits = {"init_timeout": WAIT, "finish_timeout": WAIT, "finish_timeout_raises": True}
    settings = wandb.Settings(console="off", silent=True, **limits)
    group = training.name.rpartition("/")[0]
    place = {"id": run_id, "name": training.name, "group": group, "dir": str(training.folder)}
    run = wandb.init(**options, **place, settings=settings)
    try:
        yield lambda step, numbers: run.log(dict(numbers), step=step)
    except BaseException:
        run.finish(exit_code=1)
        raise
    run.finish()


@contextmanager
def _mlflow(options: dict[str, Any], training: Training) -> Iterator[Send]:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    logging.getLogger("alembic").setLevel(logging.WARNING)  # it logs every table of a new database
    client = MlflowClient(options["tracking_uri"])
    try:
        run = _mlflow_run(client, options["experiment"], training)
    except Exception:  # jobs that start together may all make the database, or the experiment: one of them succeeds
        time.sleep(3)
        run = _mlflow_run(client, options["experiment"], training)
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


def _mlflow_run(client: Any, name: str, training: Training) -> Any:
    """Return the training's run in the experiment `name`; both are made if there are none."""
    found = client.get_experiment_by_name(name)
    experiment = found.experiment_id if found else client.create_experiment(name)
    runs = client.search_runs([experiment], f"tags.{TAG} = '{training.identity}'", max_results=1)
    return runs[0] if runs else client.create_run(experiment, tags={TAG: training.identity}, run_name=training.name)


# By the keys of section `logging`.
SINKS: dict[str, Callable[[Any, Training], AbstractContextManager[Send]]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}
