"""Training end to end on the shipped digits: learning, resume, files, labels that are hidden."""

import json

import numpy as np
import pytest
import torch

from geodiff import images
from geodiff.images.datasets import ImageDataset, collate, split
from geodiff.images.model import build, new_config
from geodiff.training import weights

from .flow import small_config

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pytorch_lightning"),
]
SIZES = dict(width=8, batch_size=16, progress_bar=False, accelerator="cpu")


@pytest.mark.parametrize("process", ["flow", "ddpm"])
def test_training_writes_a_model_that_loads_samples_and_its_card(tmp_path, process):
    document = images.train("digits", tmp_path / "run", process=process, max_steps=4, **SIZES)
    field = weights.load(document)
    assert (
        field.card["steps"] == 4
        and field.card["images"] == 1697
        and field.card["validation_images"] == 100
    )
    assert field.card["process"] == process == field.config["process"]
    assert json.loads((tmp_path / "run" / "card.json").read_text()) == field.card
    made = images.sample([0, "9"], 2, model=document, steps=3)
    assert made.shape == (4, 1, 8, 8) and made.isfinite().all()


def test_a_run_goes_on_where_it_stopped_and_is_never_overwritten(tmp_path):
    images.train("digits", tmp_path / "run", max_steps=2, **SIZES)
    with pytest.raises(FileExistsError, match="resume"):
        images.train("digits", tmp_path / "run", max_steps=4, **SIZES)
    document = images.train("digits", tmp_path / "run", max_steps=4, resume=True, **SIZES)
    assert weights.load(document).card["steps"] == 4


def test_the_loss_falls(tmp_path):
    images.train("digits", tmp_path / "run", max_steps=160, **SIZES | {"learning_rate": 5e-3})
    rows = (tmp_path / "run" / "metrics_0" / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("loss")
    losses = [float(r.split(",")[column]) for r in rows[1:] if r.split(",")[column]]
    # single batches are noisy: their levels are random
    assert sum(losses[-3:]) < 0.75 * sum(losses[:3])


def test_colour_images_of_ones_own_without_classes_are_training_data_too(tmp_path):
    pixels = np.random.default_rng(0).random((9, 5, 6, 3))
    np.savez(tmp_path / "mine.npz", images=pixels)
    document = images.train(tmp_path / "mine.npz", tmp_path / "run", max_steps=2, **SIZES)
    assert images.sample(n=2, model=document, steps=2).shape == (2, 3, 5, 6)
    assert weights.load(document).card["validation_images"] == 0


def test_some_labels_are_hidden_in_training_and_none_in_validation():
    digits = images.read("digits")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        training, validation = ImageDataset(digits, dropout=0.1), ImageDataset(digits)
        seen, kept = (
            collate([training[i] for i in range(1000)]),
            collate([validation[i] for i in range(100)]),
        )
    hidden = seen.condition == 10
    assert 70 < hidden.sum() < 130  # 100 expected, standard deviation 9.5
    assert torch.equal(seen.condition[~hidden], digits.labels[:1000][~hidden])
    assert torch.equal(kept.condition, digits.labels[:100])
    assert seen.clean.shape == (1000, 1, 8, 8) and seen.clean.min() == -1 and seen.clean.max() == 1


def test_small_sets_are_gone_through_several_times_an_epoch():
    few = images.read("digits").select(slice(7))
    assert len(ImageDataset(few, least=20)) == 21 and len(ImageDataset(few)) == 7


def test_the_split_takes_each_image_once():
    digits = images.read("digits")
    one, other = split(digits)
    assert (len(one), len(other)) == (1697, 100)
    both = torch.cat([one.pixels, other.pixels]).flatten(1)
    assert torch.equal(both.sum(0), digits.pixels.flatten(1).sum(0))
    assert torch.equal(split(digits)[1].pixels, other.pixels)


def test_a_process_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="flow, got 'ddim'; DDIM is 'ddpm' sampled"):
        new_config((1, 8, 8), process="ddim")


def test_weights_of_another_reading_are_refused():
    with pytest.raises(ValueError, match="reading is 'eps'"):
        build(small_config() | {"reading": "eps"})
