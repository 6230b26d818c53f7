"""Samples: the labels asked for, in order, each the same whatever else is drawn; wrong labels are
named.
"""

import pytest
import torch

import geodiff
from geodiff import images

from .flow import small_field

STEPS = {"steps": 3}


@pytest.mark.parametrize(
    "process, stepper",
    [
        ("flow", None),
        ("flow", geodiff.ExponentialEuler()),
        ("ddpm", None),
        ("ddpm", geodiff.Ancestral()),
        ("ddpm", geodiff.ExponentialEuler()),
    ],
    ids=["flow", "flow, Euler", "DDPM, multistep", "DDPM", "DDIM"],
)
def test_an_image_depends_on_its_place_and_number_alone(process, stepper):
    field = small_field(process)
    options = {"seed": 5, "model": field, "stepper": stepper, **STEPS}
    made = images.sample([3, 1], 4, **options)
    assert made.shape == (8, 1, 8, 8) and made.min() >= 0 and made.max() <= 1
    assert (made[0] - made[1]).abs().max() > 1e-3
    cut = images.sample([3, 1], 4, batch_size=3, **options)
    torch.testing.assert_close(cut, made, rtol=0, atol=1e-4)
    torch.testing.assert_close(images.sample(3, 2, **options), made[:2], rtol=0, atol=1e-4)
    assert (images.sample(3, 2, **options | {"seed": 6}) - made[:2]).abs().max() > 1e-3


@pytest.mark.parametrize("process", ["flow", "ddpm"])
def test_the_class_changes_the_image(process):
    options = {"model": small_field(process), **STEPS}
    one, other, open_ = (images.sample(label, 2, **options) for label in (1, 2, None))
    assert (one - other).abs().max() > 1e-3 and (one - open_).abs().max() > 1e-3


def test_classes_may_be_asked_for_by_name():
    field = small_field(classes=2)
    field.config = {"names": ["ant", "cat"]}
    assert torch.equal(
        images.sample("cat", model=field, **STEPS), images.sample(1, model=field, **STEPS)
    )
    with pytest.raises(ValueError, match="'dog'.*0 to 1 .ant, cat"):
        images.sample("dog", model=field, **STEPS)


def test_a_model_without_classes_makes_images_of_its_shape():
    made = images.sample(None, 3, model=small_field(classes=0, shape=(3, 5, 7)), **STEPS)
    assert made.shape == (3, 3, 5, 7)


@pytest.mark.parametrize(
    "labels, n, words",
    [
        (10, 1, "class 10.*0 to 9"),
        (-1, 1, "class -1"),
        ([0, 99], 1, "class 99"),
        (0, 0, "at least"),
        ([], 1, "at least"),
    ],
)
def test_what_cannot_be_drawn_is_named(labels, n, words):
    with pytest.raises(ValueError, match=words):
        images.sample(labels, n, model=small_field(), **STEPS)


def test_a_model_without_classes_has_none_to_ask_for():
    with pytest.raises(ValueError, match="trained without classes"):
        images.sample(0, model=small_field(classes=0), **STEPS)


def test_noisy_steps_are_refused_where_there_is_no_score():
    with pytest.raises(ValueError, match="no score"):
        images.sample(0, model=small_field("flow"), stepper=geodiff.Ancestral(), **STEPS)
