"""The invoker's zip as Lambda gets it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from benchmarks.rows import Row
from components.invoker import code

MAX_KB = 32


def rows() -> list[Row]:
    """Pack what the component deploys."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, asset in code().assets.items():
            archive.writestr(name, Path(str(getattr(asset, "path", ""))).read_bytes())
    return [Row("invoker zip", len(packed.getvalue()) / 1000, "kB", target=MAX_KB)]
