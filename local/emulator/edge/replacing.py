"""Replaces functions of ministack, as long as it is the ministack that the replacement was written against."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

VERSION = "1.5.33"


class UnknownMinistack(Exception):
    """Ministack is not as it was when its replacements were written."""


def replace(module: ModuleType, name: str, with_: Callable[[Any], Any], *relies_on: str) -> None:
    """Put another function in the place of `module.name`.

    :param with_: gets the function that is there, and returns the one that is to be.
    :param relies_on: pieces of the module's text without which the replacement would make no sense.
    :raises UnknownMinistack: if the version is another one, or the text lacks one of them.
    """
    if (found := version("ministack")) != VERSION:
        raise UnknownMinistack(f"ministack is {found}; local/emulator/edge was written against {VERSION}: check it.")
    for piece in (f"def {name}(", *relies_on):
        if piece not in _text(str(module.__file__)):
            raise UnknownMinistack(f"{module.__file__} has no {piece!r} any more: check local/emulator/edge.")
    setattr(module, name, with_(getattr(module, name)))


@lru_cache
def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")
