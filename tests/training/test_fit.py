"""A run of training without any task: what it keeps, says, refuses, and how it ends."""

import logging
import warnings

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

import geodiff
from geodiff.training.average import MovingAverage
from geodiff.training.batch import TrainingBatch
from geodiff.training.datamodule import TaskData
from geodiff.training.module import MatchingModule
from geodiff.training.objective import Matching
from geodiff.training.options import Run
from geodiff.training.run import fit
from geodiff.training.settings import TrainingSettings
from manifolds import Euclidean

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pytorch_lightning"),
]


class Points(torch.utils.data.Dataset):
    """Points on a circle; all of size 1."""

    def __init__(self, count=64):
        angles = torch.linspace(0, 6, count)
        self.points, self.sizes = torch.stack([angles.cos(), angles.sin()], 1), [1] * count

    def __len__(self):
        return len(self.points)

    def __getitem__(self, index):
        return self.points[index]


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(3, 16), torch.nn.SiLU(), torch.nn.Linear(16, 2)
            )

    def forward(self, x, s, condition, mask):
        return self.layers(torch.cat([x, s[:, None]], 1))


def run(out, steps=6, resume=False, **settings):
    """A short run; returns its module, whose field holds the averaged weights."""
    field = geodiff.NetworkField(Network(), geodiff.Geodesic(Euclidean(2)))
    data = TaskData(
        Points(), Points(16), lambda items: TrainingBatch(torch.stack(items)), batch_size=16
    )
    options = {
        name: settings.pop(name)
        for name in ("devices", "strategy", "max_epochs", "progress_bar", "logger")
        if name in settings
    }
    options = {"progress_bar": False, "accelerator": "cpu", "max_steps": steps, **options}
    module = MatchingModule(field, TrainingSettings(**settings), Matching())
    return fit(module, data, out, Run(resume=resume, **options))


def weights_of(module):
    return torch.cat([weight.detach().flatten() for weight in module.field.parameters()])


def saved(out, key):
    state = torch.load(out / "last.ckpt", weights_only=True)[key]
    return torch.cat(
        [weight.flatten() for name, weight in state.items() if name.startswith("field.")]
    )


def test_the_last_checkpoint_holds_the_average_that_is_returned_and_the_weights_behind_it(tmp_path):
    module = run(tmp_path, learning_rate=0.1)
    assert torch.equal(weights_of(module), saved(tmp_path, "state_dict"))
    assert not torch.allclose(weights_of(module), saved(tmp_path, "current_model_state"), atol=1e-3)


def test_a_finished_run_that_is_resumed_is_as_it_was(tmp_path):
    first = run(tmp_path)
    second = run(tmp_path, resume=True)
    assert second.global_step == first.global_step == 6
    assert torch.equal(weights_of(first), weights_of(second))
    assert second.validation_loss == first.validation_loss and set(first.validation_loss) == {
        "val_0.1",
        "val_0.3",
        "val_0.6",
        "val_0.9",
    }


def test_a_short_run_forgets_where_it_started():
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.zero_()
    callback = MovingAverage(0.999)
    average = AveragedModel(model, use_buffers=False, **callback._kwargs)
    seen = []
    for _ in range(100):
        average.update_parameters(model)
        model.weight.data.fill_(1.0)
        seen.append(average.module.weight.item())
    assert seen[0] == 0 and seen[20] > 0.9 and seen[99] > 0.9999
    assert all(later >= earlier for earlier, later in zip(seen, seen[1:]))


def test_the_average_of_a_long_run_has_the_decay_that_was_asked_for():
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.zero_()
    average = AveragedModel(model, use_buffers=False, **MovingAverage(0.9)._kwargs)
    for _ in range(200):
        average.update_parameters(model)
    model.weight.data.fill_(1.0)
    for _ in range(5):
        average.update_parameters(model)
    assert average.module.weight.item() == pytest.approx(1 - 0.9**5, rel=1e-5)


def test_a_good_run_says_nothing_and_leaves_loggers_and_filters_as_they_were(tmp_path, capfd):
    levels = [logging.getLogger(name).level for name in ("pytorch_lightning", "lightning_fabric")]
    filters = list(warnings.filters)
    run(tmp_path)
    run(tmp_path, steps=8, resume=True)
    assert capfd.readouterr() == ("", "")
    assert [
        logging.getLogger(name).level for name in ("pytorch_lightning", "lightning_fabric")
    ] == levels
    assert warnings.filters == filters


def test_warnings_that_are_not_of_lightnings_making_still_reach_the_user(tmp_path, monkeypatch):
    def warn(self, x, s, condition, mask):
        warnings.warn("the network is not well", RuntimeWarning, stacklevel=2)
        return x

    monkeypatch.setattr(Network, "forward", warn)
    with pytest.raises(RuntimeWarning, match="not well"):  # an error by the tests' own filter
        run(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"devices": 0},
        {"devices": -2},
        {"strategy": "fsdp"},
        {"strategy": "ddp_spawn"},
        {"strategy": "nonsense"},
    ],
    ids=str,
)
def test_devices_and_strategies_that_cannot_be_are_named_and_write_nothing(tmp_path, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}: expected"):
        run(tmp_path / "run", **wrong)
    assert not (tmp_path / "run").exists()
