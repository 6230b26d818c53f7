"""Molecules that were read, and those that were not."""

import os
from dataclasses import dataclass

from rdkit import Chem

from geodiff.jobs import failures


@dataclass(frozen=True)
class Record:
    """One molecule that was read."""

    index: int  # place in the source, from 0, failures counted too
    name: str  # from the source, or mol_0000 and so on
    smiles: str  # as written in the source; canonical and isomeric for SDF records
    mol: Chem.Mol  # explicit hydrogens; a conformer only where the source gave 3D coordinates


@dataclass(frozen=True)
class Failure:
    """One molecule that was not, or could not be worked on, and why."""

    index: int  # place in the source, from 0
    name: str  # as in `Record`
    smiles: str  # as written in the source
    reason: str  # in words


class BadMolecule(ValueError):
    """A molecule that the conformer task cannot take; its text is the reason, without the
    molecule's name.
    """


def read_failures(path: str | os.PathLike) -> list[Failure]:
    """What `write_failures` wrote.

    Args:
        path: of the file.

    Raises: ValueError naming the file if it is of another kind.
    """
    return failures.read_failures(path, Failure)
