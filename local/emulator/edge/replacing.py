"""Replaces functions of ministack, if it is the version that the replacement was written against."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

VERSION = "1.5.33"


class UnknownMinistack(Exception):
    """Ministack has changed since its replacements were written."""


def replace(module: ModuleType, name: str, with_: Callable[[Any], Any], *relies_on: str) -> None:
    """Replace `module.name`.

    :param with_: gets the original function and returns its replacement.
    :param relies_on: pieces of the module's source without which the replacement would make no sense.
    :raises UnknownMinistack: if the version is a different one, or the source lacks one of the pieces.
    """
    if (found := version("ministack")) != VERSION:
        raise UnknownMinistack(f"ministack is {found}; local/emulator/edge was written against {VERSION}: check it.")
    for piece in (f"def {name}(", *relies_on):
        if piece not in _text(str(module.__file__)):
            raise UnknownMinistack(f"{module.__file__} no longer has {piece!r}: check local/emulator/edge.")
    setattr(module, name, with_(getattr(module, name)))


@lru_cache
def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")
