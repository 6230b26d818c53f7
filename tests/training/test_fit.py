"""A run of training without any task: what it keeps, says, refuses, and how it ends."""

import logging
import re
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
from geodiff.training.progress import Bar
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


def rates(out):
    """The learning rates that a run has written."""
    rows = [r.split(",") for r in (out / "metrics_0" / "metrics.csv").read_text().splitlines()]
    column = next(i for i, name in enumerate(rows[0]) if name.startswith("lr-"))
    return [float(row[column]) for row in rows[1:] if row[column]]


def module_of(steps, progress, **settings):
    """A module of a run of so many steps, of which this share is done."""
    field = geodiff.NetworkField(Network(), geodiff.Geodesic(Euclidean(2)))
    module = MatchingModule(field, TrainingSettings(**settings), Matching())
    module.total_steps, module.progress = steps, lambda: progress
    return module


def test_a_cosine_falls_to_zero_and_a_constant_rate_stays_until_it_cools():
    for share, rate in ((0.0, 1.0), (0.5, 0.5), (1.0, 0.0)):
        assert module_of(1000, share).rate(600) == pytest.approx(rate)
        assert module_of(1000, share, schedule="constant").rate(600) == 1.0
    for share, rate in ((0.0, 1.0), (0.8, 1.0), (0.9, 0.5), (1.0, 0.0)):
        cooled = module_of(1000, share, schedule="constant", cooldown=0.2)
        assert cooled.rate(600) == pytest.approx(rate)


def test_a_short_run_warms_up_for_a_tenth_of_it_and_one_without_end_as_long_as_asked():
    assert module_of(99, 0.0).rate(0) == pytest.approx(0.1)
    assert module_of(99, 0.0).rate(9) == 1.0
    assert module_of(float("inf"), 0.0).rate(0) == 1 / 500


def test_a_constant_run_goes_on_at_its_rate_and_cools_at_its_end(tmp_path):
    run(tmp_path, steps=40, schedule="constant", learning_rate=0.01)
    assert rates(tmp_path)[-1] == 0.01
    module = run(
        tmp_path, steps=80, resume=True, schedule="constant", cooldown=0.25, learning_rate=0.01
    )
    (group,) = {g["lr"] for g in module.trainer.optimizers[0].param_groups}
    assert module.global_step == 80 and group == 0


@pytest.mark.parametrize(
    "wrong", [{"schedule": "linear"}, {"cooldown": 0.2}, {"schedule": "constant", "cooldown": 2}]
)
def test_schedules_that_cannot_be_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match="schedule: expected|cooldown: expected"):
        run(tmp_path / "run", **wrong)
    assert not (tmp_path / "run").exists()


def test_a_run_starts_from_given_weights_and_its_average_too(tmp_path):
    from geodiff.training import weights
    from geodiff.training.average import MovingAverage
    from geodiff.training.module import TrainingModule
    from geodiff.training.run import start_from
    from tests.images.flow import small_config, small_field

    field = small_field()
    path = weights.save(tmp_path / "model", field, "images", small_config(), {})
    module = TrainingModule("images", small_config(), seed=5)
    start_from(module, path)
    for name, weight in field.state_dict().items():
        assert torch.equal(module.field.state_dict()[name], weight)
    average = AveragedModel(module.field, use_buffers=False, **MovingAverage()._kwargs)
    for weight, given in zip(average.module.parameters(), field.parameters()):
        assert torch.equal(weight, given)


def test_weights_that_do_not_fit_are_refused_in_words(tmp_path):
    images = pytest.importorskip("geodiff.images")
    with pytest.raises(
        ValueError, match=r"init: 'images-digits' does not fit: .* there and .*here"
    ):
        images.train("digits", tmp_path / "run", width=8, init="images-digits", accelerator="cpu")
    with pytest.raises(ValueError, match="expected one for images, got 'conformers-qm9'"):
        images.train("digits", tmp_path / "run", init="conformers-qm9", accelerator="cpu")
    assert not (tmp_path / "run").exists()


def test_losses_are_written_where_asked_for(tmp_path, monkeypatch):
    run(tmp_path / "csv")
    run(tmp_path / "none", logger="none")
    assert (tmp_path / "csv" / "metrics_0" / "metrics.csv").is_file()
    assert [path.name for path in (tmp_path / "none").iterdir()] == ["last.ckpt"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in ("tensorboard", "wandb"):
        with pytest.raises(ModuleNotFoundError, match=f"pip install {name}"):
            run(tmp_path / name, logger=name)
        assert not (tmp_path / name).exists()


def test_tensorboard_has_the_losses(tmp_path):
    pytest.importorskip("tensorboard")
    run(tmp_path, logger="tensorboard")
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_where_nobody_watches_a_line_says_how_far_the_run_is(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("geodiff.training.run.Bar", lambda: Bar(every=0.0))
    run(tmp_path, steps=8, progress_bar=True)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 8
    assert re.fullmatch(r"6 of 8 steps, 0:00:\d\d left, loss [\d.]+, validation [\d.]+", lines[5])


def test_a_minute_passes_before_the_first_line(tmp_path, capfd):
    run(tmp_path, steps=8, progress_bar=True)
    assert capfd.readouterr().err == ""


def test_on_a_terminal_a_bar_counts_all_steps(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    run(tmp_path, steps=8, progress_bar=True)
    assert "8 of 8 steps |" in capfd.readouterr().err
