"""The console: all runs of a stack, one run in full, retry and cancel, in one cell of a notebook.

`overview.py` and `details.py` ask the runbook and return frozen records; `overview_page.py` and `run_page.py` make HTML
of them; `widgets.py` shows it, listens to clicks and looks again. Nothing is loaded from anywhere: the widgets are
ipywidgets' own.
"""

from runbook.console.console import Console

__all__ = ["Console"]
