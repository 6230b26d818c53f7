"""Elementary functions that stay smooth through their removable singularities.

The angle functions take the *square* of the angle: a squared norm is a polynomial of the
coordinates, so nothing here has the kink of a norm at zero, and value, gradient and second
derivative are finite there. Below a small angle a Taylor series is used (its derivatives do not
cancel); above, the closed form.
"""

import itertools
import math

import torch
from torch import Tensor


def _terms(x: Tensor) -> int:
    """Number of Taylor terms that reach rounding error at x = 1 for coefficients like 1 / (2n +
    1)!.
    """
    return 11 if x.dtype == torch.float64 else 6


def add_product(a: Tensor, b: Tensor, c: Tensor, factor: float) -> Tensor:
    """a + factor b c, entry by entry, in one operation.

    Args:
        a: any shape.
        b: a shape that broadcasts with it.
        c: a shape that broadcasts with it.
        factor: of the product.
    """
    if torch.compiler.is_compiling():
        # torch 2.13: the interpreter crashes in a compiled forward derivative of addcmul with a
        # value, where b or c does not move.
        return torch.addcmul(a, factor * b, c)
    return torch.addcmul(a, b, c, value=factor)


def polynomial(x: Tensor, coefficients: list[float]) -> Tensor:
    """Sum of coefficients[n] x^n by Horner's rule, none of them 0.

    Args:
        x: any shape.
        coefficients: lowest first.
    """
    # c0 + c1 x + c2 x^2 = c0 (1 + (c1 / c0) x (1 + (c2 / c1) x)): one operation a power.
    one = torch.ones_like(x)
    value = one
    for lower, higher in reversed(list(itertools.pairwise(coefficients))):
        value = add_product(one, x, value, higher / lower)
    return value if coefficients[0] == 1 else coefficients[0] * value


def sinc(squared: Tensor) -> Tensor:
    """sin(a) / a as a function of a^2; 1 at 0.

    Args:
        squared: a^2, any shape.
    """
    # The closed form loses digits only in its derivatives, so that the series may end at a quarter
    # of a radian.
    limit = 0.0625
    small = squared < limit
    count = 8 if squared.dtype == torch.float64 else 4
    series = polynomial(
        squared.clamp(max=limit), [(-1) ** n / math.factorial(2 * n + 1) for n in range(count)]
    )
    angle = squared.clamp(min=limit).sqrt()
    return torch.where(small, series, angle.sin() / angle)


def cosc(squared: Tensor) -> Tensor:
    """(1 - cos a) / a^2 as a function of a^2; 1/2 at 0.

    Args:
        squared: a^2, any shape.
    """
    return 0.5 * sinc(squared / 4).square()


def sinc_rest(squared: Tensor) -> Tensor:
    """(a - sin a) / a^3 as a function of a^2; 1/6 at 0.

    Args:
        squared: a^2, any shape.
    """
    small = squared < 1
    series = polynomial(
        squared.clamp(max=1),
        [(-1) ** n / math.factorial(2 * n + 3) for n in range(_terms(squared))],
    )
    angle = squared.clamp(min=1).sqrt()
    return torch.where(small, series, (angle - angle.sin()) / angle**3)


# |B_2n| / (2n)! for Bernoulli numbers B and n = 1, 2, ...: the series of
# (1 - (a/2) cot(a/2)) / a^2 in a^2.
_HALF_COT = [
    1 / 12,
    1 / 720,
    1 / 30240,
    1 / 1209600,
    1 / 47900160,
    691 / 1307674368000,
    1 / 74724249600,
    3.3896802963225827e-13,
    8.586062056277845e-15,
    2.174868698558062e-16,
    5.5090028283602295e-18,
]


def half_cot(squared: Tensor) -> Tensor:
    """(1 - (a/2) cot(a/2)) / a^2 as a function of a^2, for a below 2 pi; 1/12 at 0.

    Args:
        squared: a^2, any shape.
    """
    small = squared < 1
    series = polynomial(squared.clamp(max=1), _HALF_COT[: _terms(squared)])
    angle = squared.clamp(min=1).sqrt()
    half = 0.5 * angle
    return torch.where(small, series, (1 - half * half.cos() / half.sin()) / angle.square())


def sinhc(squared: Tensor) -> Tensor:
    """sinh(a) / a as a function of a^2; 1 at 0.

    Args:
        squared: a^2, any shape.
    """
    small = squared < 1
    series = polynomial(
        squared.clamp(max=1), [1 / math.factorial(2 * n + 1) for n in range(_terms(squared))]
    )
    size = squared.clamp(min=1).sqrt()
    return torch.where(small, series, size.sinh() / size)


def asinhc(squared: Tensor) -> Tensor:
    """asinh(a) / a as a function of a^2; 1 at 0.

    Args:
        squared: a^2, any shape.
    """
    small = squared < 0.04
    count = 12 if squared.dtype == torch.float64 else 6
    series = polynomial(
        squared.clamp(max=0.04),
        [(-1) ** n * math.comb(2 * n, n) / 4**n / (2 * n + 1) for n in range(count)],
    )
    size = squared.clamp(min=0.04).sqrt()
    return torch.where(small, series, size.asinh() / size)


def asinhc_rest(squared: Tensor) -> Tensor:
    """(1 - asinh(a) / a) / a^2 as a function of a^2; 1/6 at 0.

    Args:
        squared: a^2, any shape.
    """
    small = squared < 0.04
    count = 12 if squared.dtype == torch.float64 else 6
    series = polynomial(
        squared.clamp(max=0.04),
        [
            (-1) ** n * math.comb(2 * n + 2, n + 1) / 4 ** (n + 1) / (2 * n + 3)
            for n in range(count)
        ],
    )
    far = squared.clamp(min=0.04)
    size = far.sqrt()
    return torch.where(small, series, (1 - size.asinh() / size) / far)


