from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError

from local.deployment.resources.assets import zip_bytes
from local.emulator import process as emulator_module
from local.emulator.process import Emulator, EmulatorError
from local.loopback.ports import free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which emulators started in this test keep their files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def listening_port() -> Iterator[int]:
    """A port on which another program listens, without ever answering."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def bound_port() -> Iterator[int]:
    """A port that another program has, without listening yet."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        yield server.getsockname()[1]


def processes_below(directory: Path) -> list[psutil.Process]:
    """Processes whose working directory is, or was, in this directory: an emulator's and its functions'."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(str(directory)) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return found


def create_function(emulator: Emulator, name: str, code: str) -> None:
    """A function with a role of its own and this code."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = emulator.client("iam").create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    emulator.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="handler.handle",
        Timeout=300,
        Role=role["Role"]["Arn"],
        Code={"ZipFile": zip_bytes({"handler.py": code.encode()})},
    )


def invoke_busy_function(emulator: Emulator, told: Path) -> None:
    """Have a function sleep; return once it does and its process id stands in the file `told`."""
    create_function(
        emulator,
        "busy",
        "import os, pathlib, subprocess, time\n"
        "def handle(event, context):\n"
        "    subprocess.Popen(['/bin/sleep', '300'], start_new_session=True)\n"
        "    pathlib.Path(event).write_text(str(os.getpid()))\n"
        "    time.sleep(300)\n",
    )
    functions = emulator.client("lambda")
    functions.invoke(FunctionName="busy", InvocationType="Event", Payload=json.dumps(str(told)).encode())
    wait_until(lambda: told.exists() and told.read_text() != "", "the function runs")


def test_root_may_do_what_nobody_else_may(emulator: Emulator) -> None:
    assert emulator.client("sts").get_caller_identity()["Arn"].endswith(":root")
    stranger = boto3.client(
        "dynamodb",
        endpoint_url=emulator.url,
        region_name="us-east-1",
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="wrong",
    )
    with pytest.raises(ClientError, match=r"UnrecognizedClientException|InvalidClientTokenId|AccessDenied"):
        stranger.list_tables()


def test_it_listens_on_one_loopback_address_only(emulator: Emulator) -> None:
    port = int(emulator.url.rsplit(":", 1)[1])
    with pytest.raises(OSError, match=r"refused|timed out|assign"):
        socket.create_connection(("127.0.0.2", port), timeout=1)


def test_clients_are_made_once(emulator: Emulator) -> None:
    assert emulator.client("dynamodb") is emulator.client("dynamodb")


def test_settings_of_the_machine_do_not_reach_the_clients(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "https://sqs.us-east-1.amazonaws.com")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with Emulator() as other:
        assert other.client("sqs").list_queues()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_completions_can_come_from_a_model_server() -> None:
    asked: list[Any] = []

    class ModelServer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            message = {"role": "assistant", "content": "From the model."}
            reply = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), ModelServer) as server:
        threading.Thread(target=server.serve_forever).start()
        with Emulator(model_url=f"http://127.0.0.1:{server.server_port}") as running:
            messages = [{"role": "user", "content": [{"text": "Well?"}]}]
            reply = running.client("bedrock-runtime").converse(modelId="some-model", messages=messages)
        server.shutdown()
    assert reply["output"]["message"]["content"] == [{"text": "From the model."}]
    assert asked[0]["messages"][-1]["content"] == "Well?"


def test_functions_get_the_endpoints_that_are_asked_for() -> None:
    settings = Emulator(agentcore_url="http://a", endpoint_url_override="http://b")._environment(1, "token")
    assert settings["AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"] == "http://a"
    assert settings["AWS_ENDPOINT_URL"] == "http://b"


def test_a_stopped_emulator_leaves_no_process_and_no_file(temporary_files: Path) -> None:
    with Emulator() as running:
        assert processes_below(temporary_files)
        running.client("dynamodb").list_tables()
    assert list(temporary_files.iterdir()) == []
    wait_until(lambda: not processes_below(temporary_files), "all processes are gone")
    running.stop()


