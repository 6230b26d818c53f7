"""Conformers into an SDF file, as they come."""

import gzip
import io
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from rdkit import Chem

from geodiff.domains.molecules.parsing import canonical
from geodiff.files import part_of

logger = logging.getLogger(__name__)


class SdfWriter:
    """Writes conformers as they come, one record each; the file appears under its name when all are
    written.

    Use it in a `with` block. Records go to `path` + ".part"; leaving the block renames it, leaving
    it by an error keeps the .part file for inspection and whatever stood under `path` before. Where
    nothing was written there is no .part file, and `path` stays as it was.

    Args:
        path: .sdf or .sdf.gz, in a folder that exists.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        if not self.path.name.lower().endswith((".sdf", ".sdf.gz")):
            raise ValueError(f"path: expected a name ending in .sdf or .sdf.gz, got {self.path}")
        if not self.path.parent.is_dir():
            raise FileNotFoundError(
                f"path: folder {self.path.parent} does not exist; create it first"
            )
        if self.path.is_dir():
            raise IsADirectoryError(f"path: {self.path} is a folder; give a file name in it")
        self.part = part_of(self.path)
        self.molecules = 0
        self.conformers = 0
        self._file: io.TextIOBase | None = None

    def __enter__(self) -> "SdfWriter":
        opened = gzip.open if self.path.name.lower().endswith(".gz") else open
        try:
            self._file = opened(self.part, "wt", encoding="utf-8", newline="\n")
        except OSError as error:
            raise type(error)(
                f"path: {self.path} cannot be written ({error.strerror}); choose another folder"
            ) from error
        return self

    def write(
        self,
        mol: Chem.Mol,
        name: str,
        smiles: str | None = None,
        properties: Sequence[dict[str, object]] | None = None,
    ) -> int:
        """Append every conformer of a molecule as a record with mol_id, smiles and conf_idx;
        returns how many.

        Args:
            mol: with conformers.
            name: its mol_id.
            smiles: None for the canonical SMILES of `mol`.
            properties: further fields, one dict a conformer.
        """
        if self._file is None:
            raise ValueError("SdfWriter: not open; use it in a with block")
        conformers = list(mol.GetConformers())
        if properties is not None and len(properties) != len(conformers):
            raise ValueError(
                f"properties: expected {len(conformers)}, one a conformer, got {len(properties)}"
            )
        name = _one_line(name)
        smiles = canonical(mol) if smiles is None else _one_line(smiles)
        for place, conformer in enumerate(conformers):
            if not np.isfinite(conformer.GetPositions()).all():
                raise ValueError(
                    f"mol: conformer {conformer.GetId()} of {name} has coordinates that are not "
                    "finite; leave it out"
                )
            single = Chem.Mol(mol, confId=conformer.GetId())
            single.SetProp("_Name", name)
            fields = {"mol_id": name, "smiles": smiles, "conf_idx": place}
            fields |= properties[place] if properties else {}
            self._file.write(Chem.MolToMolBlock(single, kekulize=True))
            self._file.writelines(
                f">  <{key}>\n{_one_line(value)}\n\n" for key, value in fields.items()
            )
            self._file.write("$$$$\n")
        self._file.flush()
        self.molecules += 1
        self.conformers += len(conformers)
        return len(conformers)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._file = None
        if not self.conformers:
            self.part.unlink()
        elif kind is None:
            os.replace(self.part, self.path)
        else:
            logger.warning(
                "stopped after %d conformers; they are in %s", self.conformers, self.part
            )


def _one_line(value: object) -> str:
    """Text that cannot end a line or pass for a mark of the SDF format."""
    text = " ".join(str(value).split())
    return f"_{text}" if text.startswith(("$$$$", ">")) else text
