"""Loops that NumPy and torch have no words for, compiled by numba and cached on disk after the first call."""
