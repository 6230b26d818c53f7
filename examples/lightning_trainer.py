"""Does a model of geodiff train under a Lightning trainer of one's own?

The module and the data module of images (so do conformers, proteins and grasps), with a limit, a
logger and callbacks that are not ours. The checkpoint is loaded by its path alone and predicts.
Prints the validation loss, a mean over four levels of noise, over that of the untrained model.

    python examples/lightning_trainer.py [--fast] [--seed 0]
"""

import argparse
import logging
import tempfile
import warnings
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger

from geodiff import images
from geodiff.training import MovingAverage, TrainingModule

# Over seeds 0 to 2; a model that learns nothing has 1.
EXPECTED = {True: "0.40-0.50", False: "0.22-0.26"}


def validation_loss(trainer: pl.Trainer, module: pl.LightningModule, data: object) -> float:
    """The mean over the levels that validation measures."""
    (measured,) = trainer.validate(module, data, verbose=False)
    return sum(measured.values()) / len(measured)


def main() -> float:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fast", action="store_true", help="60 steps instead of 600")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers")

    pl.seed_everything(asked.seed, verbose=False)
    module = images.module(width=16, learning_rate=3e-3, seed=asked.seed)
    data = images.data("digits", batch_size=32, seed=asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        kept = ModelCheckpoint(Path(folder) / "kept", every_n_train_steps=30)
        trainer = pl.Trainer(
            max_steps=60 if asked.fast else 600,
            val_check_interval=30,
            accelerator="cpu",
            logger=CSVLogger(folder),
            callbacks=[
                MovingAverage(0.98),
                EarlyStopping("val_0.3", patience=10),
                LearningRateMonitor(),
                kept,
            ],
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=10,
        )
        before = validation_loss(trainer, module, data)
        trainer.fit(module, data)
        loaded = TrainingModule.load_from_checkpoint(kept.best_model_path, weights_only=True)
        ratio = validation_loss(trainer, loaded, data) / before
        loaded.sampling_steps = 10
        made = trainer.predict(loaded, data)
    assert made is not None
    print(f"{sum(map(len, made))} images predicted for the labels of the validation set")
    print(f"validation loss {ratio:.3f} of the untrained one   (expected {EXPECTED[asked.fast]})")
    return ratio


if __name__ == "__main__":
    main()
