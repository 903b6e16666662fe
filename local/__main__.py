"""The embedded cloud's command line: `python -m local run`, `up`, `notebooks` and `replay`.

Owns arguments, signals and exit codes: 0 if the run completed, 1 if it did not, 2 if the cloud failed, 130 after
Ctrl-C. For `replay`: 0 if it came to the same, 1 if not, 2 if the folder can't be used.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn
from urllib.parse import urlsplit

from runbook.cli import process

if __name__ == "__main__":
    # Before the slow imports, so that Ctrl-C during them ends without a traceback.
    process.leave_on_interrupt()

import typer

from local import stack_file
from local.emulator.clients import REGION
from local.replay.record.errors import ReplayError

if TYPE_CHECKING:
    from local.cloud import EmbeddedCloud

PROJECT = Path(__file__).resolve().parent.parent
JUPYTER_STOP_SECONDS = 10.0
SAMPLES_LEASE_SECONDS = 5

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _checked_model_url(url: str | None) -> str | None:
    """A base URL that a path can be added to, without what nobody would send and what must not be shown."""
    if url is None:
        return None
    # Whatever is wrong with it, there may be a password before an @, or a key in a query.
    shown = url.partition("?")[0].partition("#")[0].rpartition("@")[2]
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(character in url for character in "@?#"):
        raise typer.BadParameter(
            f"--model-url is {shown!r}, credentials and query left out; it has to be a base URL like "
            "http://127.0.0.1:11434, without user, password and query."
        )
    return url


ModelUrl = Annotated[
    str | None,
    typer.Option(
        callback=_checked_model_url,
        help="Base URL of an OpenAI-compatible server on this machine that the agents ask.",
    ),
]


@app.command()
def run(
    prompt: Annotated[str, typer.Option(envvar="PROMPT", help="What the agents are to work on.")] = "",
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    model_url: ModelUrl = None,
    workflow: Annotated[str | None, typer.Option(help="The agents' workflow; the default without one.")] = None,
    timeout: Annotated[float, typer.Option(help="How long the run may take, in seconds.")] = 600.0,
) -> None:
    """Start the embedded cloud, run one prompt through it, show the run, stop everything."""
    if not 0 < timeout < float("inf"):
        raise typer.BadParameter(f"--timeout is {timeout:g}; it must be a number of seconds above 0.")
    from local.run import DEFAULT_PROMPT
    from local.run import run as run_once

    completed = run_once(
        prompt or DEFAULT_PROMPT,
        as_json=json_output,
        model_url=model_url,
        timeout_seconds=timeout,
        workflow=workflow,
    )
    raise typer.Exit(0 if completed else 1)


@app.command()
def up(
    model_url: ModelUrl = None,
    stack_path: Annotated[Path, typer.Option(help="File that says where the cloud is.")] = stack_file.STACK_FILE,
) -> None:
    """Start the embedded cloud and keep it running until Ctrl-C; .local/stack.json says where it is."""
    with _running_cloud(model_url, stack_path=stack_path) as cloud:
        key = cloud.stack.key
        print(f"The embedded cloud is up in region {REGION}. Root's key for this start, also in {stack_path}:")
        print(f"  AWS_ACCESS_KEY_ID={key.access_key_id} AWS_SECRET_ACCESS_KEY={key.secret_access_key}")
        print(f"  everything but the agents' sessions   {cloud.stack.endpoint_url}")
        print(f"  AgentCore's data plane                {cloud.stack.agentcore_endpoint_url}")
        print('Try: .venv/bin/runbook trigger "What is slow?"')
        print("Ctrl-C stops it.", flush=True)
        while True:
            cloud.check()
            time.sleep(1.0)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def notebooks(
    jupyter_options: typer.Context,
    model_url: ModelUrl = None,
    samples: Annotated[bool, typer.Option(help="Make sample runs.")] = True,
) -> None:
    """Start the embedded cloud with sample runs, and JupyterLab on the notebooks, until Ctrl-C.

    Other options go to JupyterLab, such as --port=8899. Its exit code is this command's.
    """
    options = jupyter_options.args
    if os.geteuid() == 0 and "--allow-root" not in options:
        raise typer.BadParameter(
            "JupyterLab doesn't run as root: use another account, or say `make notebooks ARGS=--allow-root`."
        )
    # A short lease, so that the killed run resumes soon. JupyterLab starts at the same time as the cloud.
    with (
        stack_file.claim(),
        _jupyter(options) as jupyter,
        _started_cloud(model_url, {"leaseSeconds": SAMPLES_LEASE_SECONDS}) as cloud,
    ):
        if samples:
            threading.Thread(target=_make_samples, args=(cloud,), daemon=True).start()
        while (code := jupyter.poll()) is None:
            cloud.check()
            time.sleep(0.5)
    raise typer.Exit(code if code >= 0 else 128 - code)


@app.command()
def replay(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that `runbook pull` has written.")],
    tools: Annotated[
        list[str] | None, typer.Option("--tools", metavar="NAME", help="A tool that is really called; repeat it.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even if it must not be called twice or needs a person.")
    ] = False,
    live_from: Annotated[
        str | None,
        typer.Option(metavar="STEP", help="Ask real models from this step on; those before it are replayed."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Run all in one thread, where a debugger stops.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what differs of the results.")] = False,
) -> None:
    """Run a pulled run again in this process: recorded answers and results of tools, today's code, no cloud."""
    from local.replay import replayed
    from local.replay.shown import leave_out_stops, print_replay
    from runbook import render

    leave_out_stops()
    found = replayed(directory, tools=tools or (), force=force, live_from=live_from, debug=debug)
    print_replay(found, render.console(), diffs=diff)
    raise typer.Exit(0 if found.same else 1)


