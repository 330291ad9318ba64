"""Backends call out: one module per service, each an ``Options`` dataclass and a class."""
