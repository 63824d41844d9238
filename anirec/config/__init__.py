"""Configs: composition, checks, identity of a run, and search spaces."""
