"""The angle of Brownian motion on rotations: density, slope, distribution function and quantiles.

With t = kappa^2, f is the density of the rotation against the uniform distribution (mean 1), a function of
the rotation angle a only, and a itself has density f(a) (1 - cos a) / pi on [0, pi]. Two forms are exact:

    images      f = sqrt(2 pi) e^(t/8) t^(-3/2) / sin(a/2) * sum_k (-1)^k a_k e^(-a_k^2 / 2t)
    characters  f = sum_l (2l + 1) e^(-l (l + 1) t / 2) sin((l + 1/2) a) / sin(a/2)

with a_k = a + 2 pi k, and each is short where the other is long. No table is made.
Source: Nikolayev and Savyolova 1997 (characters); Poisson summation gives the images.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from manifolds import numerics

_SWITCH = 2.0  # t; below, images |k| <= 2 leave out e^-59, above, characters l <= 6 leave out e^-56
_IMAGES = 2
_CHARACTERS = 6
_QUANTILE_SWITCH = 0.1  # t; below, the image k = 0 alone leaves out e^-49 of the distribution


def log_density(squared: Tensor, t: Tensor) -> Tensor:
    """log f as a function of the squared angle, angle at most pi."""
    near = t < _SWITCH
    short, long = torch.where(near, t, _SWITCH), torch.where(near, _SWITCH, t)
    images = (
        math.log(2 * math.sqrt(2 * math.pi)) - 1.5 * short.log() + short / 8 - squared / (2 * short)
        - numerics.sinc(squared / 4).log() + _images(squared, short)[0].log()
    )  # fmt: skip
    return torch.where(near, images, _characters(squared, long)[0].log())


def slope(squared: Tensor, t: Tensor) -> Tensor:
    """t (d log f / d a) / a as a function of the squared angle; -1 in the limit of small t, 0 of large t."""
    near = t < _SWITCH
    short, long = torch.where(near, t, _SWITCH), torch.where(near, _SWITCH, t)
    total, change = _images(squared, short)
    images = short * numerics.half_cot(squared) - 1 + change / total
    density, change = _characters(squared, long)
    return torch.where(near, images, change / density)


def _images(squared: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The sum over images divided by its term k = 0, S, and t (dS / da) / a.

    The pair k, -k adds (-1)^k (P - b Q) with b = 2 pi k, P = E+ + E-, Q = (E+ - E-) / a,
    E+- = exp(-b^2 / 2t +- b a / t); its derivative has R = (Q - b P / t) / a^2. P, Q, R are smooth in a^2.
    """
    t = t.clamp(min=1e-30)
    total, change = torch.ones_like(squared * t), torch.zeros_like(squared * t)
    for k in range(1, _IMAGES + 1):
        b = 2 * math.pi * k
        small = squared * (b / t).square() < 1
        angle = torch.where(small | (squared == 0), 1.0, squared).sqrt()
        plus = ((b / t) * (angle - b / 2).clamp(max=0)).exp()
        minus = (-(b / t) * (angle + b / 2)).exp()
        p, q = plus + minus, (plus - minus) / angle
        r = (q - (b / t) * p) / angle.square()
        # Near angle 0 the same by series; for t below 0.1 all of it is under e^-190 there, and left at that.
        late = t.clamp(min=0.1)
        ratio = b / late
        ripple = torch.where(small, squared * ratio.square(), 0.0)
        decay = 2 * (-0.5 * b * ratio).exp()
        terms = range(10)
        p_series = decay * numerics.polynomial(ripple, [1 / math.factorial(2 * n) for n in terms])
        q_series = decay * ratio * numerics.polynomial(ripple, [1 / math.factorial(2 * n + 1) for n in terms])
        r_series = -decay * ratio**3 * numerics.polynomial(
            ripple, [(2 * n + 2) / math.factorial(2 * n + 3) for n in terms]
        )
        p, q, r = (torch.where(small, *pair) for pair in ((p_series, p), (q_series, q), (r_series, r)))
        total = total + (-1) ** k * (p - b * q)
        change = change + (-1) ** k * b * (q + t * r)
    return total, change