def test_a_busy_function_does_not_outlive_the_emulator(
    temporary_files: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    told = tmp_path_factory.mktemp("told") / "pid"
    with Emulator() as running:
        invoke_busy_function(running, told)
        function = psutil.Process(int(told.read_text()))
        began = time.monotonic()
    assert time.monotonic() - began < 5
    wait_until(lambda: not function.is_running() or function.status() == psutil.STATUS_ZOMBIE, "it is gone")
    assert list(temporary_files.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found by their marks in /proc")
def test_what_a_function_has_sent_out_of_its_group_ends_with_the_emulator(temporary_files: Path) -> None:
    with Emulator() as running:
        create_function(
            running,
            "spawner",
            "import subprocess\n"
            "def handle(event, context):\n"
            "    return subprocess.Popen(['/bin/sleep', '300'], start_new_session=True).pid\n",
        )
        answer = running.client("lambda").invoke(FunctionName="spawner")
        daemon = psutil.Process(json.load(answer["Payload"]))
    wait_until(lambda: not daemon.is_running() or daemon.status() == psutil.STATUS_ZOMBIE, "it is gone")


def test_nothing_survives_a_killed_parent(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    told = tmp_path_factory.mktemp("told") / "pid"
    parent_code = (
        "import sys; from pathlib import Path; from local.emulator.process import Emulator\n"
        "from tests.local.emulator.test_process import invoke_busy_function\n"
        "emulator = Emulator(); emulator.start()\n"
        "invoke_busy_function(emulator, Path(sys.argv[1]))\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", parent_code, str(told)],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        function = psutil.Process(int(told.read_text()))
        parent.kill()
    wait_until(lambda: not processes_below(tmp_path), "the emulator is gone")
    wait_until(lambda: not function.is_running() or function.status() == psutil.STATUS_ZOMBIE, "and its function")
    wait_until(lambda: list(tmp_path.iterdir()) == [], "and their files")


def test_a_port_lost_to_another_program_is_replaced(listening_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = iter([listening_port, free_port()])
    monkeypatch.setattr(emulator_module, "free_port", lambda: next(ports))
    with Emulator() as running:
        assert running.url != f"http://127.0.0.1:{listening_port}"


def test_another_emulator_on_the_port_is_not_taken_for_this_one(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = iter([int(emulator.url.rsplit(":", 1)[1]), free_port()])
    monkeypatch.setattr(emulator_module, "free_port", lambda: next(ports))
    with Emulator() as running:
        assert running.url != emulator.url


def test_no_port_at_all_is_one_sentence(
    bound_port: int, monkeypatch: pytest.MonkeyPatch, temporary_files: Path
) -> None:
    monkeypatch.setattr(emulator_module, "free_port", lambda: bound_port)
    with pytest.raises(EmulatorError, match=rf"could not bind a port: other programs took \[{bound_port}, "):
        Emulator().start()
    assert list(temporary_files.iterdir()) == []


def test_a_death_at_the_start_is_one_sentence_with_the_last_output(
    monkeypatch: pytest.MonkeyPatch, temporary_files: Path
) -> None:
    monkeypatch.setitem(emulator_module._FIXED_SETTINGS, "LOG_LEVEL", "DEAFENING")
    with pytest.raises(EmulatorError, match=r"died while starting; its last output: (.|\n)*DEAFENING"):
        Emulator().start()
    assert list(temporary_files.iterdir()) == []


def test_a_start_that_takes_too_long_is_one_sentence(monkeypatch: pytest.MonkeyPatch, temporary_files: Path) -> None:
    monkeypatch.setattr(emulator_module, "START_SECONDS", 0.001)
    with pytest.raises(EmulatorError, match=r"did not answer on port \d+ within 0.001 s"):
        Emulator().start()
    wait_until(lambda: not processes_below(temporary_files), "it is gone")
    assert list(temporary_files.iterdir()) == []


def test_a_death_in_use_is_noticed(temporary_files: Path) -> None:
    with Emulator() as running:
        running.check()
        for process in processes_below(temporary_files):
            process.send_signal(signal.SIGKILL)
            process.wait(5)
        with pytest.raises(EmulatorError, match="died while in use"):
            running.check()
    with pytest.raises(EmulatorError, match="not running"):
        running.check()
