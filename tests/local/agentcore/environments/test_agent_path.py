"""What an agent's process must not see of the machine that it runs on."""

import os
import subprocess
import sys

import pytest

from local.agentcore.environments.agent_process import AGENT_PATH

WHAT_STRANDS_FINDS = "import strands, sys; print('lark' in sys.modules)"


@pytest.mark.slow
def test_strands_does_not_find_the_grammars_that_jupyter_brings() -> None:
    found = subprocess.run(
        [sys.executable, "-c", WHAT_STRANDS_FINDS],
        env=os.environ | {"PYTHONPATH": str(AGENT_PATH)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert found.stdout.strip() == "False"
