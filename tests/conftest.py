"""What every test may use."""

import pytest
import torch

pytest_plugins = ["tests.molecules"]


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


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> str:
    """A conformer model that was never trained: enough to see files written and failures
    reported.
    """
    from geodiff.conformers.model import build, new_config
    from geodiff.conformers.network import NetworkConfig
    from geodiff.training import weights

    config = new_config(NetworkConfig(width=32, layers=1, vector_width=16))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        field = build(config)
    return str(
        weights.save(
            tmp_path_factory.mktemp("model") / "untrained", field, "conformers", config, {}
        )
    )
