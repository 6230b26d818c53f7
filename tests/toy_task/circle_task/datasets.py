"""The data: points about the right end of the circle, in files of a few."""

from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset


def points(n: int, seed: int) -> Tensor:
    """Points (n, 2), about 0.3 radians from (1, 0)."""
    angle = 0.3 * torch.randn(n, generator=torch.Generator().manual_seed(seed))
    return torch.stack((angle.cos(), angle.sin()), -1)


class Points(Dataset):
    """The points of a folder that `prepare` made."""

    def __init__(self, folder: Path):
        files = sorted(Path(folder).glob("points_*.pt"))
        if not files:
            raise FileNotFoundError(f"data: {folder} holds no points; make them by prepare")
        self.points = torch.cat([torch.load(file) for file in files])
        self.sizes = [1] * len(self.points)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> Tensor:
        return self.points[index]
