"""JupyterLab as `make notebooks` starts it; `labconfig/` has what can't be said on its command line."""

from typing import Any


def without_version(model: dict[str, Any], **_context: Any) -> None:
    """Leave the interpreter's version out of a notebook that is saved, so that opening one changes nothing."""
    if model["type"] == "notebook" and model["content"]:
        model["content"]["metadata"].get("language_info", {}).pop("version", None)
