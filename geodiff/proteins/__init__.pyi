"""Public names of geodiff.proteins, as editors and type checkers find them."""

import geodiff.domains.chains.chain
from geodiff.domains.chains import decoys as decoys
from geodiff.domains.chains import frames as frames
from geodiff.domains.chains import geometry as geometry
from geodiff.domains.chains import io as io
from geodiff.domains.chains import metrics as metrics
from geodiff.domains.chains import view as view
from geodiff.domains.chains.chain import Chain as Chain
from geodiff.domains.chains.chain import load_chains as load_chains
from geodiff.domains.chains.chain import save_chains as save_chains
from geodiff.domains.chains.frames import atoms_to_frames as atoms_to_frames
from geodiff.domains.chains.frames import frames_to_atoms as frames_to_atoms
from geodiff.domains.chains.io import from_biopython as from_biopython
from geodiff.domains.chains.io import read as read
from geodiff.domains.chains.io import to_biopython as to_biopython
from geodiff.domains.chains.io import write as write
from geodiff.domains.chains.view import page as page
from geodiff.domains.chains.view import picture as picture
from geodiff.proteins.commands import train as train
from geodiff.proteins.datasets import data as data
from geodiff.proteins.evaluation import evaluate as evaluate
from geodiff.proteins.objective import module as module
from geodiff.proteins.preparation import prepare as prepare
from geodiff.proteins.sampling import sample as sample
from geodiff.proteins.sampling import sample_folder as sample_folder
from geodiff.training.weights import load as load

from . import datasets as datasets
from . import evaluation as evaluation
from . import model as model
from . import network as network
from . import objective as objective
from . import preparation as preparation
from . import sampling as sampling

chains = geodiff.domains.chains.chain

__all__: list[str]