def coth_rest(squared: Tensor) -> Tensor:
    """(a coth a - 1) / a^2 as a function of a^2; 1/3 at 0.

    Args:
        squared: a^2, any shape.
    """
    small = squared < 0.25
    series = polynomial(
        4 * squared.clamp(max=0.25),
        [4 * (-1) ** n * term for n, term in enumerate(_HALF_COT[: _terms(squared)])],
    )
    size = squared.clamp(min=0.25).sqrt()
    return torch.where(small, series, (size / size.tanh() - 1) / squared.clamp(min=0.25))


def log_sinhc(squared: Tensor) -> Tensor:
    """log(sinh(a) / a) as a function of a^2; 0 at 0, and finite where sinh overflows.

    Args:
        squared: a^2, any shape.
    """
    small = squared < 1
    near = sinhc(squared.clamp(max=1)).log()
    size = squared.clamp(min=1).sqrt()
    return torch.where(
        small, near, size + torch.log1p(-(-2 * size).exp()) - math.log(2) - size.log()
    )


def arc(sine_squared: Tensor, cosine: Tensor) -> Tensor:
    """atan2(s, c) / s as a function of s^2 and c, s >= 0; 1 / c at s = 0 for c > 0.

    s and c may carry a common factor f, which divides the result. At s = 0 with c <= 0 the quotient
    is infinite in truth; a finite number is returned, and the caller chooses what it means.

    Args:
        sine_squared: s^2, any shape.
        cosine: c, of the same shape.
    """
    small, series, sine = _arc(sine_squared, cosine)
    return torch.where(small, series, torch.atan2(sine, cosine) / sine)


def arc_along(v: Tensor, sine_squared: Tensor, cosine: Tensor) -> Tensor:
    """`arc` times v, for v of length s: the length of the result is right to a rounding or two.

    Args:
        v: (*batch, n), of length s.
        sine_squared: s^2, (*batch, 1).
        cosine: c, (*batch, 1).
    """
    small, series, sine = _arc(sine_squared, cosine)
    return torch.where(small, series * v, torch.atan2(sine, cosine) * (v / sine))


def _arc(sine_squared: Tensor, cosine: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where s is below c / 10, the series of `arc` there, and the root for the closed form
    elsewhere.
    """
    limit = 0.01 * cosine.clamp(min=0).square()
    # Each side of the limit sees the values of its own side, so that both stay finite.
    larger = torch.maximum(sine_squared, limit)
    larger = larger + (larger == 0)
    sine = larger.sqrt()
    count = 9 if sine.dtype == torch.float64 else 5
    coefficients = [0.1 * (-0.01) ** n / (2 * n + 1) for n in range(count)]
    series = polynomial(torch.minimum(sine_squared, limit) / larger, coefficients) / sine
    return sine_squared < limit, series, sine


def norm(v: Tensor, axes: int = 1) -> Tensor:
    """Euclidean norm over the last `axes` axes, with gradient 0 (not NaN) at the zero vector.

    Args:
        v: (*batch, ...).
        axes: how many are summed over.
    """
    squared = squared_norm(v, axes)
    zero = squared == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, squared).sqrt())


def squared_norm(v: Tensor, axes: int = 1) -> Tensor:
    """Sum of squares over the last `axes` axes.

    Args:
        v: (*batch, ...).
        axes: how many are summed over.
    """
    return v.square().sum(tuple(range(-axes, 0))) if axes else v.square()


def normalise(v: Tensor) -> Tensor:
    """v / |v| over the last axis; the zero vector goes to the first unit vector, with a finite
    gradient.

    Args:
        v: (*batch, n).
    """
    zero = (v == 0).all(-1, keepdim=True)
    first = torch.zeros_like(v)
    first[..., 0] = 1
    # Scaled by the largest entry first, so that the squares of tiny or huge vectors stay in range.
    safe = torch.where(zero, first, v)
    safe = safe / safe.detach().abs().amax(-1, keepdim=True)
    return safe / safe.square().sum(-1, keepdim=True).sqrt()


def atan2(y: Tensor, x: Tensor) -> Tensor:
    """atan2 with value 0 and gradient 0 (not NaN) at the origin.

    Args:
        y: any shape.
        x: of the same shape.
    """
    origin = (y == 0) & (x == 0)
    return torch.where(
        origin, 0.0, torch.atan2(torch.where(origin, 0.0, y), torch.where(origin, 1.0, x))
    )


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product in the caller's own precision, also inside an autocast region.

    Args:
        a: (*batch, i, k).
        b: (*batch, k, j).
    """
    kind = a.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        with torch.autocast(kind, enabled=False):
            return a @ b
    return a @ b


def tolerance(dtype: torch.dtype) -> float:
    """How far a tensor of this dtype may stand off a space and still be called a point of it.

    Args:
        dtype: of the points.
    """
    return 1e-8 if dtype == torch.float64 else 1e-5 if dtype == torch.float32 else 2e-2


def log_uniform_on_sphere(n: int) -> float:
    """Log density of the uniform distribution on the unit sphere S^n, nats: less its log area.

    Args:
        n: the dimension; 1 is the circle.
    """
    half = (n + 1) / 2
    return math.lgamma(half) - math.log(2) - half * math.log(math.pi)
