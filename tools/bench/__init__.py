"""Harmony beside the ways people do it today, measured in one run. ``python -m tools.bench``."""
