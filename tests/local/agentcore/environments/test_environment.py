"""The life of execution environments, on a data plane with short times: real processes, real clients."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from local.agentcore.data_plane import DataPlane
from local.agentcore.environments.environment import EnvironmentRecord, State
from local.agentcore.environments.settings import DataPlaneSettings
from local.agentcore.protocol.errors import RuntimeClientError
from local.emulator.clients import AccessKey
from local.emulator.process import Emulator
from tests.support.agentcore_account import QUICK_AGENT, QUICK_UVICORN, AgentCoreAccount, ask, client_of, new_session
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

# 60 seconds are the least that AWS takes, and 0.3 here.
FACTOR = 0.005

Start = Callable[..., "Sessions"]


@pytest.fixture(scope="module")
def account(emulator: Emulator) -> AgentCoreAccount:
    return AgentCoreAccount(emulator)


@pytest.fixture(scope="module", params=["V1", "V2"])
def runtime(request: pytest.FixtureRequest, account: AgentCoreAccount) -> str:
    """An agent whose environments are processes of their own, or clones of a prepared one."""
    return account.runtime(QUICK_AGENT, platform_version=request.param, files=QUICK_UVICORN)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where data planes keep their files."""
    directory = tmp_path_factory.mktemp("data-planes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(directory))
        yield directory


@pytest.fixture(scope="module")
def sessions(emulator: Emulator, files: Path) -> Iterator[Sessions]:
    """A data plane for tests that need nothing special of it."""
    with started(emulator, files) as plane:
        yield plane


@pytest.fixture
def start(emulator: Emulator, files: Path) -> Iterator[Start]:
    """Starts a data plane with the settings that it is given."""
    with ExitStack() as planes:

        def start_one(**settings: Any) -> Sessions:
            return planes.enter_context(started(emulator, files, **settings))

        yield start_one


@contextmanager
def started(emulator: Emulator, files: Path, **settings: Any) -> Generator[Sessions]:
    quick: dict[str, Any] = {"warm_spares": 0, "ping_interval_seconds": 0.05, "stop_grace_seconds": 0.5}
    with DataPlane(DataPlaneSettings(**quick | settings)) as plane:
        plane.start(emulator.url, emulator.client)
        yield Sessions(plane, emulator.key, files)


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    """For calls that are answered later."""
    with ThreadPoolExecutor(4) as executor:
        yield executor


class Sessions:
    """Calls to one data plane, as root."""

    def __init__(self, plane: DataPlane, key: AccessKey, files: Path) -> None:
        self.plane = plane
        self._files = files
        self._client = client_of(plane.url, key)

    def ask(self, runtime: str, session_id: str, **payload: Any) -> Any:
        return ask(self._client, runtime, session_id, **payload)

    def stop(self, runtime: str, session_id: str) -> None:
        self._client.stop_runtime_session(agentRuntimeArn=runtime, runtimeSessionId=session_id)

    def refusal(self, call: Callable[[], object]) -> tuple[int, str]:
        """HTTP status and message of the error that a call ends in."""
        with pytest.raises(ClientError) as caught:
            call()
        response: Any = caught.value.response
        return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]

    def of(self, session_id: str) -> EnvironmentRecord | None:
        return next((each for each in self.plane.environments() if each.session_id == session_id), None)

    def spares(self, state: State) -> list[EnvironmentRecord]:
        return [each for each in self.plane.environments() if each.session_id is None and each.state is state]

    def begin_to_hang(self, background: ThreadPoolExecutor, runtime: str, session_id: str) -> Future[Any]:
        """A request that the agent has received and does not answer."""
        request = background.submit(self.ask, runtime, session_id, do="hang")
        wait_until(lambda: list(self._files.rglob(f"{session_id}.hangs")), "the request is with the agent")
        return request

    def await_end(self, session_id: str, seconds: float = 5) -> None:
        wait_until(lambda: self.of(session_id) is None, "the session's environment is gone", seconds)


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


# Ends


