"""Molecules, and what belongs to them, by name."""

from collections.abc import Mapping, Sequence
from typing import Any

from rdkit import Chem


def named(molecules: Any, argument: str) -> dict[str, Any]:
    """Molecules by name: the keys of a mapping, else the titles of molecules if all differ, else
    places.

    Args:
        molecules: a mapping, a Mol, or a sequence of Mols or of lists of them.
        argument: what the caller calls them.

    Raises:
        TypeError: for anything else.
    """
    if isinstance(molecules, Mapping):
        return dict(molecules)
    if isinstance(molecules, Chem.Mol):
        molecules = [molecules]
    if isinstance(molecules, str) or not isinstance(molecules, Sequence):
        raise TypeError(
            f"{argument}: expected a list or a dict of RDKit Mols, got {type(molecules).__name__}"
        )
    titles = []
    for entry in molecules:
        first = entry if isinstance(entry, Chem.Mol) else entry[0] if entry else None
        titles.append(
            first.GetProp("_Name") if first is not None and first.HasProp("_Name") else ""
        )
    if len(set(titles)) < len(titles) or "" in titles:
        titles = [str(i) for i in range(len(titles))]
    return dict(zip(titles, molecules))


def aligned(values: Any, names: Mapping[str, Any], argument: str) -> dict[str, Any]:
    """`values` by the keys of `names`; None where a mapping has no such key, or everywhere for
    None.

    Args:
        values: a mapping, a sequence of one for each name, or None.
        names: the keys, in order.
        argument: what the caller calls the values.

    Raises:
        ValueError: for a name that is unknown, and for another number of values.
    """
    if values is None:
        return dict.fromkeys(names)
    if isinstance(values, Mapping):
        unknown = [key for key in values if key not in names]
        if unknown:
            raise ValueError(
                f"{argument}: got names that no molecule has: "
                f"{', '.join(map(str, unknown[:3]))}; known are {', '.join(list(names)[:3])}"
                f"{', ...' if len(names) > 3 else ''}"
            )
        return {name: values.get(name) for name in names}
    if isinstance(values, Chem.Mol | str):
        values = [values]
    if len(values) != len(names):
        raise ValueError(
            f"{argument}: expected {len(names)} entries, one for each molecule, "
            f"got {len(values)}; put None where there is none"
        )
    return dict(zip(names, values))
