"""Several parts under one s: independent parts are what each is alone, dependent ones see all."""

import pytest
import torch

from geodiff.process.clocks import Cosine, Exponential, Karras, Linear, LogLinear
from geodiff.process.corruption import Gaussian, Geodesic, HeatKernel, Joint, Masked, Uniform
from geodiff.process.field import NetworkField
from geodiff.process.joint_field import JointField
from geodiff.process.joint_sampling import common_levels
from geodiff.process.letter_field import LetterField
from geodiff.process.levels import levels
from geodiff.process.randomness import Noise
from geodiff.process.samplers import Ancestral, ExponentialEuler, Heun, UniPC
from geodiff.process.sampling import sample
from manifolds import SO3, Centered, Euclidean, Sphere

DOUBLE = torch.float64


def towards(x, s, condition, mask):
    """A network of points: something that depends on all it hears."""
    return 0.5 * torch.sin(3 * x) + s[(...,) + (None,) * (x.ndim - s.ndim)]


def letters(x, s, condition, mask):
    """A network of letters, likewise."""
    return torch.sin(torch.stack([x + 1.0, 2.0 * x, x * s[..., None]], -1).double())


def independent(joint: Joint) -> JointField:
    def network(x, s, condition, mask):
        networks = {name: letters if part.discrete else towards for name, part in joint.parts}
        return {name: networks[name](x[name], s, condition, mask) for name in x}

    return JointField(network, joint)


