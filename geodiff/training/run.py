"""One run of training: from a model and data to checkpoints and a model on disk."""

import importlib.util
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from geodiff.files import replacing
from geodiff.training import weights
from geodiff.training.average import MovingAverage
from geodiff.training.checkpoints import AtomicCheckpointIO, Place, SaveLast
from geodiff.training.datamodule import TaskData
from geodiff.training.module import MatchingModule, TrainingModule, computes_in
from geodiff.training.options import Run
from geodiff.training.progress import Bar, quiet


def train(
    module: TrainingModule,
    data: TaskData,
    out: Path,
    run: Run,
    *,
    source: Path | str,
    dtype: torch.dtype | None = torch.float16,
    **facts: Any,
) -> Path:
    """Fit a model and write it; returns the path of its JSON in `out`.

    Args:
        module: of a task.
        data: of the same task.
        out: folder for the model and its checkpoints.
        run: how to train.
        source: where the data is from, for the card.
        dtype: the precision on disk of real-valued weights; None keeps theirs.
        facts: what else the card says.
    """
    if run.init is not None:
        start_from(module, run.init)
    fit(module, data, out, run)
    facts = {"seed": run.seed, "batch_size": run.batch_size, **data.facts, **facts}
    return write_model(module, out, module.task, module.config, data=source, dtype=dtype, **facts)


def start_from(module: TrainingModule, model: str | Path) -> None:
    """Give a module the weights of a trained model.

    Args:
        module: of the same task and sizes.
        model: a path or a shipped name.

    Raises: ValueError naming a weight that does not fit.
    """
    given, own = weights.load(model, module.task).state_dict(), module.field.state_dict()
    for name in sorted(given.keys() | own.keys()):
        there, here = (tuple(s[name].shape) if name in s else None for s in (given, own))
        if there != here:
            raise ValueError(
                f"init: {str(model)!r} does not fit: {name} is {there or 'missing'} there and "
                f"{here or 'missing'} here; train with the sizes of that model"
            )
    module.field.load_state_dict(given)


def fit(module: MatchingModule, data: TaskData, out: Path, run: Run = Run()) -> MatchingModule:
    """Train the field of `module` to its moving average; checkpoints and losses go to `out`.

    With more than one device, each has a process with a batch of its own in every step, and the
    strategy "auto" averages their gradients. The processes run the whole script, so what follows
    `fit` runs in each; `write_model` writes in the first alone. An interrupt saves the checkpoint
    before it is raised.

    Args:
        module: with the settings of the optimiser.
        data: to train on.
        out: folder for checkpoints, as last.ckpt, and metrics_*/metrics.csv.
        run: its limits, devices, seed, logger, and whether it goes on from last.ckpt.

    Returns: the module.

    Raises: FileExistsError if `out` holds a checkpoint and the run is no resumed one, ValueError if
        the checkpoint is damaged or of another network.
    """
    out = Path(out)
    last = out / "last.ckpt"
    if last.exists() and not run.resume:
        raise FileExistsError(
            f"out: {out} already holds a run; pass resume=True (--resume) or another folder"
        )
    made = _logger(run.logger, out)
    out.mkdir(parents=True, exist_ok=True)
    try:
        with quiet(), _interrupts():
            trainer = _trainer(module, out, run, made)
            if not trainer.is_global_zero and _in_main_thread():
                # Ctrl-C reaches every process of a terminal; the first saves, and ends the others.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            trainer.fit(
                module,
                datamodule=data,
                ckpt_path=str(last) if last.exists() else None,
                weights_only=True,
            )
    except RuntimeError as error:
        if "loading state_dict" not in str(error):
            raise
        raise ValueError(
            f"out: {last} is of a network of other sizes; resume with those of its run, or train "
            "in another folder"
        ) from error
    finally:
        computes_in(module.field, None)
    return module


def _trainer(module: MatchingModule, out: Path, run: Run, made: Logger | None) -> pl.Trainer:
    callbacks: list[Callback] = [
        MovingAverage(module.settings.ema_decay),
        ModelCheckpoint(
            out,
            filename="last",
            save_top_k=1,
            every_n_train_steps=module.settings.checkpoint_every_steps,
            enable_version_counter=False,
        ),
        Place(run.seed),
        SaveLast(out / "last.ckpt"),
    ]
    if made is not None:
        callbacks.append(LearningRateMonitor("step"))
    if run.progress_bar:
        callbacks.append(Bar())
    strategy = run.strategy
    if strategy == "auto" and run.devices != 1:
        # a step need not use every head or condition of a network
        strategy = "ddp_find_unused_parameters_true"
    return pl.Trainer(
        accelerator=run.accelerator,
        devices=run.devices,
        strategy=strategy,
        max_steps=run.max_steps,
        max_epochs=run.max_epochs,
        gradient_clip_val=module.settings.gradient_clip,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        enable_progress_bar=run.progress_bar,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        log_every_n_steps=20,
        default_root_dir=out,
        logger=made or False,
    )


def _logger(name: str, out: Path) -> Logger | None:
    """The logger of this name; ModuleNotFoundError, with the cure, where its library is missing."""
    if name == "none":
        return None
    if name == "csv":
        # a resumed run writes its own file: Lightning would delete the first
        runs = len(list(out.glob("metrics*")))
        return CSVLogger(out, name="", version=f"metrics_{runs}")
    if importlib.util.find_spec(name) is None:
        raise ModuleNotFoundError(f"--logger {name} needs {name}: pip install {name}")
    if name == "tensorboard":
        return TensorBoardLogger(out, name="", version="tensorboard")
    return WandbLogger(name=out.name, save_dir=out, project="geodiff")


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def _interrupts() -> Iterator[None]:
    """An interrupt ends the block as a KeyboardInterrupt, and what answered it before does again.

    Lightning 2.6 answers an interrupt by exit code 1, and ignores every one after the first.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:
        raise KeyboardInterrupt from stop
    finally:
        if _in_main_thread() and before is not None:
            signal.signal(signal.SIGINT, before)


def write_model(
    module: MatchingModule,
    out: Path,
    task: str,
    config: dict,
    *,
    data: Path | str,
    dtype: torch.dtype | None = torch.float16,
    **facts: Any,
) -> Path:
    """Write a trained field as `out`/model.safetensors and model.json, its card also as card.json;
    returns model.json.

    In a run of several processes the first one writes, and all wait for it.

    Args:
        module: that `fit` returned.
        out: folder to write to.
        task: its name.
        config: as for `weights.save`.
        data: where the data is from.
        dtype: the precision on disk of real-valued weights; None keeps theirs.
        facts: what else the card says: the seed, numbers of training items.
    """
    trainer, field = module.trainer, module.field
    card = {
        "command": "geodiff " + " ".join(sys.argv[1:]),
        "data": Path(data).name,
        **facts,
        "steps": module.global_step,
        "devices": trainer.world_size,
        "training_seconds": round(module.elapsed.item()),
        "parameters": sum(p.numel() for p in field.parameters()),
        "threads": torch.get_num_threads(),
        "device": str(trainer.strategy.root_device),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d", time.gmtime(module.started)),
        "validation_loss": module.validation_loss,
    }
    document = Path(out) / "model.json"
    if trainer.is_global_zero:
        weights.save(document.with_suffix(""), field, task, config, card, dtype=dtype)
        with replacing(document.with_name("card.json")) as part:
            part.write_text(json.dumps(card, indent=1) + "\n")
    trainer.strategy.barrier("model written")
    return document
