"""Trains tasks one after another in two processes, and writes what each process saw; started by
test_distributed.

    python two_processes.py FOLDER TASK ...
"""

import importlib
import os
import signal
import sys
from pathlib import Path

import torch

from geodiff.training.module import MatchingModule
from geodiff.training.sampler import BucketSampler

SIZES = {
    "conformers": dict(width=32, layers=2, vector_width=8, batch_size=4),
    "grasps": dict(width=16, rounds=1, anchors=16, grasps=4, batch_size=3),
    "images": dict(width=8, batch_size=16),
    "proteins": dict(width=32, layers=2, batch_size=4),
}
COMMON = dict(accelerator="cpu", devices=2, progress_bar=False)


def watched(result: dict) -> None:
    """Let the trainer note, in `result`, items, rows, seeds and losses of this process, and its
    weights at the end.
    """

    def batches(self):
        for batch in order(self):
            if self.shuffle:
                result["items"] += batch
            yield batch

    def step(self, batch, index):
        loss = learn(self, batch, index)
        result["rows"] += len(batch.clean)
        result["seed"] = torch.initial_seed()
        result["losses"].append(loss.item())
        if result["interrupt"] and self.global_step == 3 and self.global_rank == 0:
            os.killpg(0, signal.SIGINT)  # as Ctrl-C in a terminal: to both processes
        return loss

    def end(self):
        result["weights"] = {
            name: weight.clone() for name, weight in self.field.state_dict().items()
        }
        result["steps"], result["validation_loss"] = self.global_step, self.validation_loss

    BucketSampler.__iter__, MatchingModule.training_step, MatchingModule.on_fit_end = (
        batches,
        step,
        end,
    )


order, learn = BucketSampler.__iter__, MatchingModule.training_step


def main(folder: Path, names: list[str]) -> None:
    for name in names:
        task, _, kind = name.partition("-")
        limits = {
            "": dict(max_epochs=1),
            "minutes": dict(max_minutes=0.01),
            "interrupt": dict(max_steps=10_000),
        }[kind]
        importlib.import_module(
            f"geodiff.{task}.datasets"
        ).EPOCH = 1  # a small set is gone through once an epoch
        result = {"items": [], "rows": 0, "losses": [], "interrupt": kind == "interrupt"}
        watched(result)
        document = importlib.import_module(f"geodiff.{task}").train(
            folder / f"{task}.npz", folder / name, **SIZES[task], **COMMON, **limits
        )
        result["document"] = document.is_file()
        torch.save(result, folder / f"{name}-{os.environ['LOCAL_RANK']}.pt")


if __name__ == "__main__":
    # a shell's background jobs begin with it ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), sys.argv[2:])
