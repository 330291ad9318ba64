"""Harmony joins DIMSE and HTTP: endpoints accept, backends are called, pipelines join them.

Importing this package imports nothing else; see the rooms below it, from ``errors`` at the
bottom to ``cli`` at the top.
"""

__version__ = "0.1.0"
