"""How much an error of u counts at each level: weights of `matching_loss`."""

from torch import Tensor


def velocity_weight(s: Tensor, kappa: Tensor) -> Tensor:
    """1 / kappa^2: the squared error of u becomes that of the velocity of a `Geodesic`, or of the
    noise of a `Gaussian`.

    Args:
        s: levels in (0, 1].
        kappa: their noise levels, of the same shape.
    """
    return kappa**-2


def v_weight(s: Tensor, kappa: Tensor) -> Tensor:
    """1 + 1 / kappa^2: the squared error of u becomes that of v, for clocks with alpha^2 + sigma^2
    = 1.

    Args:
        s: levels in (0, 1].
        kappa: their noise levels, of the same shape.
    """
    return 1 + kappa**-2
