"""Clouds of points, with or without a mesh behind them."""
