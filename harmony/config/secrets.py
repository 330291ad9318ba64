"""Secrets that a configuration names: in the environment, in a file, or, if need be, as text.

They are read when what uses them is made, and are in no repr, finding or log line.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretReference:
    """Where a secret is: in an environment variable, or in a file. Just one of both is given.

    Attributes:
        file: path, relative to the folder of the main configuration file.
    """

    env: str | None = None
    file: str | None = None


Secret: TypeAlias = str | SecretReference


class SecretError(ValueError):
    """A secret cannot be had. The text names key and place, and nothing of the secret.

    Attributes:
        key: of the options, e.g. ``bearer``.
    """

    def __init__(self, key: str, text: str) -> None:
        super().__init__(f"`{key}`: {text}")
        self.key = key


def reveal(key: str, secret: Secret, folder: Path) -> str:
    """The secret itself; blocks while it reads a file. A file's last line break is left out.

    Raises:
        SecretError: there is no such variable, or no such file that can be used.
    """
    match secret:
        case str():
            return secret
        case SecretReference(env=str() as name):
            value = os.environ.get(name)
            if value is None:
                raise SecretError(key, f"environment variable `{name}` is not set")
            return value
        case SecretReference(file=str() as file):
            return _read(key, folder / file)
    raise SecretError(key, "names neither `env` nor `file`")


def _read(key: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as exc:
        reason = (os.strerror(exc.errno) if exc.errno else "not possible").lower()
        raise SecretError(key, f"cannot read `{path}`: {reason}") from None
    if len(data) > MAX_BYTES:
        raise SecretError(key, f"`{path}` is larger than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise SecretError(key, f"`{path}` is not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")