@contextmanager
def _jupyter(options: list[str]) -> Generator[subprocess.Popen[bytes]]:
    """JupyterLab on the notebooks; it ends with the context."""
    first = "/tree/00_start_here.ipynb" if (PROJECT / "notebooks" / "00_start_here.ipynb").exists() else ""
    fixed = ["--ip=127.0.0.1", "--no-browser", "--notebook-dir=notebooks", f"--LabApp.default_url=/lab{first}"]
    fixed += ["--FileContentsManager.pre_save_hook=local.jupyter.without_version"]
    # There its news are off, with the question about them.
    found = filter(None, (str(PROJECT / "local" / "jupyter"), os.environ.get("JUPYTER_CONFIG_PATH")))
    environment = {**os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(found)}
    jupyter = subprocess.Popen([sys.executable, "-m", "jupyterlab", *fixed, *options], cwd=PROJECT, env=environment)
    try:
        yield jupyter
    finally:
        jupyter.terminate()
        try:
            jupyter.wait(JUPYTER_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            jupyter.kill()
            jupyter.wait()


def _make_samples(cloud: EmbeddedCloud) -> None:
    from local.samples import make_samples

    began = time.monotonic()
    print("Making sample runs: completed, failed, killed and resumed, cancelled, open …", flush=True)
    try:
        make_samples(cloud)
    except Exception as error:
        # Whoever ends the cloud meanwhile knows why there are none.
        print(f"Not all sample runs could be made: {error}", file=sys.stderr)
    else:
        print(f"Sample runs made in {time.monotonic() - began:.1f} s.", flush=True)


@contextmanager
def _running_cloud(
    model_url: str | None, config: dict[str, object] | None = None, stack_path: Path = stack_file.STACK_FILE
) -> Generator[EmbeddedCloud]:
    """A running cloud that others find through the stack file."""
    with stack_file.claim(stack_path), _started_cloud(model_url, config, stack_path) as cloud:
        yield cloud


@contextmanager
def _started_cloud(
    model_url: str | None, config: dict[str, object] | None = None, stack_path: Path = stack_file.STACK_FILE
) -> Generator[EmbeddedCloud]:
    from local.cloud import EmbeddedCloud

    with EmbeddedCloud(model_url=model_url, config=config) as cloud:
        cloud.check_model()
        stack_file.write(cloud.stack, stack_path)
        yield cloud


def main() -> NoReturn:
    """Run the command and turn every expected failure into one sentence and an exit code."""
    # SIGTERM from a supervisor must leave as little behind as Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        process.begin()
        # Typer returns the code of its Exit and turns an interrupt into its Abort.
        code = app(standalone_mode=False) or 0
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except (typer.BadParameter, stack_file.StackFileError, ReplayError) as error:
        print(error, file=sys.stderr)
        code = 2
    except Exception as error:
        if os.environ.get("DEBUG"):
            raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        code = 2
    sys.exit(code)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
