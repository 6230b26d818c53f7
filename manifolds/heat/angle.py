"""The angle of Brownian motion on rotations: density, slope, distribution function and quantiles.

With t = kappa^2, f is the density of the rotation against the uniform distribution (mean 1), a
function of the rotation angle a only, and a itself has density f(a) (1 - cos a) / pi on [0, pi].
Two forms are exact:

    images      f = sqrt(2 pi) e^(t/8) t^(-3/2) / sin(a/2) * sum_k (-1)^k a_k e^(-a_k^2 / 2t)
    characters  f = sum_l (2l + 1) e^(-l (l + 1) t / 2) sin((l + 1/2) a) / sin(a/2)

with a_k = a + 2 pi k, and each is short where the other is long. No table is made.
Source: Nikolayev and Savyolova 1997 (characters); Poisson summation gives the images.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from manifolds import numerics

# By dtype: the t below which images are summed, and above it the characters l <= the second number.
# In float64 both leave out e^-38 of the density; in float32 the images leave out e^-19, and there
# the characters do not cancel.
_SWITCH = {torch.float64: (1.0, 8)}
_FLOAT32_SWITCH = (2.0, 4)
_QUANTILE_SWITCH = 0.1  # t; below, the image k = 0 alone leaves out e^-49 of the distribution


def log_density(squared: Tensor, t: Tensor) -> Tensor:
    """log f as a function of the squared angle, angle at most pi.

    Args:
        squared: angle squared, angle at most pi.
        t: kappa^2, broadcastable to it.
    """
    near, short, long, count = _regimes(t)
    half_sinc, cosine, _ = _half(squared)
    scale = math.log(2 * math.sqrt(2 * math.pi)) - 1.5 * short.log() + short / 8
    images = scale - squared / (2 * short) + (_images(squared, short)[0] / half_sinc).log()
    return torch.where(near, images, _characters(cosine.square(), long, count)[0].log())


def slope(squared: Tensor, t: Tensor) -> Tensor:
    """t (d log f / d a) / a as a function of the squared angle; -1 in the limit of small t, 0 of
    large t.

    Args:
        squared: angle squared, angle at most pi.
        t: kappa^2, broadcastable to it.
    """
    near, short, long, count = _regimes(t)
    half_sinc, cosine, half_cot = _half(squared)
    total, change = _images(squared, short)
    density, rate = _characters(cosine.square(), long, count)
    return torch.where(
        near,
        short * half_cot - 1 + change / total,
        -0.5 * long * half_sinc * cosine * rate / density,
    )


def _regimes(t: Tensor) -> tuple[Tensor, Tensor, Tensor, int]:
    """Where t is for the images, t for them, t for the characters, and how many characters there
    are.
    """
    switch, count = _SWITCH.get(t.dtype, _FLOAT32_SWITCH)
    # Beyond t = 1000 every character is 0 in float64 too; the bound keeps 0 times infinity out.
    return t < switch, t.clamp(max=switch), t.clamp(switch, 1000.0), count


def _polynomials(x: Tensor, rows: list[list[float]]) -> tuple[Tensor, ...]:
    """One polynomial of x for each row of coefficients, lowest first, all rows of one length.

    They are stacked in front of x and take one pass of Horner's rule: at a thousand angles an
    operation costs as much for two numbers an angle as for one.
    """
    table = torch.tensor(list(zip(*rows)), dtype=x.dtype, device=x.device)
    columns = table.reshape(*table.shape, *[1] * x.dim()).unbind()
    value = columns[-1]
    for column in reversed(columns[:-1]):
        value = torch.addcmul(column, value, x)
    return value.unbind()


# Riemann's zeta(2n + 2) - 1 for n = 0, 1, ...
_ZETA = [
    0.644934066848226436,
    0.0823232337111381915,
    0.0173430619844491397,
    0.00407735619794433938,
    9.94575127818085337e-4,
    2.46086553308048299e-4,
    6.12481350587048293e-5,
    1.52822594086518717e-5,
    3.81729326499983986e-6,
    9.53962033872796113e-7,
    2.3845050272773299e-7,
    5.96081890512594796e-8,
    1.49015548283650412e-8,
]
_TURN = (2 * math.pi) ** 2
_HALF = [
    [(-1 / 16) ** n / math.factorial(2 * n + 1) for n in range(len(_ZETA))],
    [2 * zeta / _TURN ** (n + 1) for n, zeta in enumerate(_ZETA)],
]


def _half(squared: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """sin(a/2) / (a/2), cos(a/2) and (1 - (a/2) cot(a/2)) / a^2, for a at most pi.

    Without a case apart for small angles, so that every derivative is right there: the first two
    come from the series of sin(a/4) / (a/4), the last is 2 / (4 pi^2 - a^2), its nearest pole, and
    the series of all other poles.
    """
    terms = len(_ZETA) if squared.dtype == torch.float64 else 5
    sinc, poles = _polynomials(squared, [row[:terms] for row in _HALF])
    sine_squared = squared * sinc.square() / 16
    return (
        sinc * (1 - sine_squared).sqrt(),
        1 - 2 * sine_squared,
        torch.add(poles, (_TURN - squared).reciprocal(), alpha=2),
    )


# (b a / t)^2; below, four terms of the series are enough, above, the closed forms cancel little
_SMALL = 0.1
_PAIR = [
    [1 / math.factorial(2 * n) for n in range(4)],
    [(2 * n + 2) / math.factorial(2 * n + 3) for n in range(4)],
]


def _images(squared: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The sum over images divided by its term k = 0, S, and t (dS / da) / a.

    With b = 2 pi and z = b a / t, the pair k = 1, -1 adds b^2/t Q - P, where E+- = exp(-b^2 / 2t +-
    z), P = E+ + E-, Q = (E+ - E-) / z; its derivative has R = (P - Q) / z^2. P, Q, R are smooth in
    z^2.
    """
    # A kappa below 1e-4 is as good as 1e-4: the pair then matters within 1e-9 of the half turn.
    ratio = 2 * math.pi * t.clamp(min=1e-8).reciprocal()
    size, steep = 2 * math.pi * ratio, ratio.square()
    half = 0.5 * size
    ripple = steep * squared
    small = ripple < _SMALL
    angle = torch.maximum(squared, _SMALL / steep).sqrt()
    z = ratio * angle
    plus, minus = (ratio * (angle - math.pi)).clamp(max=0).exp(), (-(z + half)).exp()
    p, q = plus + minus, (plus - minus) / z
    r = (p - q) / z.square()
    # The same by series, each divided by 2 e^(-b^2 / 2t).
    ripple, decay = ripple.clamp(max=_SMALL), 2 * (-half).exp()
    p_series, r_series = _polynomials(ripple, _PAIR)
    p = torch.where(small, decay * p_series, p)
    q = torch.where(small, decay * (p_series - ripple * r_series), q)
    r = torch.where(small, decay * r_series, r)
    return 1 - p + size * q, size * (size * r - q)


