"""What starts the entry point under OpenTelemetry, as it stands in the bundle."""

import subprocess
import sys
from pathlib import Path

import pytest

LAUNCHER = Path(__file__).parents[3] / "runtime" / "agent" / "launcher.py"
ENTRY = """
import gc, sys
import beside
print(__name__, sys.argv, sys.path[0], beside.started, gc.isenabled())
"""


@pytest.mark.slow
@pytest.mark.parametrize("command", [["main.py"], [sys.executable, "main.py"]])
def test_the_entry_point_runs_as_a_script_of_the_bundle_after_opentelemetry_has_started(
    tmp_path: Path, command: list[str]
) -> None:
    files = {
        "bin/opentelemetry-instrument": LAUNCHER.read_text(encoding="utf-8"),
        "opentelemetry/instrumentation/auto_instrumentation.py": "def initialize(): import beside; beside.started = 1",
        "beside.py": "started = 0",
        "main.py": ENTRY,
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "bin/opentelemetry-instrument", *command],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        text=True,
        timeout=20,
    )
    assert ran.stdout.split("\n")[0] == f"__main__ ['main.py'] {tmp_path} 1 False"
