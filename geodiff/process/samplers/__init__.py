"""Samplers: `integrate` walks a list of noise levels with a stepper, one stepper a file."""

from .adaptive import AdaptiveRungeKutta as AdaptiveRungeKutta
from .ancestral import Ancestral as Ancestral
from .base import Interval as Interval
from .base import Run as Run
from .base import Stepper as Stepper
from .churn import Churn as Churn
from .exponential_euler import ExponentialEuler as ExponentialEuler
from .heun import Heun as Heun
from .integrate import integrate as integrate
from .langevin import Langevin as Langevin
from .letters import LetterAncestral as LetterAncestral
from .letters import LetterStepper as LetterStepper
from .multistep import Multistep as Multistep
from .repaint import RePaint as RePaint
from .runge_kutta import RungeKutta4 as RungeKutta4
from .singlestep import Singlestep as Singlestep
from .unipc import UniPC as UniPC