def _characters(squared: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """f and t (df / da) / a by the series of characters 1 + 2 sum_{m <= l} cos(m a)."""
    # Beyond t = 1000 every term is 0 in float64 too; the bound keeps 0 times infinity out.
    t = t.clamp(max=1000.0)
    weights = [(2 * l + 1) * (-0.5 * l * (l + 1) * t).exp() for l in range(1, _CHARACTERS + 1)]
    density, change = 1 + sum(weights), torch.zeros_like(squared * t)
    angle = torch.where(squared == 0, 0.0, torch.where(squared == 0, 1.0, squared).sqrt())
    tail = torch.zeros_like(t)
    for m in range(_CHARACTERS, 0, -1):
        tail = tail + weights[m - 1]
        density = density + 2 * tail * (m * angle).cos()
        change = change - 2 * tail * t * m**2 * numerics.sinc(m**2 * squared)
    return density, change


def cdf(angle: Tensor, kappa: Tensor) -> Tensor:
    """Probability of an angle of at most `angle` in [0, pi]; float64."""
    angle, kappa = torch.broadcast_tensors(angle.double(), kappa.double())
    near = kappa.square() < _QUANTILE_SWITCH
    short = torch.where(near, kappa, math.sqrt(_QUANTILE_SWITCH))
    reach = angle / torch.where(short > 0, short, 1.0)
    reach = torch.where(short > 0, reach, torch.where(angle > 0, math.inf, 0.0)).clamp(max=50.0)
    long = torch.where(near, math.sqrt(_QUANTILE_SWITCH), kappa)
    return torch.where(near, _near(reach, short)[0], _far(angle, long)[0]).clamp(0, 1)


def quantile(probability: Tensor, kappa: Tensor) -> Tensor:
    """Angle in [0, pi] with this value of `cdf`; float64, any kappa >= 0, not differentiable."""
    with torch.no_grad():
        probability, kappa = torch.broadcast_tensors(probability.double(), kappa.double())
        shape = probability.shape
        probability, kappa = probability.reshape(-1), kappa.reshape(-1)
        angle = torch.empty_like(kappa)
        near = kappa.square() < _QUANTILE_SWITCH
        # Small levels are solved in units of kappa, where the answer is below 9 in float64.
        short, long = kappa[near], kappa[~near]
        angle[near] = short * _solve(lambda reach: _near(reach, short), probability[near], 9.0)
        angle[~near] = _solve(lambda a: _far(a, long), probability[~near], math.pi)
        return angle.reshape(shape)


def _solve(function, probability: Tensor, upper: float) -> Tensor:
    """Root of function(x) = probability on [0, upper] by Newton's method inside a shrinking bracket.

    function: returns an increasing function and its derivative.
    """
    if probability.numel() == 0:
        return probability
    low, high = torch.zeros_like(probability), torch.full_like(probability, upper)
    x = 0.5 * (low + high)
    for _ in range(60):
        value, derivative = function(x)
        above = value > probability
        low, high = torch.where(above, low, x), torch.where(above, x, high)
        newton = x - (value - probability) / derivative
        inside = (newton >= low) & (newton <= high)
        following = torch.where(inside, newton, 0.5 * (low + high))
        moved = (following - x).abs().max()
        x = following
        if moved < 1e-10 * upper:  # Newton's next step would be the square of this one
            break
    return x


def _near(reach: Tensor, kappa: Tensor) -> tuple[Tensor, Tensor]:
    """Distribution function and density of reach = a / kappa from the image k = 0, for small kappa.

    F = c e^(t/8) (I / 2 - e^(-r^2/2) sin(kappa r / 2) / kappa), c = 2 sqrt(2 / pi), with
    I = integral_0^r cos(kappa q / 2) e^(-q^2/2) dq by the series of the cosine and the moments of the normal.
    """
    t = kappa.square()
    bell = (-0.5 * reach.square()).exp()
    moment = math.sqrt(math.pi / 2) * torch.erf(reach / math.sqrt(2))
    integral, odd_power = moment, reach
    for n in range(1, 9):
        moment = (2 * n - 1) * moment - odd_power * bell
        odd_power = odd_power * reach.square()
        integral = integral + (-t / 4) ** n / math.factorial(2 * n) * moment
    sine = 0.5 * reach * numerics.sinc(t * reach.square() / 4)  # sin(kappa r / 2) / kappa
    scale = 2 * math.sqrt(2 / math.pi) * (t / 8).exp()
    return scale * (0.5 * integral - bell * sine), scale * reach * sine * bell


def _far(angle: Tensor, kappa: Tensor) -> tuple[Tensor, Tensor]:
    """Distribution function and density of the angle from the characters."""
    t = kappa.square().clamp(max=1000.0)
    count = math.ceil(math.sqrt(2 * 42 / float(t.min())))
    cosine = angle.cos()
    sine_before, sine_now = torch.zeros_like(angle), angle.sin()
    cosine_before, cosine_now = torch.ones_like(angle), cosine
    total, density = angle - sine_now, 1 - cosine
    for l in range(1, count + 1):
        sine_next = 2 * cosine * sine_now - sine_before
        cosine_next = 2 * cosine * cosine_now - cosine_before
        weight = (2 * l + 1) * (-0.5 * l * (l + 1) * t).exp()
        total = total + weight * (sine_now / l - sine_next / (l + 1))
        density = density + weight * (cosine_now - cosine_next)
        sine_before, sine_now = sine_now, sine_next
        cosine_before, cosine_now = cosine_now, cosine_next
    return total / math.pi, density / math.pi
