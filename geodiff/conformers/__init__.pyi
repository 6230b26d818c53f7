"""Public names of geodiff.conformers, as editors and type checkers find them."""

from geodiff.conformers.commands import train as train
from geodiff.conformers.datasets import data as data
from geodiff.conformers.evaluation import evaluate as evaluate
from geodiff.conformers.objective import module as module
from geodiff.conformers.preparation import prepare as prepare
from geodiff.conformers.sampling import sample as sample
from geodiff.conformers.sampling import sample_file as sample_file
from geodiff.domains.molecules import baselines as baselines
from geodiff.domains.molecules import features as features
from geodiff.domains.molecules import geometry as geometry
from geodiff.domains.molecules import io as io
from geodiff.domains.molecules import metrics as metrics
from geodiff.domains.molecules import rmsd as rmsd
from geodiff.domains.molecules import stereo as stereo
from geodiff.domains.molecules import view as view
from geodiff.domains.molecules.features import collate as collate
from geodiff.domains.molecules.features import featurise as featurise
from geodiff.domains.molecules.io import read as read
from geodiff.domains.molecules.metrics import coverage as coverage
from geodiff.domains.molecules.view import write_html as write_html
from geodiff.domains.molecules.view import write_png as write_png
from geodiff.training.weights import load as load

from . import datasets as datasets
from . import evaluation as evaluation
from . import model as model
from . import objective as objective
from . import preparation as preparation
from . import sampling as sampling

__all__: list[str]
