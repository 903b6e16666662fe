"""A notebook that was run, as JupyterLab shows it: exported as a page, and photographed by a headless Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import HTMLExporter

SIZE = (1280, 800)
SECONDS = 60
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def screenshot(notebook: Path, heading: str) -> bytes:
    """Return what is seen of a notebook from a heading on, as PNG.

    :raises RuntimeError: if there is no browser
    :raises subprocess.SubprocessError: if it fails, or takes too long
    """
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise RuntimeError(f"there is no browser on PATH: install one of {', '.join(BROWSERS)}")
    content: Any = nbformat.read(notebook, as_version=4)
    first = next(number for number, cell in enumerate(content.cells) if cell.source.startswith(heading))
    content.cells = content.cells[first:]
    exporter: Any = HTMLExporter(template_name="lab")
    page, picture = notebook.with_suffix(".html"), notebook.with_suffix(".png")
    page.write_text(exporter.from_notebook_node(content)[0], encoding="utf-8")
    # The page would fetch scripts from elsewhere that nothing in it uses.
    options = ["--host-resolver-rules=MAP * ~NOTFOUND"]
    options += ["--headless=new", "--hide-scrollbars", "--disable-gpu", "--disable-dev-shm-usage"]
    options += ["--no-sandbox"] if os.geteuid() == 0 else []
    options += [f"--user-data-dir={notebook.parent / 'browser'}", f"--window-size={SIZE[0]},{SIZE[1]}"]
    command = [program, *options, f"--screenshot={picture}", page.as_uri()]
    subprocess.run(command, check=True, timeout=SECONDS, capture_output=True)
    return picture.read_bytes()
