"""What every test may use."""

import pytest
import torch


@pytest.fixture
def generator() -> torch.Generator:
    """A generator with a fixed seed, fresh for each test."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tests are many small operations: a second thread costs more than it brings."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
