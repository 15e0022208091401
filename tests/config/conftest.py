"""The fixture that the tests of the configuration share."""

import pytest
from small_config import Project


@pytest.fixture
def project(tmp_path):
    """A small repository with a configuration."""
    return Project(tmp_path)
