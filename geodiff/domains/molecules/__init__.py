"""Molecules and their conformers."""
