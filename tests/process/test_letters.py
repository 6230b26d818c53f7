"""Letters: forward laws, posteriors by enumeration, and samplers against the chain itself."""

import itertools

import pytest
import torch

from geodiff.process.clocks import Exponential, Karras, Linear, PerFactor
from geodiff.process.corruption import Masked, Uniform
from geodiff.process.letter_field import LetterField
from geodiff.process.levels import levels
from geodiff.process.randomness import Noise
from geodiff.process.samplers import Heun, LetterAncestral
from geodiff.process.samplers.letters import draw
from geodiff.process.sampling import sample

DOUBLE = torch.float64
KINDS = [Masked, Uniform]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def forward(corruption, kappa: float) -> torch.Tensor:
    """q(state at kappa | clean letter), (classes, states), by its definition."""
    classes, states = corruption.classes, corruption.states
    law = torch.zeros(classes, states, dtype=DOUBLE)
    law[:, :classes] = (1 - kappa) * torch.eye(classes, dtype=DOUBLE)
    if states > classes:
        law[:, classes] = kappa
    else:
        law += kappa / classes
    return law


def onward(corruption, then: float, now: float) -> torch.Tensor:
    """q(state at now | state at then), (states, states): noise takes what is left at this rate."""
    classes, states = corruption.classes, corruption.states
    kept = (1 - now) / (1 - then)
    if states > classes:
        law = torch.eye(states, dtype=DOUBLE) * kept
        law[:, classes] += 1 - kept
    else:
        law = torch.eye(states, dtype=DOUBLE) * kept + (1 - kept) / classes
    return law


def close(count: torch.Tensor, law: torch.Tensor, total: int) -> bool:
    """Counts within 4.5 standard deviations of their means."""
    spread = (law * (1 - law) * total).sqrt().clamp(min=1e-9)
    return bool(((count - law * total).abs() < 4.5 * spread + 1e-6).all())


@kinds
@pytest.mark.parametrize("clock", [Linear(), Exponential(3.0)], ids=repr)
def test_forward_laws_are_the_definition(kind, clock):
    corruption, total = kind(3, clock), 40_000
    clean = torch.arange(3).repeat(total, 1)
    for s in (0.0, 0.3, 0.8, 1.0):
        made = corruption.corrupt(clean, s, generator=Noise(0))
        kappa = float(clock.kappa(s))
        law = forward(corruption, kappa)
        for letter in range(3):
            count = torch.bincount(made.x[:, letter], minlength=corruption.states)
            assert close(count, law[letter], total)
        assert close(made.taken.sum(0), torch.full((3,), kappa, dtype=DOUBLE), total)
        assert torch.equal(made.x[~made.taken], clean[~made.taken])
        assert made.s.shape == made.kappa.shape == (total,)


@kinds
def test_the_forward_chain_is_one_chain(kind):
    """Its law at a level is its law at a lower one, carried on."""
    corruption = kind(4)
    carried = forward(corruption, 0.3) @ onward(corruption, 0.3, 0.7)
    assert torch.allclose(carried, forward(corruption, 0.7))


@kinds
@pytest.mark.parametrize("start, end", [(1.0, 0.6), (0.7, 0.3), (0.7, 0.0), (0.4, 0.39)])
def test_the_posterior_is_bayes_by_enumeration(kind, start, end):
    corruption = kind(3)
    prior = torch.tensor([0.5, 0.3, 0.2], dtype=DOUBLE)
    now, then = forward(corruption, start), forward(corruption, end)
    step = onward(corruption, end, start)
    joint = prior[:, None, None] * then[:, :, None] * step[None]  # clean, then, now
    seen = joint.sum((0, 1)) > 0
    x = torch.arange(corruption.states)[seen]
    clean = (prior[:, None] * now)[:, seen] / (prior @ now)[seen]  # p(clean | now)
    wanted = joint.sum(0)[:, seen] / joint.sum((0, 1))[seen]
    law = corruption.posterior(clean.T, x, start, end)
    assert torch.allclose(law, wanted.T, atol=1e-14)
    levels_of_each = torch.full((len(x),), start, dtype=DOUBLE)
    assert torch.allclose(corruption.posterior(clean.T, x, levels_of_each, end), law)


WORDS = torch.tensor([[0.40, 0.02, 0.03], [0.05, 0.20, 0.05], [0.01, 0.04, 0.20]], dtype=DOUBLE)


def exact_network(corruption):
    """p(clean letter | both letters now) of words of two letters with the law WORDS, as logits."""

    def network(x, s, condition, mask):
        kappa = float(corruption.clock.kappa(s[0]))
        seen = forward(corruption, kappa)
        first, second = seen[:, x[:, 0]].T, seen[:, x[:, 1]].T
        law = WORDS * first[:, :, None] * second[:, None, :]
        law = law / law.sum((1, 2), keepdim=True)
        return torch.stack([law.sum(2), law.sum(1)], 1).log()

    return network


@kinds
@pytest.mark.parametrize("steps", [1, 3])
def test_the_sampler_draws_the_law_of_its_chain_by_enumeration(kind, steps):
    """The law over all pairs of states is carried step by step and compared at the end."""
    corruption, total = kind(3), 20_000
    network, path = exact_network(corruption), levels(corruption.clock, steps)
    pairs = torch.tensor(list(itertools.product(range(corruption.states), repeat=2)))
    start = corruption.states - 1 if kind is Masked else None
    law = torch.full((len(pairs),), 1 / len(pairs), dtype=DOUBLE)
    if start is not None:
        law = ((pairs == start).all(1)).to(DOUBLE)
    for i in range(steps):
        now, then = path.kappas[i].item(), path.kappas[i + 1].item()
        live = law > 0
        s = path.s[i].expand(int(live.sum()))
        clean = network(pairs[live], s, None, None).exp()
        each = corruption.posterior(clean, pairs[live], now, then)
        after = each[:, 0, pairs[:, 0]] * each[:, 1, pairs[:, 1]]
        law = law[live] @ after
    made = sample(LetterField(network, corruption), (total, 2), steps=steps, generator=Noise(4))
    count = torch.bincount(made[:, 0] * corruption.states + made[:, 1], minlength=len(pairs))
    assert close(count, law, total)


