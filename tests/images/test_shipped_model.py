"""The digits that ship are read as what was asked for."""

import torch

from geodiff import images


def test_a_nearest_neighbour_reader_sees_the_digits_asked_for():
    made = images.sample(range(10), 6, seed=3, steps=20)
    real = images.read("digits")
    asked = torch.arange(10).repeat_interleave(6)
    seen = real.labels[torch.cdist(made.flatten(1), real.pixels.flatten(1)).argmin(1)]
    assert (seen == asked).float().mean() > 0.9  # 0.988 over 500 samples of 50 steps
    assert ((made >= 0) & (made <= 1)).all()
