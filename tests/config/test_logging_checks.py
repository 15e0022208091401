"""Section `logging` of a study: what is refused before anything runs."""

import pytest
from fdistill.config.logging_checks import sinks
from fdistill.runtime.errors import UserError
from small_config import Project


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.mark.parametrize(
    ("logging", "text"),
    [
        ({"tensorbord": True}, "logging.tensorbord: unknown key; did you mean 'tensorboard'?"),
        ({"wandb": {}}, "logging.wandb.project: missing"),
        ({"wandb": True}, "logging.wandb: true is not allowed"),
        ({"wandb": {"project": "a/b"}}, "logging.wandb.project: 'a/b' has a /, which W&B allows in no project's name"),
        (
            {"mlflow": {"tracking_uri": "https://me:hush@server/x"}},
            "logging.mlflow.tracking_uri: contains a password or a user's name",
        ),
    ],
)
def test_mistakes(project, logging, text):
    with pytest.raises(UserError) as error:
        project.load(logging=logging)
    assert f": {text}" in str(error.value) and "hush" not in str(error.value)


def test_nothing_is_on_unless_it_is_asked_for(project):
    assert sinks(project.load().logging) == {}
    settings = project.load(logging={"tensorboard": True, "mlflow": {}, "wandb": {"project": "p"}}).logging
    assert sinks(settings) == {
        "tensorboard": True,
        "mlflow": {"tracking_uri": None, "experiment": "fdistill"},
        "wandb": {"project": "p", "entity": None},
    }