def test_a_stopped_session_frees_its_place_within_a_second(start: Start, runtime: str) -> None:
    sessions, first, second = start(max_environments=1, queue_seconds=0), new_session(), new_session()
    pid = sessions.ask(runtime, first)["pid"]
    status, message = sessions.refusal(lambda: sessions.ask(runtime, second))
    assert (status, "maxVms" in message) == (402, True)
    sessions.stop(runtime, first)
    sessions.await_end(first, seconds=1)
    assert not runs(pid)
    assert sessions.refusal(lambda: sessions.stop(runtime, first))[0] == 404
    assert sessions.ask(runtime, second)["session"] == second


def test_sessions_over_the_limit_wait_their_turn_and_are_refused_when_it_takes_too_long(
    start: Start, runtime: str, background: ThreadPoolExecutor
) -> None:
    sessions, ids = start(max_environments=1, queue_seconds=3), [new_session() for _ in range(4)]
    sessions.ask(runtime, ids[0])
    answers = list[Future[Any]]()
    for session_id in ids[1:]:
        answers.append(background.submit(sessions.ask, runtime, session_id))
        time.sleep(0.2)  # so that they come in this order
    for before, answer, session_id in zip(ids, answers[:2], ids[1:], strict=False):
        assert not answer.done()
        sessions.stop(runtime, before)
        assert answer.result(5)["session"] == session_id
    assert sessions.refusal(answers[2].result) == (402, "Maximum number of active sessions reached (maxVms: 1)")


def test_a_torn_down_session_is_in_transition_for_as_long_as_it_is_set(start: Start, runtime: str) -> None:
    sessions, session_id = start(stop_delay_seconds=0.4, teardown_seconds=1.0, stop_grace_seconds=5), new_session()
    pid = sessions.ask(runtime, session_id)["pid"]
    began = time.monotonic()
    sessions.stop(runtime, session_id)
    assert runs(pid)
    wait_until(lambda: not runs(pid), "its process is gone")
    assert time.monotonic() - began > 0.4
    assert sessions.refusal(lambda: sessions.ask(runtime, session_id))[0] == 409
    assert sessions.refusal(lambda: sessions.stop(runtime, session_id))[0] == 409
    sessions.await_end(session_id)
    assert time.monotonic() - began > 1.4
    assert sessions.ask(runtime, session_id)["pid"] != pid


def test_a_long_teardown_does_not_keep_the_data_plane(start: Start, runtime: str) -> None:
    sessions, session_id = start(teardown_seconds=60), new_session()
    sessions.ask(runtime, session_id)
    sessions.stop(runtime, session_id)
    began = time.monotonic()
    sessions.plane.stop()
    assert time.monotonic() - began < 10


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found by their marks in /proc")
def test_what_has_left_the_process_group_ends_with_the_session(sessions: Sessions, runtime: str) -> None:
    session_id = new_session()
    daemon = sessions.ask(runtime, session_id, do="start_daemon")["done"]
    assert runs(daemon)
    sessions.stop(runtime, session_id)
    sessions.await_end(session_id)
    wait_until(lambda: not runs(daemon), "the daemon is gone")


def test_stopping_cuts_off_requests_and_the_session_is_in_transition_until_it_is_gone(
    start: Start, account: AgentCoreAccount, background: ThreadPoolExecutor
) -> None:
    sessions, session_id = start(stop_grace_seconds=30), new_session()
    runtime = account.runtime(QUICK_AGENT, environment={"IGNORE_SIGTERM": "1"})
    pid = sessions.ask(runtime, session_id)["pid"]
    hanging = sessions.begin_to_hang(background, runtime, session_id)
    sessions.stop(runtime, session_id)
    assert sessions.refusal(hanging.result)[0] == 424
    assert sessions.refusal(lambda: sessions.ask(runtime, session_id))[0] == 409
    assert sessions.refusal(lambda: sessions.stop(runtime, session_id))[0] == 409
    os.kill(pid, signal.SIGKILL)
    sessions.await_end(session_id)
    successor = sessions.ask(runtime, session_id)["pid"]
    assert successor != pid
    os.kill(successor, signal.SIGKILL)


