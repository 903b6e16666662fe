"""Environments on platform version V2, clones of a prepared process; what any environment does is tested elsewhere."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from components.agent_bundle import own_files
from local.agentcore.data_plane import DataPlane
from local.agentcore.environments.settings import DataPlaneSettings
from local.agentcore.protocol.errors import RuntimeClientError
from local.deployment.program import PROJECT
from local.emulator.process import Emulator
from runtime.agent.workflow import WORKFLOWS
from tests.support.agentcore_account import CLONED_AGENT, AgentCoreAccount, ask, client_of, new_session
from tests.support.running_cloud import RunningCloud
from tests.support.waiting import wait_until
from tests.support.watched_clones import imported, watched_cloud

pytestmark = pytest.mark.slow

OWN_CODE = {name: path.read_text(encoding="utf-8") for name, path in own_files(PROJECT).items() if name != "main.py"}
WITH_A_THREAD = """
import threading, uvicorn
threading.Thread(target=threading.Event().wait, name="mine").start()

async def app(scope, receive, send):
    pass

uvicorn.run(app)
"""


@pytest.fixture(scope="module")
def account(emulator: Emulator) -> AgentCoreAccount:
    return AgentCoreAccount(emulator)


@pytest.fixture
def plane(emulator: Emulator) -> Iterator[DataPlane]:
    with DataPlane(DataPlaneSettings(warm_spares=0, stop_grace_seconds=0.5, start_limit_seconds=20)) as plane:
        plane.start(emulator.url, emulator.client)
        yield plane


def asked(plane: DataPlane, emulator: Emulator, runtime: str, session_id: str) -> Any:
    return ask(client_of(plane.url, emulator.key), runtime, session_id)


def test_two_clones_share_what_was_loaded_and_nothing_that_tells_them_apart(
    plane: DataPlane, emulator: Emulator, account: AgentCoreAccount
) -> None:
    runtime = account.runtime(CLONED_AGENT, files=OWN_CODE, platform_version="V2")
    with ThreadPoolExecutor(2) as both:
        answers = [both.submit(asked, plane, emulator, runtime, new_session()) for _ in range(2)]
        first, second = (answer.result(30) for answer in answers)
    assert first["shared"] == second["shared"]
    assert {name for name, value in first["own"].items() if value == second["own"][name]} == set()
    assert first["own"]["pid"] == first["own"]["group"] != first["shared"]["loadedBy"]


def test_a_prepared_process_that_died_takes_its_clones_with_it_and_is_replaced(
    plane: DataPlane, emulator: Emulator, account: AgentCoreAccount
) -> None:
    runtime, session_id = account.runtime(CLONED_AGENT, files=OWN_CODE, platform_version="V2"), new_session()
    before = asked(plane, emulator, runtime, session_id)
    os.kill(before["shared"]["loadedBy"], signal.SIGKILL)
    wait_until(lambda: not plane.environments(), "its clone is gone")
    clone = before["own"]["pid"]
    assert not psutil.pid_exists(clone) or psutil.Process(clone).status() == psutil.STATUS_ZOMBIE
    after = asked(plane, emulator, runtime, session_id)
    assert after["shared"]["loadedBy"] != before["shared"]["loadedBy"]


@pytest.mark.parametrize(
    ("main", "why"),
    [
        ("import a_module_that_is_missing", "No module named 'a_module_that_is_missing'"),
        (WITH_A_THREAD, "it has threads before it serves (mine)"),
    ],
)
def test_what_can_not_be_prepared_says_why(plane: DataPlane, account: AgentCoreAccount, main: str, why: str) -> None:
    with DataPlane(DataPlaneSettings(start_limit_seconds=20)) as plane:
        plane.start(account.emulator.url, account.client)
        with pytest.raises(RuntimeClientError) as refused:
            plane.warm(account.runtime(main, platform_version="V2"))
    assert why in str(refused.value)


@pytest.fixture(scope="module")
def cloud_of_clones() -> Iterator[RunningCloud]:
    with watched_cloud() as cloud:
        yield cloud


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_clones_import_nothing_to_work_on_a_run(cloud_of_clones: RunningCloud, workflow: str) -> None:
    session_id = cloud_of_clones.runbook.trigger("What is slow?", workflow=workflow)
    assert cloud_of_clones.wait_for_end(session_id).status == "AGENT_BACKGROUND_TASK_COMPLETED"
    assert imported(cloud_of_clones, session_id) == []


def test_a_run_s_lease_is_of_the_clone_that_works_on_it(cloud_of_clones: RunningCloud) -> None:
    runs = [cloud_of_clones.runbook.trigger("What is slow?") for _ in range(2)]
    for session_id in runs:
        cloud_of_clones.wait_for_end(session_id)
    events = {session_id: cloud_of_clones.runbook.events(session_id) for session_id in runs}
    first, second = ([event for event in events[session_id] if event.environment_id] for session_id in runs)
    assert {event.environment_id for event in first}.isdisjoint({event.environment_id for event in second})
    assert {event.event_id for event in first}.isdisjoint({event.event_id for event in second})
    assert all(event.lease_expires_at for event in (*first[:-1], *second[:-1]))