def _characters(x: Tensor, t: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """f and df / dx by the characters, which are polynomials of x = cos^2(a/2):

    sin((l + 1/2) a) / sin(a/2) = sum_k (-1)^(l - k) binomial(l + k, 2k) (4x)^k.
    """
    each = [-0.5 * l * (l + 1) for l in range(count + 1)]
    rates = torch.tensor(each, dtype=t.dtype, device=t.device)
    matrix = torch.tensor(_MATRIX[count], dtype=t.dtype, device=t.device)
    coefficients = numerics.matmul((t.unsqueeze(-1) * rates).exp(), matrix).unbind(-1)
    density, rate = coefficients[-1], torch.zeros_like(t)
    for coefficient in reversed(coefficients[:-1]):  # Horner's rule, and its derivative
        rate = torch.addcmul(density, rate, x)
        density = torch.addcmul(coefficient, density, x)
    return density, rate


# By the number of characters, (2l + 1) times the coefficient of x^k in character l.
_MATRIX = {
    count: [
        [(2 * l + 1) * (-1) ** (l - k) * math.comb(l + k, 2 * k) * 4**k for k in range(count + 1)]
        for l in range(count + 1)
    ]
    for _, count in (*_SWITCH.values(), _FLOAT32_SWITCH)
}


def cdf(angle: Tensor, kappa: Tensor) -> Tensor:
    """Probability of an angle of at most `angle` in [0, pi]; float64.

    Args:
        angle: in [0, pi].
        kappa: the level, broadcastable to it.
    """
    angle, kappa = torch.broadcast_tensors(angle.double(), kappa.double())
    near = kappa.square() < _QUANTILE_SWITCH
    short = torch.where(near, kappa, math.sqrt(_QUANTILE_SWITCH))
    reach = angle / torch.where(short > 0, short, 1.0)
    reach = torch.where(short > 0, reach, torch.where(angle > 0, math.inf, 0.0)).clamp(max=50.0)
    long = torch.where(near, math.sqrt(_QUANTILE_SWITCH), kappa)
    return torch.where(near, _near(reach, short)[0], _far(angle, long)[0]).clamp(0, 1)


def quantile(probability: Tensor, kappa: Tensor) -> Tensor:
    """Angle in [0, pi] with this value of `cdf`; float64, any kappa >= 0, not differentiable.

    Args:
        probability: in [0, 1].
        kappa: the level, broadcastable to it.
    """
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


def _solve(
    function: Callable[[Tensor], tuple[Tensor, Tensor]], probability: Tensor, upper: float
) -> Tensor:
    """Root of function(x) = probability on [0, upper] by Newton's method inside a shrinking
    bracket.

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

    F = c e^(t/8) (I / 2 - e^(-r^2/2) sin(kappa r / 2) / kappa), c = 2 sqrt(2 / pi), with I =
    integral_0^r cos(kappa q / 2) e^(-q^2/2) dq by the series of the cosine and the moments of the
    normal.
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
