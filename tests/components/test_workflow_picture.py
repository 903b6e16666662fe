"""The picture in the documentation is the machine that is deployed."""

from pathlib import Path

from components.workflow_picture import default_picture

ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"


def test_the_documented_state_machine_is_the_one_that_is_built() -> None:
    assert default_picture() in ARCHITECTURE.read_text(encoding="utf-8")
