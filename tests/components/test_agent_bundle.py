"""The agent's zip: what is in it, that it is reproducible, and what is said when it can't be built."""

from __future__ import annotations

import platform
import re
import shutil
import struct
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from components import agent_bundle, bytecode
from components.agent_bundle import AgentCode, BundleError, build, check_size
from components.bytecode import is_bytecode
from local.deployment.program import PROJECT

PINNED = re.compile(r"^([a-z0-9][a-z0-9.-]*)(?:\[[a-z,-]+\])?==([^\s;\\]+)", re.MULTILINE)
# e_machine of an ELF file for 64-bit ARM: https://github.com/ARM-software/abi-aa/blob/main/aaelf64/aaelf64.rst
AARCH64 = 183
INSTRUMENTS = re.compile(r"opentelemetry_instrumentation_([a-z0-9_]+)-.*/METADATA")
INSTRUMENTATION = "opentelemetry/instrumentation/auto_instrumentation/__init__.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with our code in it, to change."""
    copy = tmp_path / "project"
    shutil.copytree(PROJECT / "runtime", copy / "runtime", ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Dependencies in place of those that uv would install."""
    site = tmp_path / "site"
    files = {
        # As uv writes it where the path of the Python is long.
        "bin/opentelemetry-instrument": "#!/bin/sh\n'''exec' '/build/machine/python' \"$0\" \"$@\"\n' '''\nrun()\n",
        "bin/other": "#!/build/machine/python\n",
        "library/__init__.py": "",
        "library/cached.cpython-313.pyc": "bytecode",
        "library-1.dist-info/METADATA": "Name: library",
        "library-1.dist-info/RECORD": "bin/other,sha256=of-the-build-machine,1",
        ".lock": "",
    }
    for name in ("botocore", "aio_pika"):
        folders = (f"opentelemetry/instrumentation/{name}", f"opentelemetry_instrumentation_{name}-1.dist-info")
        own = [f"{folders[0]}/__init__.py", f"{folders[0]}/inner/part.py", f"{folders[1]}/entry_points.txt"]
        files |= dict.fromkeys(own, "") | {f"{folders[1]}/RECORD": "".join(f"{file},sha256=0,0\n" for file in own)}
    for name, content in files.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")

    def install(requirements: Path, cache: Path, python: str | None, machine: str | None) -> Path:
        assert (requirements, cache.name, machine) == (
            PROJECT / agent_bundle.REQUIREMENTS,
            "cache",
            "aarch64-manylinux2014",
        )
        return site

    monkeypatch.setattr(agent_bundle, "install_dependencies", install)
    return site


def names(code: AgentCode) -> set[str]:
    with zipfile.ZipFile(code.path) as archive:
        return set(archive.namelist())


def test_source_is_our_code_alone(project: Path, tmp_path: Path) -> None:
    code = build("source", project, tmp_path / "cache")
    found = names(code)
    assert found >= {"main.py", "runtime/__init__.py", "runtime/journal/writer.py", "runtime/agent/main.py"}
    assert any(name.startswith("runtime/agent/prompts/") and name.endswith(".md") for name in found)
    assert not [name for name in found if name.startswith("runtime/invoker") or "requirements" in name]
    assert code.entry_points == ("main.py",)


def test_the_entry_file_stands_at_the_root(project: Path, tmp_path: Path) -> None:
    code = build("source", project, tmp_path / "cache")
    with zipfile.ZipFile(code.path) as archive:
        assert archive.read("main.py") == (project / "runtime/agent/main.py").read_bytes()


def test_a_bundle_adds_the_dependencies_without_what_a_build_leaves_behind_and_what_no_agent_uses(
    installed: Path, tmp_path: Path
) -> None:
    code = build("bundle", cache=tmp_path / "cache")
    added = {name for name in names(code) if not is_bytecode(name)} - names(build("source", cache=tmp_path / "cache"))
    assert added == {
        "bin/opentelemetry-instrument",
        "library/__init__.py",
        "library-1.dist-info/METADATA",
        "opentelemetry/instrumentation/botocore/__init__.py",
        "opentelemetry/instrumentation/botocore/inner/part.py",
        "opentelemetry_instrumentation_botocore-1.dist-info/entry_points.txt",
    }
    assert code.entry_points == ("opentelemetry-instrument", "main.py")


def test_a_bundle_without_an_interpreter_of_the_deployed_version_says_so_and_has_no_bytecode(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiled = build("bundle", cache=tmp_path / "cache")
    another = SimpleNamespace(version_info=SimpleNamespace(major=3, minor=1), executable="no")
    monkeypatch.setattr(bytecode, "sys", another)
    monkeypatch.setattr(bytecode, "FINDER", tmp_path / "none")
    bytecode.interpreter.cache_clear()
    try:
        code = build("bundle", cache=tmp_path / "cache")
    finally:
        bytecode.interpreter.cache_clear()
    assert "No Python 3.13 was found, and uv could not fetch it" in capsys.readouterr().err
    assert not [name for name in names(code) if name.endswith(".pyc")]
    if any(map(is_bytecode, names(compiled))):
        assert code.key != compiled.key


def test_the_command_of_a_bundle_names_no_python_of_the_machine_that_built_it(installed: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(build("bundle", cache=tmp_path / "cache").path) as archive:
        launcher = archive.read("bin/opentelemetry-instrument").decode()
        assert launcher.startswith("#!/usr/bin/env python3\n")
        assert "/build/machine" not in launcher
        assert archive.getinfo("bin/opentelemetry-instrument").external_attr >> 16 & 0o777 == 0o755
        assert archive.getinfo("main.py").external_attr >> 16 & 0o777 == 0o644


def test_the_same_inputs_give_the_same_bytes(project: Path, tmp_path: Path) -> None:
    first = build("source", project, tmp_path / "one")
    for path in project.rglob("*.py"):
        path.touch()
    second = build("source", project, tmp_path / "two")
    assert first.key == second.key
    assert first.path.read_bytes() == second.path.read_bytes()


def test_one_changed_line_gives_another_key(project: Path, tmp_path: Path) -> None:
    before = build("source", project, tmp_path / "cache")
    with (project / "runtime/agent/main.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    after = build("source", project, tmp_path / "cache")
    assert re.fullmatch(r"agent/[0-9a-f]{16}\.zip", after.key)
    assert before.key != after.key


def test_what_a_test_run_leaves_behind_changes_nothing(project: Path, tmp_path: Path) -> None:
    before = build("source", project, tmp_path / "cache")
    cached = project / "runtime/agent/__pycache__/main.cpython-313.pyc"
    cached.parent.mkdir()
    cached.write_bytes(b"bytecode")
    assert build("source", project, tmp_path / "cache") == before


def test_an_unchanged_zip_is_not_written_again(project: Path, tmp_path: Path) -> None:
    before = build("source", project, tmp_path / "cache").path.stat()
    after = build("source", project, tmp_path / "cache").path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_zip_that_agentcore_would_refuse_is_refused_and_leaves_nothing(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_bundle, "MAX_ZIP_BYTES", 2**10)
    with pytest.raises(BundleError, match=r"MiB zipped; AgentCore accepts 0 MiB.*agentImage"):
        build("source", project, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_both_limits_are_agentcores() -> None:
    check_size(250 * 2**20, 750 * 2**20)
    with pytest.raises(BundleError, match="zipped"):
        check_size(250 * 2**20 + 1, 0)
    with pytest.raises(BundleError, match="unpacked"):
        check_size(0, 750 * 2**20 + 1)


@pytest.fixture
def pins(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_text("six==1.17.0 --hash=sha256:" + "0" * 64 + "\n", encoding="utf-8")
    return path


def test_without_a_package_index_one_sentence_says_so(
    pins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing listens on the discard port.
    for name, value in {
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
        "UV_INDEX_URL": "http://127.0.0.1:9/simple",
        "UV_NO_CACHE": "1",
        "UV_HTTP_RETRIES": "0",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        BundleError, match=r"uv could not install .*requirements\.txt for aarch64-manylinux2014: "
    ) as refusal:
        agent_bundle.install_dependencies(pins, tmp_path / "cache", None)
    assert "\n" not in str(refusal.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_uv_one_sentence_says_so(pins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise FileNotFoundError

    monkeypatch.setattr("uv.find_uv_bin", missing)
    with pytest.raises(BundleError, match="uv, which builds the agent's bundle, is missing"):
        agent_bundle.install_dependencies(pins, tmp_path / "cache", None)


def test_an_installation_that_takes_long_says_so_and_is_given_up_in_the_end(
    pins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    as_uv(monkeypatch, tmp_path, "exec sleep 60")
    monkeypatch.setattr(agent_bundle, "INSTALL_SECONDS", 0.3)
    monkeypatch.setattr(agent_bundle, "SAY_SECONDS", 0.1)
    with pytest.raises(BundleError, match=r"took longer than 0.3 s"):
        agent_bundle.install_dependencies(pins, tmp_path / "cache", None)
    assert capsys.readouterr().err.count("Installing the agent's dependencies ...") >= 2


def as_uv(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Let a script stand in for uv."""
    path = folder / "uv"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setattr("uv.find_uv_bin", lambda: str(path))


def test_windows_is_refused_with_what_to_do(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    with pytest.raises(BundleError, match="can't be built on Windows; deploy from the Windows Subsystem for Linux"):
        build("source", project, tmp_path / "cache")


def test_dependencies_are_installed_once_for_each_set_of_pins(
    pins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "installations"
    # The folder is what follows `--target`.
    as_uv(monkeypatch, tmp_path, f'echo "$@" >> "{log}"; mkdir "$5"')
    first = agent_bundle.install_dependencies(pins, tmp_path / "cache", None)
    assert agent_bundle.install_dependencies(pins, tmp_path / "cache", None) == first
    pins.write_text("six==1.16.0\n", encoding="utf-8")
    assert agent_bundle.install_dependencies(pins, tmp_path / "cache", None) != first
    assert len(log.read_text(encoding="utf-8").splitlines()) == 2


def pinned(path: Path) -> dict[str, str]:
    return dict(PINNED.findall(path.read_text(encoding="utf-8")))


def test_the_bundle_has_the_versions_that_are_tested_here() -> None:
    wanted = pinned(PROJECT / "runtime/agent/requirements.in")
    assert set(wanted) >= {"bedrock-agentcore", "strands-agents", "boto3", "aws-opentelemetry-distro"}
    tested = pinned(PROJECT / "requirements.txt")
    assert {name: tested[name] for name in wanted if name in tested} == {
        name: version for name, version in wanted.items() if name in tested
    }


def test_the_lock_of_the_bundle_has_every_version_that_is_wanted() -> None:
    locked = pinned(PROJECT / agent_bundle.REQUIREMENTS)
    for name, version in pinned(PROJECT / "runtime/agent/requirements.in").items():
        assert locked[name] == version


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_real_bundle_builds_for_arm64_within_agentcores_limits(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = build("bundle")
    except BundleError as error:
        if "could not install" not in str(error) or "Failed to fetch" not in str(error):
            raise
        pytest.skip(f"no package index answers: {error}")
    with zipfile.ZipFile(code.path) as archive:
        libraries = [name for name in archive.namelist() if name.endswith(".so")]
        machines = {struct.unpack_from("<H", archive.read(name), 18)[0] for name in libraries}
        instrumentation = archive.read(INSTRUMENTATION).decode()
        instrumented = {found[1] for name in archive.namelist() if (found := INSTRUMENTS.fullmatch(name))}
        unpacked = sum(entry.file_size for entry in archive.infolist())
    zipped = code.path.stat().st_size
    with capsys.disabled():
        # How near the limits it is should be seen before it is over them.
        print(f" [bundle: {zipped / 2**20:.1f} MiB zipped, {unpacked / 2**20:.1f} MiB unpacked] ", end="")  # noqa: T201
    assert machines == {AARCH64}
    assert_compiled(code.path)
    assert instrumented == {"asgi", "botocore", "logging", "starlette", "threading"}
    # What the zip's own launcher calls.
    assert "\ndef initialize(" in instrumentation
    check_size(zipped, unpacked)


def assert_compiled(path: Path) -> None:
    """Every source that can be compiled has bytecode, for the deployed version, that nobody checks or writes again."""
    python = bytecode.interpreter()
    if python is None:
        pytest.skip("no Python of the deployed version is here")
    magic = subprocess.run(
        [python, "-c", "import importlib.util, sys; sys.stdout.buffer.write(importlib.util.MAGIC_NUMBER)"],
        check=True,
        capture_output=True,
        timeout=20,
    ).stdout
    with zipfile.ZipFile(path) as archive:
        found = {name for name in archive.namelist() if is_bytecode(name)}
        unchecked = struct.pack("<I", 1)
        assert {archive.read(name)[:8] for name in found} == {magic + unchecked}
        sources = [name for name in archive.namelist() if name.endswith(".py")]
        missing = [name for name in sources if compiled_name(name) not in found]
    assert all(name.startswith("runtime/") is False for name in missing), missing
    assert len(missing) < len(sources) / 50, missing


def compiled_name(source: str) -> str:
    """Return where the bytecode of a source stands."""
    path = Path(source)
    return (path.parent / "__pycache__" / f"{path.stem}{bytecode.SUFFIX}").as_posix()
