"""One run of training: from a field and data to checkpoints and a model on disk."""

import json
import signal
import sys
import threading
import time
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger

from geodiff.files import replacing
from geodiff.process.field import Field
from geodiff.training import weights
from geodiff.training.average import MovingAverage
from geodiff.training.checkpoints import AtomicCheckpointIO, Place, SaveLast
from geodiff.training.datamodule import TaskData
from geodiff.training.module import MatchingModule
from geodiff.training.objective import Matching, Objective
from geodiff.training.progress import Bar, quiet
from geodiff.training.settings import TrainingSettings


def fit(
    field: Field,
    data: TaskData,
    out: Path,
    settings: TrainingSettings = TrainingSettings(),
    *,
    objective: Objective = Matching(),
    resume: bool = False,
    seed: int = 0,
    accelerator: str = "auto",
    devices: int = 1,
    strategy: str = "auto",
    max_epochs: int = -1,
    progress_bar: bool = True,
    logger_on: bool = True,
) -> MatchingModule:
    """Train `field` in place to its EMA weights; checkpoints and metrics_*/metrics.csv go to `out`.

    objective: what is minimised; `Matching()` by default, a task may add terms of its own.
    devices, strategy: as Lightning's; with more than one device (-1: all), each has a process with
    a batch of its own in every step, and "auto" averages their gradients. The processes run the
    whole script, so what follows `fit` runs in each; `write_model` writes in the first alone. With
    `resume`, goes on from `out/last.ckpt` if there is one. Raises FileExistsError if `out` holds a
    checkpoint and `resume` is False, ValueError if the checkpoint is damaged or of another network.
    An interrupt saves the checkpoint before it is raised.
    """
    if devices != -1 and devices < 1:
        raise ValueError(f"devices: expected a number of at least 1, or -1 for all, got {devices}")
    if strategy == "auto" and devices != 1:
        # a step need not use every head or condition of a network
        strategy = "ddp_find_unused_parameters_true"
    elif not strategy.startswith(("auto", "ddp")) or any(
        kind in strategy for kind in ("fork", "spawn", "notebook")
    ):
        raise ValueError(
            "strategy: expected 'auto', 'ddp' or 'ddp_find_unused_parameters_true', got "
            f"{strategy!r}; the weights are kept whole on every device, and each process runs the "
            "whole script"
        )
    out = Path(out)
    last = out / "last.ckpt"
    if last.exists() and not resume:
        raise FileExistsError(
            f"out: {out} already holds a run; pass resume=True (--resume) or another folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    module = MatchingModule(field, settings, objective)
    callbacks = [
        MovingAverage(settings.ema_decay),
        ModelCheckpoint(
            out,
            filename="last",
            save_top_k=1,
            every_n_train_steps=settings.checkpoint_every_steps,
            enable_version_counter=False,
        ),
        Place(seed),
        SaveLast(last),
    ]
    if logger_on:
        callbacks.append(LearningRateMonitor("step"))
    if progress_bar:
        callbacks.append(Bar(refresh_rate=20))
    # a resumed run writes its own file: Lightning would delete the first
    runs = len(list(out.glob("metrics*")))
    field.autocast = torch.bfloat16 if settings.precision == "bf16" else None
    on_interrupt, main = (
        signal.getsignal(signal.SIGINT),
        threading.current_thread() is threading.main_thread(),
    )
    try:
        with quiet():
            trainer = pl.Trainer(
                accelerator=accelerator,
                devices=devices,
                strategy=strategy,
                max_steps=settings.max_steps,
                max_epochs=max_epochs,
                gradient_clip_val=settings.gradient_clip,
                callbacks=callbacks,
                plugins=[AtomicCheckpointIO()],
                enable_progress_bar=progress_bar,
                enable_model_summary=False,
                use_distributed_sampler=False,
                num_sanity_val_steps=0,
                log_every_n_steps=20,
                default_root_dir=out,
                logger=CSVLogger(out, name="", version=f"metrics_{runs}") if logger_on else False,
            )
            if main and not trainer.is_global_zero:
                # Ctrl-C reaches every process of a terminal; the first saves, and ends the others.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            trainer.fit(
                module,
                datamodule=data,
                ckpt_path=str(last) if last.exists() else None,
                weights_only=True,
            )
    except SystemExit as stop:  # Lightning 2.6 answers an interrupt by exit code 1
        raise KeyboardInterrupt from stop
    except RuntimeError as error:
        if "loading state_dict" not in str(error):
            raise
        raise ValueError(
            f"out: {last} is of a network of other sizes; resume with those of its run, or train "
            "in another folder"
        ) from error
    finally:
        field.autocast = None
        # Lightning 2.6 ignores every interrupt after the first
        if main and on_interrupt is not None:
            signal.signal(signal.SIGINT, on_interrupt)
    return module


def write_model(
    module: MatchingModule,
    out: Path,
    task: str,
    config: dict,
    *,
    data: Path | str,
    seed: int,
    batch_size: int,
    dtype: torch.dtype | None = torch.float16,
    **facts,
) -> Path:
    """Write a trained field as `out`/model.safetensors and model.json, its card also as card.json;
    returns model.json.

    config: as for `weights.save`. facts: what else the card says, as numbers of training items.
    dtype: the precision on disk. In a run of several processes the first one writes, and all wait
    for it.
    """
    trainer, field = module.trainer, module.field
    card = {
        "command": "geodiff " + " ".join(sys.argv[1:]),
        "data": Path(data).name,
        **facts,
        "seed": seed,
        "steps": module.global_step,
        "batch_size": batch_size,
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
