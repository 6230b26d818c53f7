"""Rigid bodies, the hands that grasp them, and what a simulator says of both."""