def test_a_killed_process_fails_its_request_and_the_next_gets_a_new_environment(
    sessions: Sessions, runtime: str, background: ThreadPoolExecutor
) -> None:
    session_id = new_session()
    pid = sessions.ask(runtime, session_id)["pid"]
    hanging = sessions.begin_to_hang(background, runtime, session_id)
    os.kill(pid, signal.SIGKILL)
    status, message = sessions.refusal(hanging.result)
    assert (status, "closed too early" in message) == (424, True)
    assert sessions.ask(runtime, session_id)["pid"] != pid


def test_a_process_killed_between_requests_is_replaced(sessions: Sessions, runtime: str) -> None:
    session_id = new_session()
    pid = sessions.ask(runtime, session_id)["pid"]
    os.kill(pid, signal.SIGKILL)
    sessions.await_end(session_id)
    assert sessions.ask(runtime, session_id)["pid"] != pid


def test_what_an_agent_started_ends_with_it(sessions: Sessions, runtime: str) -> None:
    session_id = new_session()
    started = sessions.ask(runtime, session_id, do="start_child")
    assert runs(started["done"])
    os.kill(started["pid"], signal.SIGKILL)
    sessions.await_end(session_id)
    wait_until(lambda: not runs(started["done"]), "the child is gone")


def test_nothing_is_left_of_a_stopped_data_plane(start: Start, runtime: str, files: Path) -> None:
    others = set(files.iterdir())
    sessions = start(warm_spares=1)
    started = sessions.ask(runtime, new_session(), do="start_child")
    wait_until(lambda: sessions.spares(State.READY), "there is a spare")
    pids = [started["done"], *(each.pid for each in sessions.plane.environments())]
    sessions.plane.stop()
    assert [pid for pid in pids if pid is None or runs(pid)] == []
    assert set(files.iterdir()) == others


# Reclaimed by the platform


def test_an_idle_environment_is_reclaimed_and_a_busy_one_is_not(start: Start, account: AgentCoreAccount) -> None:
    sessions, idle, busy = start(lifecycle_factor=FACTOR), new_session(), new_session()
    runtime = account.runtime(QUICK_AGENT, idleRuntimeSessionTimeout=60, maxLifetime=28_800)
    pid = sessions.ask(runtime, busy, do="start_work", seconds=60)["pid"]
    sessions.ask(runtime, idle)
    sessions.await_end(idle)
    environment = sessions.of(busy)
    assert environment is not None
    assert environment.pid == pid


def test_an_open_request_alone_keeps_nothing_alive(
    start: Start, account: AgentCoreAccount, background: ThreadPoolExecutor
) -> None:
    sessions, session_id = start(lifecycle_factor=FACTOR), new_session()
    runtime = account.runtime(QUICK_AGENT, idleRuntimeSessionTimeout=60, maxLifetime=28_800)
    hanging = background.submit(sessions.ask, runtime, session_id, do="hang")
    assert sessions.refusal(hanging.result)[0] == 424


def test_no_environment_outlives_its_maximum_lifetime(start: Start, account: AgentCoreAccount) -> None:
    sessions, session_id = start(lifecycle_factor=FACTOR), new_session()
    runtime = account.runtime(QUICK_AGENT, idleRuntimeSessionTimeout=60, maxLifetime=60)
    sessions.ask(runtime, session_id, do="start_work", seconds=60)
    sessions.await_end(session_id)


def test_an_environment_that_stops_answering_is_replaced(
    start: Start, runtime: str, background: ThreadPoolExecutor
) -> None:
    sessions, session_id = start(unhealthy_after_seconds=0.3), new_session()
    pid = sessions.ask(runtime, session_id)["pid"]
    hanging = sessions.begin_to_hang(background, runtime, session_id)
    os.kill(pid, signal.SIGSTOP)
    assert sessions.refusal(hanging.result)[0] == 424
    sessions.await_end(session_id)
    assert sessions.ask(runtime, session_id)["pid"] != pid


def test_a_request_may_take_so_long_and_no_longer(start: Start, runtime: str) -> None:
    sessions, session_id = start(request_limit_seconds=0.3), new_session()
    sessions.ask(runtime, session_id)
    assert sessions.refusal(lambda: sessions.ask(runtime, session_id, do="hang"))[0] == 504
    assert sessions.ask(runtime, session_id)["session"] == session_id


# Starts


