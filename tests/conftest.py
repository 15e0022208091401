"""What every test shares."""

import os
from pathlib import Path

import pytest
import tiny
import torch
from fdistill.models.families import FAMILIES
from model_cases import padded_batch

# Processes that tests start import from the same folders as the tests (`pythonpath` in pyproject.toml). The server of
# `warm` does so before it could be told.
TESTS = Path(__file__).parent
os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS.parent / "workflow"), str(TESTS)])

# The files that take longest. `make test` runs files in parallel: with these first, no process waits for the last one.
LONGEST = [
    "test_slurm.py",
    "test_end_to_end.py",
    "test_distributed.py",
    "test_paper_in_small.py",
    "test_shleifer_rush_in_small.py",
    "test_interrupted_scripts.py",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the rest stays in its order."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tiny tensors gain nothing from threads, and the machine may be shared."""
    torch.set_num_threads(1)


@pytest.fixture(params=[name for name in FAMILIES if name not in tiny.LLAMAS[1:]])
def family(request) -> str:
    """Each model family in turn; of Llama and its relatives, Llama alone. Tests of models and sampling have all."""
    return request.param


@pytest.fixture
def checkpoint(family):
    """A tiny model of the family."""
    return tiny.checkpoint(family)


@pytest.fixture
def batch(checkpoint):
    """Padded examples for the tiny model."""
    return padded_batch(checkpoint)
