"""The fixtures of the tests of sampling."""

import pytest
from fdistill.models.families import FAMILIES
from hub_cases import hub, name  # noqa: F401


@pytest.fixture(params=FAMILIES)
def family(request) -> str:
    """Each model family in turn."""
    return request.param