def test_a_warm_environment_takes_the_first_request_and_is_replaced(start: Start, runtime: str) -> None:
    sessions, session_id = start(warm_spares=1, max_environments=1), new_session()
    sessions.plane.warm(runtime)
    (spare,) = sessions.plane.environments()
    assert (spare.state, spare.session_id, spare.version) == (State.READY, None, "1")
    assert sessions.ask(runtime, session_id)["pid"] == spare.pid
    wait_until(lambda: sessions.spares(State.READY), "there is another spare")


def test_a_dead_spare_is_not_used(start: Start, runtime: str) -> None:
    sessions, session_id = start(warm_spares=1), new_session()
    sessions.plane.warm(runtime)
    (spare,) = sessions.plane.environments()
    assert spare.pid is not None
    os.kill(spare.pid, signal.SIGKILL)
    wait_until(lambda: not sessions.plane.environments(), "the spare is gone")
    assert sessions.ask(runtime, session_id)["session"] == session_id


def test_an_agent_that_fails_to_start_is_424_and_says_why_in_its_log(
    sessions: Sessions, account: AgentCoreAccount
) -> None:
    session_id = new_session()
    runtime = account.runtime("import a_module_that_is_missing")
    status, message = sessions.refusal(lambda: sessions.ask(runtime, session_id))
    assert status == 424
    assert "its process ended with exit code 1 before it answered GET /ping" in message
    assert sessions.of(session_id) is None
    wait_until(lambda: "No module named 'a_module_that_is_missing'" in account.log(runtime, session_id), "it is logged")


def test_warming_an_agent_that_fails_to_start_says_why(start: Start, account: AgentCoreAccount) -> None:
    runtime = account.runtime("raise SystemExit('nothing is configured')")
    with pytest.raises(RuntimeClientError, match="nothing is configured"):
        start(warm_spares=1).plane.warm(runtime)


def test_an_agent_that_never_answers_is_given_up(start: Start, account: AgentCoreAccount) -> None:
    sessions, session_id = start(start_limit_seconds=0.3), new_session()
    runtime = account.runtime("import threading; threading.Event().wait()")
    status, message = sessions.refusal(lambda: sessions.ask(runtime, session_id))
    assert (status, "initialization time exceeded" in message) == (424, True)
    sessions.await_end(session_id)


@pytest.mark.parametrize("trusted", ["arn:aws:iam::111111111111:root"])
def test_a_role_that_nobody_here_may_assume_is_named(
    sessions: Sessions, account: AgentCoreAccount, trusted: str
) -> None:
    role = account.role(trusts=trusted)
    runtime = account.runtime(QUICK_AGENT, role=role)
    status, message = sessions.refusal(lambda: sessions.ask(runtime, new_session()))
    assert (status, role in message) == (424, True)


def test_a_session_that_is_being_started_is_in_transition(
    sessions: Sessions, account: AgentCoreAccount, background: ThreadPoolExecutor
) -> None:
    session_id = new_session()
    runtime = account.runtime("import threading; threading.Event().wait()")
    first = background.submit(sessions.ask, runtime, session_id)
    wait_until(lambda: sessions.of(session_id), "it is being started")
    assert sessions.refusal(lambda: sessions.ask(runtime, session_id))[0] == 409
    sessions.stop(runtime, session_id)
    assert sessions.refusal(first.result)[0] == 424


def test_a_session_keeps_its_version_and_an_endpoint_may_stay_behind(
    sessions: Sessions, account: AgentCoreAccount
) -> None:
    before, after = new_session(), new_session()
    runtime = account.runtime(QUICK_AGENT)
    account.endpoint(runtime, "live")
    sessions.ask(runtime, before)
    account.update(runtime, environment={"VERSION": "2"})
    sessions.ask(runtime, before)
    sessions.ask(runtime, after)
    sessions.ask(runtime, after, qualifier="live")
    versions = {
        (each.session_id, each.endpoint_name): each.version
        for each in sessions.plane.environments()
        if each.session_id in (before, after)
    }
    assert versions == {(before, "DEFAULT"): "1", (after, "DEFAULT"): "2", (after, "live"): "1"}
    assert sessions.ask(runtime, after, do="variables")["done"]["VERSION"] == "2"
