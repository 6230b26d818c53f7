"""The figures of grasps: areas under curves, collisions, simulated success of files, and what
cannot be judged.
"""

import importlib
import math

import numpy as np
import pytest
import torch

from geodiff.domains.bodies.antipodal import candidates
from geodiff.domains.bodies.io import write_grasps
from geodiff.domains.bodies.objects import make_object, make_objects
from geodiff.domains.bodies.records import GraspSet
from geodiff.grasps import evaluation
from geodiff.grasps.datasets import read_training_data
from geodiff.grasps.evaluation import (
    auc,
    curl,
    equivariance_error,
    evaluate,
    judge,
    pooled_auc,
    random_grasps,
    ranking_auc,
    seconds,
)
from geodiff.grasps.model import DEFAULT_MODEL
from geodiff.grasps.sampling import sample
from geodiff.process.randomness import Noise
from geodiff.training.weights import load
from tests.grasps import small

needs_mujoco = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def box():
    return make_object("box", 3)


@pytest.fixture(scope="module")
def good(box):
    found = candidates(box, 6, np.random.default_rng(0))
    return GraspSet(found.poses, box)


def test_the_auc_is_the_chance_that_a_success_scores_higher():
    generator = np.random.default_rng(0)
    score, success = generator.integers(0, 8, 200).astype(float), generator.random(200) < 0.4
    pairs = score[success][:, None] - score[~success][None]
    assert auc(score, success) == pytest.approx((pairs > 0).mean() + 0.5 * (pairs == 0).mean())
    assert (
        auc(np.arange(4.0), np.array([0, 0, 1, 1])) == 1
        and auc(-np.arange(4.0), np.array([0, 0, 1, 1])) == 0
    )
    assert math.isnan(auc(np.arange(4.0), np.ones(4)))


@needs_mujoco
def test_candidates_hold_and_random_poses_do_not(good, box):
    pytest.importorskip("mujoco")
    cost = np.arange(len(good), dtype=float)
    found = judge(GraspSet(good.poses, box, cost=cost))
    assert found.success > 0.6 and found.free == 1 and found.top == found.success
    lost = judge(random_grasps(box, 12, Noise(0)))
    assert lost.success < 0.2 and math.isnan(lost.top)


@needs_mujoco
def test_a_file_with_its_mesh_is_judged_and_one_without_is_named(good, box, tmp_path):
    pytest.importorskip("mujoco")
    write_grasps(tmp_path / "good.npz", good[:3])
    found = evaluate(tmp_path / "good.npz")
    assert len(found.judged) == 1 and found.judged[0].success > 0.3 and not found.failures
    write_grasps(tmp_path / "bare.npz", GraspSet(good.poses))
    with pytest.raises(ValueError, match="carries no mesh"):
        evaluate(tmp_path / "bare.npz")
    both = evaluate(tmp_path)
    assert [j.name for j in both.judged] == ["good"] and "bare.npz" in both.failures[0]
    assert "good" in both.table() and "failed: bare.npz" in both.table()


def test_a_crash_costs_its_file_only(good, box, tmp_path, monkeypatch):
    module = f"stand_in_{tmp_path.name}"
    (tmp_path / f"{module}.py").write_text(
        "import os\n"
        "def judge_file(file):\n    return os.abort() if file.stem == 'b' else file.stem\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(evaluation, "judge_file", importlib.import_module(module).judge_file)
    for name in "abc":
        write_grasps(tmp_path / f"{name}.npz", good[:3])
    seen = []
    found = evaluate(tmp_path, workers=1, progress=lambda *at: seen.append(at))
    assert found.judged == ["a", "c"]
    assert found.failures == ["b.npz: its process crashed (SIGABRT)"]
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no files of grasps"):
        evaluate(tmp_path)


@needs_mujoco
def test_a_model_is_judged_on_objects_that_no_training_data_has(monkeypatch):
    pytest.importorskip("mujoco")
    monkeypatch.setattr(evaluation, "read_training_data", lambda path, held_out: ([], []))
    monkeypatch.setattr(evaluation, "seconds", lambda *_, **__: 1.0)
    found = evaluate(model=small.field(dtype=torch.float32), objects=2, n=2, steps=2)
    assert [j.name.split("_")[0] for j in found.judged] == ["mug", "bowl"]
    # it is untrained
    assert found.figures["success of random poses"] < 0.5 and found.mean("success") < 0.6
    assert math.isnan(found.figures["AUC of labelled candidates, all together"])
    assert found.figures["equivariance error, rad + dm"] < 1e-3
    assert found.figures["curl of the energy's gradient"] < 1e-5


@needs_mujoco
def test_the_shipped_model_grasps_objects_it_has_not_seen_and_ranks_what_it_makes():
    pytest.importorskip("mujoco")
    judged = [judge(sample(item, 8)) for item in make_objects(5, 31)]
    assert np.mean([j.success for j in judged]) > 0.6 and np.mean([j.free for j in judged]) > 0.7


def test_the_shipped_model_tells_labelled_successes_from_failures():
    field = load(DEFAULT_MODEL)
    held = read_training_data()[1]
    assert (
        np.nanmean([ranking_auc(field, one) for one in held]) > 0.8
        and pooled_auc(field, held) > 0.75
    )


def test_the_shipped_model_is_quick_and_moves_with_the_object():
    field, item = load(DEFAULT_MODEL), make_object("mug", 31)
    assert (
        seconds(field, item) < 4
        and equivariance_error(field, item, n=20) < 1e-4
        and curl(field, item) < 1e-5
    )
