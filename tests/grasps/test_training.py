"""Training on labelled objects: what an item is, what is minimised, files, resume."""

import json

import numpy as np
import pytest
import torch

from geodiff.domains.bodies.antipodal import candidates
from geodiff.domains.bodies.gripper import flip
from geodiff.domains.bodies.objects import make_object
from geodiff.domains.bodies.records import GraspSet
from geodiff.grasps import datasets, train
from geodiff.grasps.cloud import Cloud
from geodiff.grasps.datasets import GraspDataset, LabelledObject, collate, save_procedural
from geodiff.grasps.model import build, new_config, to_metres
from geodiff.grasps.objective import Objective
from geodiff.training import weights
from manifolds import SE3
from tests.grasps import small

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pytorch_lightning"),
]
SIZES = dict(
    width=16, rounds=1, batch_size=2, grasps=4, anchors=24, progress_bar=False, accelerator="cpu"
)


@pytest.fixture(scope="module")
def objects() -> list[LabelledObject]:
    """Four objects with candidates; every third is called a failure."""
    made = []
    for kind in ("box", "cylinder", "bowl", "bottle"):
        item = make_object(kind, 5)
        found = candidates(item, 9, np.random.default_rng(0))
        made.append(
            LabelledObject(
                item, GraspSet(found.poses, item, np.arange(len(found)) % 3 > 0, judge="mujoco")
            )
        )
    return made


@pytest.fixture
def data(objects, tmp_path):
    return save_procedural(tmp_path / "procedural.npz", objects)


@pytest.fixture(autouse=True)
def short_epochs(monkeypatch):
    monkeypatch.setattr(datasets, "EPOCH", 8)


def test_an_item_has_grasps_that_hold_and_labelled_ones_of_both_kinds(objects):
    cloud, held, poses, success = GraspDataset(objects, grasps=8, anchors=32)[0]
    good = torch.from_numpy(objects[0].grasps.poses[objects[0].grasps.success])
    assert isinstance(cloud, Cloud) and cloud.anchors.shape == (1, 32, 3)
    distance = SE3().dist(to_metres(held.double(), cloud.centre.double())[:, None], good[None])
    assert held.shape == (8, 4, 4) and distance.min(1).values.max() < 1e-5
    assert len(poses) == 4 and success.sum() == 2


def test_clouds_of_an_object_are_few_and_some_are_seen_from_one_side(objects):
    dataset = GraspDataset(objects[:1], anchors=32, views=(2, 1))
    for _ in range(12):
        dataset[0]
    assert len(dataset._clouds) == 3
    whole, seen = dataset._clouds[0, 0], dataset._clouds[0, 2]
    assert (seen.centre - whole.centre).norm() > 0.003  # of a box, half of the faces


def test_objects_of_which_nothing_holds_are_left_out(objects):
    lost = LabelledObject(
        objects[0].item, GraspSet(objects[0].grasps.poses, success=np.zeros(9, dtype=bool))
    )
    assert len(GraspDataset([objects[1], lost]).objects) == 1
    with pytest.raises(ValueError, match="none of 1 objects has a grasp that holds"):
        GraspDataset([lost])


def test_all_terms_reach_the_weights_and_the_flip_of_a_grasp_is_the_same_grasp(objects):
    field = small.field(dtype=torch.float32)
    batch = collate([GraspDataset(objects, grasps=8, anchors=32)[i] for i in range(2)])
    s = torch.linspace(0.05, 1, len(batch.clean))
    terms = Objective()(field, batch, s, torch.Generator().manual_seed(0))
    assert set(terms) == {"loss", "match", "score", "ranking"}
    terms["loss"].backward()
    silent = [
        name for name, p in field.named_parameters() if p.grad is None or not p.grad.abs().max() > 0
    ]
    assert not silent
    turned = type(batch)(flip(batch.clean), batch.condition)
    again = Objective()(field, turned, s, torch.Generator().manual_seed(0))
    torch.testing.assert_close(again["match"], terms["match"], rtol=1e-4, atol=1e-5)


def test_the_losses_fall(objects):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        field = build(new_config(small.SIZES))
        dataset = GraspDataset(objects, grasps=8, anchors=32, views=(1, 0))
        optimiser = torch.optim.Adam(field.parameters(), 5e-3)
        history = []
        for _ in range(200):
            batch = collate([dataset[i] for i in range(len(dataset))])
            terms = Objective()(field, batch, 0.02 + 0.98 * torch.rand(len(batch.clean)), None)
            optimiser.zero_grad()
            terms["loss"].backward()
            optimiser.step()
            history.append([terms[name].item() for name in ("match", "score", "ranking")])
    start, end = (np.mean(history[part], axis=0) for part in (slice(5), slice(-5, None)))
    assert (end < [0.8, 0.95, 0.9] * start).all(), (start, end)


def test_training_writes_a_model_that_loads_and_goes_on_where_it_stopped(data, tmp_path):
    document = train(data, tmp_path / "run", max_steps=2, **SIZES)
    field = weights.load(document)
    assert (
        field.card["steps"] == 2
        and field.card["objects"] == 3
        and field.card["validation_objects"] == 1
    )
    assert field.card["data"] == "procedural.npz" and field.card["grasps"] == 27
    assert json.loads((tmp_path / "run" / "card.json").read_text()) == field.card
    with pytest.raises(FileExistsError, match="resume"):
        train(data, tmp_path / "run", max_steps=4, **SIZES)
    assert (
        weights.load(train(data, tmp_path / "run", max_steps=4, resume=True, **SIZES)).card["steps"]
        == 4
    )
