"""Protein chains and their backbones."""
