"""Guides: fields around a field, which bend where it leads; one a file."""

from geodiff.process.guidance.autoguidance import Autoguidance as Autoguidance
from geodiff.process.guidance.base import Guide as Guide
from geodiff.process.guidance.classifier_free import ClassifierFree as ClassifierFree
from geodiff.process.guidance.clipped import Clipped as Clipped
from geodiff.process.guidance.energy import Energy as Energy
from geodiff.process.guidance.interval import Interval as Interval
from geodiff.process.guidance.known import Known as Known
from geodiff.process.guidance.reconstruction import Reconstruction as Reconstruction
from geodiff.process.guidance.rescaled import Rescaled as Rescaled
from geodiff.process.guidance.scaled_null import ScaledNull as ScaledNull
