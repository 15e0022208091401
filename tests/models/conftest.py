"""Published checkpoints, for the tests of models."""

import pytest
from hub_checkpoints import HUB, write


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """The folder of a published checkpoint, written once."""
    root = tmp_path_factory.mktemp("hub")
    return lambda name: root / name if (root / name).exists() else write(root / name, name)


@pytest.fixture(params=HUB)
def name(request) -> str:
    return request.param
