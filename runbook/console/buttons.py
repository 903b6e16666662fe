"""Buttons that call something without arguments."""

from collections.abc import Callable
from typing import Any

import ipywidgets as w


def button(description: str, act: Callable[[], None], width: str = "auto", **traits: Any) -> w.Button:
    """Return a button that calls a function when it is clicked, or the return key is hit on it."""
    made = w.Button(description=description, layout=w.Layout(width=width), **traits)

    def clicked(_button: Any) -> None:
        act()

    made.on_click(clicked)
    return made
