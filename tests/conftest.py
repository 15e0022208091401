"""What every test shares."""

import pytest
import torch
from fdistill.models.families import FAMILIES

# The files that take longest. `make test` shares files out among processes: with these first, none is waited for.
LONGEST = ["test_slurm.py", "test_end_to_end.py", "test_distributed.py", "test_paper_in_small.py", "test_shards.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the rest stays in its order."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tiny tensors gain nothing from threads, and the machine may be shared."""
    torch.set_num_threads(1)


@pytest.fixture(params=FAMILIES)
def family(request) -> str:
    """Each model family in turn."""
    return request.param
