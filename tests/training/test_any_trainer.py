"""The model and the data of each task by themselves, under a trainer that is not ours."""

import math
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint, Timer
from pytorch_lightning.loggers import CSVLogger

from geodiff import conformers, grasps, images, proteins
from geodiff.training import MovingAverage
from geodiff.training.module import TrainingModule
from tests.training.test_distributed import MAKERS

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pytorch_lightning"),
    # what Lightning says of small and of resumed runs
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec"),
]
CASES = {
    "conformers": (conformers, {"width": 32, "layers": 1, "vector_width": 8}, {}),
    "grasps": (grasps, {"width": 16, "rounds": 1}, {"anchors": 16, "grasps": 4}),
    "images": (images, {"width": 8, "shape": (1, 8, 8), "names": ("0", "1", "2")}, {}),
    "proteins": (proteins, {"width": 16, "layers": 1}, {"longest": 24}),
}


class Rates(pl.Callback):
    """Keeps the learning rate after each step."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, *rest):
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


def trainer(folder, *callbacks, **limits):
    return pl.Trainer(
        accelerator="cpu",
        logger=CSVLogger(folder),
        callbacks=[*callbacks],
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        default_root_dir=folder,
        **limits,
    )


def trainer_of_two(*callbacks):
    """What a module sees of a trainer of two processes, before its first step."""
    return SimpleNamespace(world_size=2, global_step=0, callbacks=callbacks, should_stop=False)


@pytest.mark.parametrize("task", CASES)
def test_a_trainer_of_ones_own_trains_validates_and_predicts(task, tmp_path):
    package, sizes, of_data = CASES[task]
    MAKERS[task](tmp_path / "data.npz")
    data = package.data(tmp_path / "data.npz", batch_size=4, **of_data)
    module, rates = package.module(**sizes), Rates()
    kept = ModelCheckpoint(tmp_path / "kept", every_n_train_steps=20)
    own = trainer(tmp_path, MovingAverage(), kept, rates, max_steps=20)
    own.fit(module, data)
    assert module.global_step == 20 and len(rates.seen) == 20
    assert rates.seen[-1] == 0 < max(rates.seen[1:])
    (path,) = tmp_path.rglob("*.ckpt")
    loaded = type(module).load_from_checkpoint(path, weights_only=True)
    assert isinstance(loaded, TrainingModule) and loaded.task == task
    for name, weight in loaded.field.state_dict().items():
        assert torch.equal(weight, module.field.state_dict()[name]), name
    (measured,) = own.validate(loaded, data, verbose=False)
    assert {"val_0.1", "val_0.9"} <= measured.keys()
    assert all(math.isfinite(value) for value in measured.values())
    loaded.sampling_steps = 2
    made = own.predict(loaded, data)
    shapes = [batch.clean.shape for batch in data.predict_dataloader()]
    assert [points.shape for points in made] == shapes
    assert all(points.isfinite().all() for points in made)
    space = loaded.field.corruption.manifold
    space.require(made=made[0])


def test_epochs_alone_let_the_rate_reach_zero_and_have_orders_of_their_own(tmp_path):
    MAKERS["images"](tmp_path / "data.npz")
    data, rates = images.data(tmp_path / "data.npz", batch_size=16), Rates()
    data.train.items = list(range(len(data.train.images)))  # once an epoch
    data.train.sizes = [8] * len(data.train.items)
    seen = []

    class Orders(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, index):
            seen.append(batch.clean.sum().item())

    sizes = CASES["images"][1]
    trainer(tmp_path, rates, Orders(), max_epochs=3).fit(images.module(**sizes), data)
    assert len(rates.seen) == 12 and rates.seen[-1] == 0 < rates.seen[-2]
    assert len({*seen[:4]} & {*seen[4:8]}) == 0


def test_a_limit_of_time_ends_at_rate_zero_too(tmp_path):
    rates, data = Rates(), images.data("digits", batch_size=8)
    own = trainer(tmp_path, rates, max_time={"seconds": 3}, max_epochs=-1)
    own.fit(images.module(width=8, warmup_steps=2), data)
    assert len(rates.seen) > 5 and rates.seen[-1] < 0.2 * max(rates.seen)


def test_command_and_pieces_have_the_same_defaults():
    """What `train` offers of a model or its data has the default that module() and data() have."""
    import inspect

    for task, (package, _, _) in CASES.items():
        offered = inspect.signature(package.train).parameters
        for piece in (package.module, package.data):
            for name, parameter in inspect.signature(piece).parameters.items():
                if name in offered and name != "data" and parameter.default is not parameter.empty:
                    assert offered[name].default == parameter.default, (task, name)


def test_processes_go_by_one_clock_also_under_a_limit_of_the_trainer(monkeypatch):
    """With clocks of their own their learning rates would differ, and one would end before the
    other.
    """
    module = images.module(shape=(1, 8, 8), width=8)
    clock = Timer(duration={"minutes": 1})
    module.trainer = trainer_of_two(clock)
    monkeypatch.setattr(clock, "time_elapsed", lambda *stage: 54.0)
    monkeypatch.setattr(clock, "time_remaining", lambda *stage: 6.0)
    monkeypatch.setattr(torch.distributed, "broadcast", lambda shared, source: shared.fill_(0.25))
    module.on_fit_start()
    assert module.on_train_batch_start(None, 0) is None and module.progress() == 0.25
    monkeypatch.setattr(torch.distributed, "broadcast", lambda shared, source: shared.fill_(1.0))
    assert module.on_train_batch_start(None, 1) == -1 and module.trainer.should_stop
