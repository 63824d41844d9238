"""Descriptions of datasets for `anirec data`: inventory, origin, contents, figures."""