@pytest.mark.parametrize(
    "points, stepper",
    [
        (Geodesic(Sphere(2)), None),
        (Geodesic(Centered(3)), UniPC()),
        (Geodesic(Sphere(2), Exponential(2.0)), Heun()),
        (Gaussian(Euclidean(3), Karras()), Ancestral(0.5)),
        (HeatKernel(Centered(3), LogLinear(0.05, 3.0)), ExponentialEuler()),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [Masked, Uniform], ids=lambda kind: kind.__name__)
def test_independent_parts_are_what_each_is_alone(points, stepper, kind):
    joint = Joint(places=points, types=kind(3, Exponential(1.0)))
    paths = common_levels(joint, 5)
    draws = {
        "places": points.base(
            *((4, 6) if points.manifold == Centered(3) else (4,)), generator=Noise(0), dtype=DOUBLE
        ),
        "types": joint["types"].base(4, 6, generator=Noise(1)),
    }
    streams = lambda: {"places": Noise(2), "types": Noise(3)}  # noqa: E731
    made = sample(
        independent(joint),
        draws,
        steps=5,
        stepper=None if stepper is None else {"places": stepper},
        generator=streams(),
    )
    field = NetworkField(towards, points)
    place = sample(
        field,
        draws["places"],
        levels=paths["places"],
        stepper=stepper,
        generator=streams()["places"],
    )
    word = sample(
        LetterField(letters, joint["types"]),
        draws["types"],
        levels=paths["types"],
        generator=streams()["types"],
    )
    assert torch.allclose(made["places"], place, atol=1e-12)
    assert torch.equal(made["types"], word)


def test_corruption_of_the_parts_is_each_ones_own_at_the_common_s():
    joint = Joint(turns=Geodesic(SO3(), Exponential(3.0)), types=Masked(4))
    clean = {
        "turns": SO3().random_point(5, generator=Noise(0)),
        "types": torch.arange(20).reshape(5, 4) % 4,
    }
    s = torch.linspace(0.1, 0.9, 5)
    streams = lambda: {"turns": Noise(1), "types": Noise(2)}  # noqa: E731
    made = joint.corrupt(clean, s, generator=streams())
    turns = joint["turns"].corrupt(clean["turns"], s, generator=streams()["turns"])
    types = joint["types"].corrupt(clean["types"], s, generator=streams()["types"])
    assert torch.equal(made["turns"].x, turns.x) and torch.equal(made["turns"].u, turns.u)
    assert torch.equal(made["types"].x, types.x) and torch.equal(made["types"].s, s)


def test_all_parts_look_at_where_the_step_began_by_one_call():
    """Letters decide the places and places the letters: nobody hears half a step."""
    joint, heard, seen = Joint(places=Geodesic(Euclidean(1)), types=Masked(2)), [], []

    def network(x, s, condition, mask):
        heard.append((x["places"].clone(), x["types"].clone(), s.clone(), condition))
        return {
            "places": torch.where((x["types"] == 1).any(-1, keepdim=True), 5.0, -5.0).float(),
            "types": torch.stack([torch.zeros_like(x["places"]), 9 * x["places"]], -1),
        }

    field = JointField(network, joint, {"places": "clean"})
    draws = {"places": torch.full((50, 1), 0.1), "types": torch.full((50, 1), 2)}
    made = sample(
        field,
        draws,
        steps=4,
        stepper={"places": ExponentialEuler()},
        condition="told",
        generator=Noise(0),
        callback=lambda i, x, kappas: seen.append((i, x, {k: v.item() for k, v in kappas.items()})),
    )
    assert len(heard) == 4 and all(told == "told" for *_, told in heard)
    assert [s[0].item() for _, _, s, _ in heard] == [1.0, 0.75, 0.5, 0.25]
    for (_, x, _), (places, types, *_) in zip(seen, heard[1:]):
        assert torch.equal(x["places"], places) and torch.equal(x["types"], types)
    assert [i for i, *_ in seen] == [1, 2, 3, 4]
    assert seen[-1][2] == {"places": 0.0, "types": 0.0}
    assert made["places"].abs().allclose(torch.tensor(5.0)) and (made["types"] < 2).all()


def test_a_stepper_that_looks_elsewhere_moves_its_own_part_alone():
    joint, heard = Joint(places=Geodesic(Euclidean(2)), types=Masked(2)), []

    def network(x, s, condition, mask):
        heard.append((x["places"].clone(), x["types"].clone()))
        return {"places": -x["places"], "types": torch.zeros(*x["types"].shape, 2)}

    draws = {"places": torch.ones(3, 2), "types": torch.full((3, 2), 2)}
    sample(JointField(network, joint), draws, steps=2, stepper={"places": Heun()})
    assert len(heard) == 3  # two for the first step of places, one for the last; letters share
    assert torch.equal(heard[0][1], heard[1][1]) and not torch.equal(heard[0][0], heard[1][0])


def test_letters_and_places_that_depend_are_drawn_together():
    """Type 1 with probability 0.7 at place +2, else type 0 at place -1; every place has its type.

    The exact network of that law: the clean type given both, and the mean place given both.
    """
    joint = Joint(places=Geodesic(Euclidean(1)), types=Masked(2))
    where, prior = torch.tensor([-1.0, 2.0], dtype=DOUBLE), torch.tensor([0.3, 0.7], dtype=DOUBLE)

    def network(x, s, condition, mask):
        # noisy = (1 - s) place + s noise, with normal noise
        away = x["places"] - (1 - s[:, None]) * where
        law = prior.log() - away.square() / (2 * s[:, None] ** 2)
        known = torch.nn.functional.one_hot(x["types"][:, 0], 3)[:, :2].to(DOUBLE)
        law = torch.where(known.any(-1, keepdim=True), known.log(), law)
        chance = torch.softmax(law, -1)
        return {"places": (chance * where).sum(-1, keepdim=True), "types": chance.log()[:, None]}

    field = JointField(network, joint, {"places": "clean"})
    count = 4000
    draws = {
        "places": torch.randn(count, 1, dtype=DOUBLE, generator=torch.Generator().manual_seed(0)),
        "types": joint["types"].base(count, 1),
    }
    made = sample(field, draws, steps=40, generator=Noise(1))
    kind = made["types"][:, 0]
    assert torch.allclose(made["places"][:, 0], where[kind], atol=1e-9)
    assert abs(kind.double().mean() - 0.7) < 4.5 * (0.21 / count) ** 0.5 + 0.02


def test_masks_and_sizes_are_common_or_by_name():
    joint = Joint(places=Geodesic(Centered(3)), types=Masked(3))
    mask = torch.tensor([[True] * 4 + [False] * 2, [True] * 6])
    for given in (mask, {"places": mask, "types": mask}):
        made = sample(independent(joint), (2, 6), steps=3, mask=given, generator=Noise(0))
        assert (made["places"][~mask] == 0).all() and (made["types"][~mask] == 0).all()
        assert made["places"].sum(1).abs().max() < 1e-5
    part = sample(independent(joint), (2, 6), steps=3, mask={"types": mask}, generator=Noise(0))
    assert (part["types"][~mask] == 0).all() and (part["places"][~mask] != 0).any()


def test_what_does_not_fit_together_is_refused_with_the_reason():
    joint = Joint(places=Geodesic(Sphere(2)), types=Masked(3))
    field = independent(joint)
    draws = joint.base(2, generator=Noise(0))
    with pytest.raises(ValueError, match="expected at least one"):
        Joint()
    for wrong in (Sphere(2), joint):
        with pytest.raises(
            TypeError, match="things: expected a corruption of points or of letters"
        ):
            Joint(things=wrong)
    with pytest.raises(ValueError, match="readings: expected parts places, types, got 'sites'"):
        JointField(field.network, joint, {"sites": "u"})
    with pytest.raises(ValueError, match="reading: 'eps' does not exist for Geodesic"):
        JointField(field.network, joint, {"places": "eps"})
    with pytest.raises(TypeError, match="stepper: expected a dict by name"):
        sample(field, draws, steps=2, stepper=Heun())
    with pytest.raises(TypeError, match="stepper: expected one for letters"):
        sample(field, draws, steps=2, stepper={"types": Heun()})
    with pytest.raises(ValueError, match="share s"):
        paths = {"places": levels(Linear(), 3), "types": levels(Linear(), 3, warp=torch.square)}
        sample(field, draws, levels=paths)
    with pytest.raises(ValueError, match="'types' has none"):
        sample(field, draws, levels={"places": levels(Linear(), 3)})
    with pytest.raises(ValueError, match="steps"):
        sample(field, draws, steps=0)
    endless = Joint(places=Gaussian(Euclidean(2), Cosine()), types=Masked(3))
    with pytest.raises(ValueError, match="the first level of 'places' is infinite"):
        sample(independent(endless), (2,), steps=2)
    assert hash(joint) == hash(Joint(places=Geodesic(Sphere(2)), types=Masked(3)))
