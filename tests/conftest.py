"""What every test shares."""

import pytest
import torch
from fdistill.models.families import FAMILIES


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tiny tensors gain nothing from threads, and the machine may be shared."""
    torch.set_num_threads(1)


@pytest.fixture(params=FAMILIES)
def family(request) -> str:
    """Each model family in turn."""
    return request.param