@kinds
def test_many_steps_draw_words_whose_letters_depend(kind):
    made = sample(
        LetterField(exact_network(kind(3)), kind(3)), (4000, 2), steps=128, generator=Noise(5)
    )
    count = torch.bincount(made[:, 0] * 3 + made[:, 1], minlength=9)
    assert close(count, WORDS.flatten(), 4000)


def alone(law):
    """A network whose letters do not depend on each other, so that one letter's law is exact."""

    def of(corruption):
        def network(x, s, condition, mask):
            seen = forward(corruption, float(corruption.clock.kappa(s.flatten()[0])))
            return (law[:, None] * seen).log().T[x]

        return network

    return of


LAW = torch.tensor([0.6, 0.3, 0.1], dtype=DOUBLE)


@kinds
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_letters_that_do_not_depend_are_exact_in_any_number_of_steps(kind, steps):
    field = LetterField(alone(LAW)(kind(3)), kind(3))
    made = sample(field, (100, 100), steps=steps, generator=Noise(6))
    assert close(torch.bincount(made.flatten(), minlength=3), LAW, 10_000)


def test_all_start_covered_and_an_open_letter_stays():
    corruption, seen = Masked(3), []
    field = LetterField(alone(LAW)(corruption), corruption)
    noise = corruption.base(5, 8)
    assert (noise == corruption.cover).all() and corruption.cover == 3
    made = sample(
        field, noise, steps=6, generator=Noise(0), callback=lambda i, x, kappa: seen.append(x)
    )
    for before, after in itertools.pairwise([noise, *seen]):
        opened = before != corruption.cover
        assert torch.equal(after[opened], before[opened])
    assert (seen[2] == corruption.cover).any() and (made != corruption.cover).all()


@kinds
def test_padding_stays_0_and_rows_do_not_depend_on_the_batch(kind):
    mask = torch.tensor([[True] * 3 + [False] * 2, [True] * 5])
    field = LetterField(alone(LAW)(kind(3)), kind(3))
    both = sample(field, (2, 5), steps=4, mask=mask, generator=Noise(1))
    assert (both[~mask] == 0).all()
    short = sample(field, (1, 3), steps=4, mask=mask[:1, :3], generator=Noise(1))
    assert torch.equal(both[:1, :3], short)
    second = sample(field, (1, 5), steps=4, mask=mask[1:], generator=Noise(1).streams(0, [1]))
    assert torch.equal(both[1:], second)
    made = kind(3).corrupt(torch.where(mask, 2, 0), 0.9, generator=Noise(2), mask=mask)
    assert (made.x[~mask] == 0).all() and not made.taken[~mask].any()


def test_a_letter_of_probability_0_is_never_drawn():
    law = torch.tensor([0.0, 0.3, 0.0, 0.7, 0.0], dtype=torch.float32).expand(200, 1000, 5)
    made = draw(law, torch.Generator().manual_seed(0))
    assert set(made.flatten().tolist()) == {1, 3}

    class Extreme:
        def __init__(self, value):
            self.value = value

        def rand(self, *size, dtype, device):
            return torch.full(size, self.value, dtype=dtype)

    for dtype in (torch.float32, DOUBLE):
        for scale in (1.0, 0.7, 1.3):
            few = scale * law[:1, :1].to(dtype)
            assert draw(few, Extreme(0.0)).item() == 1
            assert draw(few, Extreme(1 - torch.finfo(dtype).eps / 2)).item() == 3


def test_a_network_hears_levels_words_and_the_condition():
    asked = []

    def network(x, s, condition, mask):
        asked.append((s.shape, s[0].item(), condition))
        return torch.zeros(*x.shape, 3)

    sample(LetterField(network, Masked(3)), (2, 4), steps=2, condition="told")
    assert asked == [((2,), 1.0, "told"), ((2,), 0.5, "told")]


def test_bad_letters_are_refused_with_the_reason():
    with pytest.raises(ValueError, match="at least 2 letters"):
        Masked(1)
    for clock in (Karras(), PerFactor((Linear(), Linear()), (1, 1))):
        with pytest.raises(ValueError, match=r"kappa\(1\) = 1"):
            Uniform(3, clock)
    with pytest.raises(ValueError, match="whole numbers from 0 to 2, got torch.int64 from 0 to 3"):
        Masked(3).corrupt(torch.tensor([[0, 3]]), 0.5)
    with pytest.raises(ValueError, match="whole numbers from 0 to 2, got torch.float32"):
        Masked(3).corrupt(torch.zeros(1, 2), 0.5)
    field = LetterField(lambda x, s, condition, mask: torch.zeros(*x.shape, 4), Masked(3))
    with pytest.raises(ValueError, match="a logit for each of 3 letters"):
        sample(field, (1, 2), steps=2)
    with pytest.raises(TypeError, match="expected one for letters"):
        sample(field, (1, 2), steps=2, stepper=Heun())
    with pytest.raises(ValueError, match="start from noise at kappa = 1"):
        sample(field, (1, 2), levels=levels(Linear(), 3, s_max=0.5))
    with pytest.raises(ValueError, match="have no memory"):
        sample(field, (1, 2), remember=True)
    assert LetterAncestral() == LetterAncestral()
