"""Heat kernels: the law of Brownian motion on a space, in closed form.

`kernel(manifold)`, which is `manifold.heat()`, gives `sample`, `log_prob`, `score` and
`displacement`. A noise level kappa is the standard deviation in each direction: the kernel solves
dp/dt = laplacian(p) / 2 with t = kappa^2. The kernel of a space is in the file here that has its
name, and is read when a space is first asked for it: with all of them `import manifolds`, torch
aside, would take half as long again.
"""

from manifolds.base import Kernel as Kernel
from manifolds.base import Manifold
from manifolds.heat.prior import prior_tv as prior_tv


def kernel(manifold: Manifold) -> Kernel:
    """The heat kernel of a space.

    Args:
        manifold: the space.

    Raises: ValueError for a space whose kernel has no closed form here; flow matching needs none.
    """
    return manifold.heat()
