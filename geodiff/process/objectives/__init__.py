"""Losses: what a field is trained to minimise."""
