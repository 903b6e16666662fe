"""The agent's code as a zip: named by its content, which no machine changes, small enough for AgentCore.

There are two kinds. `source` is our code alone. `bundle` adds its dependencies for linux/arm64, installed by uv from
the pins in runtime/agent/requirements.txt. Entries are sorted, times are fixed, build leftovers are excluded: the same
inputs give the same content. The zip's bytes depend on the build of zlib as well; nothing may compare them. A
bundle also has bytecode, which its digest leaves out: it follows from the sources and the Python version. AgentRuntime
uploads the zip.

https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-get-started-code-deploy.html
"""

from __future__ import annotations

import csv
import hashlib
import platform
import shutil
import stat
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi

from components import bytecode
from components.python_version import DEPLOYED

PROJECT = Path(__file__).resolve().parent.parent
CACHE = PROJECT / ".build"
REQUIREMENTS = Path("runtime/agent/requirements.txt")
RUNTIME = f"PYTHON_{DEPLOYED.replace('.', '_')}"
# What AgentCore runs, as uv calls it.
MACHINE = "aarch64-manylinux2014"

# https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/bedrock-agentcore-limits.html
MAX_ZIP_BYTES = 250 * 1024 * 1024
MAX_UNPACKED_BYTES = 750 * 1024 * 1024

INSTALL_SECONDS = 600
SAY_SECONDS = 10
# Part of every digest: a change of the zip's format must change its name.
FORMAT = "2"
# The earliest time that a zip can hold.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_OWN_CODE = (
    "runtime/__init__.py",
    "runtime/contract/**/*.py",
    "runtime/journal/**/*.py",
    "runtime/agent/**/*.py",
    "runtime/agent/**/*.md",
)
_ENTRY_FILE = "runtime/agent/main.py"
_OBSERVED = "opentelemetry-instrument"
# Replaces the installed one, which names the Python of the machine that built it.
_LAUNCHER = Path("runtime/agent/launcher.py")
# Of the fifty instrumentations that AWS's distribution brings, those that the agent uses: to look at the others takes a
# tenth of its start. A tool that calls by httpx has spans with `httpx` added here.
_INSTRUMENTED = {"asgi", "botocore", "logging", "starlette", "threading"}
# The content of a zip entry: a file, or bytes.
Content = Path | bytes


class BundleError(Exception):
    """The agent's zip can't be built, or AgentCore would refuse it."""


@dataclass(frozen=True)
class AgentCode:
    """A built zip.

    :ivar path: the file
    :ivar digest: sha256 over names, modes and contents of its entries, in hex
    :ivar entry_points: the command that AgentCore runs, one or two words
    """

    path: Path
    digest: str
    entry_points: tuple[str, ...]

    @property
    def key(self) -> str:
        """The zip's S3 key. AgentCore compares keys only, so changed code needs a new one."""
        return f"agent/{self.digest[:16]}.zip"


def build(kind: str, project: Path = PROJECT, cache: Path = CACHE, machine: str | None = MACHINE) -> AgentCode:
    """Build the zip of a kind, `bundle` or `source`, unless it is already built.

    :param machine: what the dependencies are for; None is this one, to try a bundle here
    :raises BundleError: if uv or a package index is missing, the zip is larger than AgentCore accepts, or on Windows
    """
    if platform.system() == "Windows":
        raise BundleError("The agent's zip can't be built on Windows; deploy from the Windows Subsystem for Linux.")
    own = own_files(project)
    if kind == "source":
        return _pack(kind, own, cache, ("main.py",))
    python = bytecode.interpreter()
    dependencies = _dependency_files(install_dependencies(project / REQUIREMENTS, cache, python, machine))
    launcher = {f"bin/{_OBSERVED}": project / _LAUNCHER}
    compiled = _compiled(own, python) if python else {}
    return _pack(kind, {**dependencies, **own, **compiled, **launcher}, cache, (_OBSERVED, "main.py"))


def own_files(project: Path) -> dict[str, Path]:
    """Our part of the zip, name → file: the entry file at the root, and the packages it imports."""
    found = {
        path.relative_to(project).as_posix(): path
        for pattern in _OWN_CODE
        for path in project.glob(pattern)
        if path.is_file()
    }
    return {"main.py": project / _ENTRY_FILE, **found}


def _compiled(own: Mapping[str, Path], python: str) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        for name, path in own.items():
            copy = Path(folder, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        bytecode.compile_tree(Path(folder), python)
        found = (path for path in Path(folder).rglob("*.pyc"))
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def install_dependencies(requirements: Path, cache: Path, python: str | None, machine: str | None = MACHINE) -> Path:
    """Install the pinned wheels for a machine, once per set of pins.

    :param python: an interpreter of the deployed version, which compiles them; None leaves them as they are
    :returns: the folder that holds them
    :raises BundleError: if uv is missing or fails
    """
    form = f"{DEPLOYED} {machine} {'compiled' if python else 'sources'} "
    name = hashlib.sha256(form.encode() + requirements.read_bytes()).hexdigest()[:16]
    target = cache / f"dependencies-{name}"
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    # Installed next to the target and then moved: an interrupted build never looks finished.
    staging = Path(tempfile.mkdtemp(prefix="dependencies-", dir=cache))
    try:
        _run_uv(requirements, staging / "site", machine)
        if python:
            pulumi.log.info("Compiling the agent's dependencies ...")
            bytecode.compile_tree(staging / "site", python)
        (staging / "site").rename(target)
    except OSError:
        # Another build was faster, with the same result.
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _run_uv(requirements: Path, target: Path, machine: str | None) -> None:
    command = [_find_uv(), "pip", "install", "--quiet", "--target", str(target), "--python-version", DEPLOYED]
    command += ["--python-platform", machine] if machine else []
    command += ["--only-binary", ":all:", "--require-hashes", "--requirement", str(requirements)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as uv:
        try:
            complaints = _wait(uv)
        except subprocess.TimeoutExpired as error:
            uv.kill()
            raise BundleError(f"uv took longer than {INSTALL_SECONDS} s to install {requirements}.") from error
    if uv.returncode:
        reason = " ".join(complaints.split())[:500]
        raise BundleError(f"uv could not install {requirements} for {machine or 'this machine'}: {reason}")


def _wait(uv: subprocess.Popen[str]) -> str:
    """Wait for uv to end, logging that it is still at work, and return its error output."""
    deadline = time.monotonic() + INSTALL_SECONDS
    while True:
        pulumi.log.info("Installing the agent's dependencies ...")
        try:
            return uv.communicate(timeout=SAY_SECONDS)[1]
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise


def _find_uv() -> str:
    try:
        # Imported here: a zip without dependencies needs no uv.
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError) as error:
        raise BundleError(
            "uv, which builds the agent's bundle, is missing: pip install --requirement requirements.txt installs it."
        ) from error


def _dependency_files(site: Path) -> dict[str, Path]:
    """The installed files that belong in the zip, name → file.

    Excluded are unused instrumentations, and whatever differs between builds: a package's own bytecode, uv's lock, the
    commands in bin/, which name the Python of the machine that built them, and RECORD, which lists those.
    """
    unused = _unused_folders(site)
    return {
        name: path
        for path in site.rglob("*")
        if path.is_file() and unused.isdisjoint(path.parents) and _belongs(name := path.relative_to(site).as_posix())
    }


def _unused_folders(site: Path) -> set[Path]:
    """The folders of OpenTelemetry's instrumentations of what no agent here uses; each has its own."""
    prefix = "opentelemetry_instrumentation_"
    records = (
        record
        for record in site.glob(f"{prefix}*.dist-info/RECORD")
        if record.parent.name.removeprefix(prefix).partition("-")[0] not in _INSTRUMENTED
    )
    lines = (line for record in records for line in csv.reader(record.read_text(encoding="utf-8").splitlines()))
    return {(site / name).parent for name, *_ in lines}


def _belongs(name: str) -> bool:
    if bytecode.is_bytecode(name):
        return True
    differing = (".pyc", ".dist-info/RECORD", ".dist-info/uv_cache.json")
    return name != ".lock" and not name.startswith("bin/") and not name.endswith(differing)


def _pack(kind: str, files: Mapping[str, Content], cache: Path, entry_points: tuple[str, ...]) -> AgentCode:
    digest = _digest(files)
    path = cache / f"agent-{kind}-{digest[:16]}.zip"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        pulumi.log.info(f"Packing the agent's {len(files):,} files ...")
        _write_zip(files, path)
    return AgentCode(path, digest, entry_points)


def _digest(files: Mapping[str, Content]) -> str:
    compiled = any(map(bytecode.is_bytecode, files))
    digest = hashlib.sha256(f"{FORMAT} {compiled}".encode())
    sources = {name: content for name, content in files.items() if not bytecode.is_bytecode(name)}
    for name, mode, content in _entries(sources):
        digest.update(f"{name} {mode:o} {hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def _entries(files: Mapping[str, Content]) -> Iterator[tuple[str, int, bytes]]:
    """Name, mode and content of each entry, in the zip's order."""
    for name in sorted(files):
        found = files[name]
        content = found if isinstance(found, bytes) else found.read_bytes()
        yield name, 0o755 if name.startswith("bin/") else 0o644, content


def _write_zip(files: Mapping[str, Content], path: Path) -> None:
    unpacked = 0
    # Written next to the target and then moved, because another build may be looking for it.
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".zip", delete=False) as staging:
        try:
            with zipfile.ZipFile(staging, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, mode, content in _entries(files):
                    unpacked += len(content)
                    archive.writestr(_zip_info(name, mode), content)
            check_size(Path(staging.name).stat().st_size, unpacked)
            Path(staging.name).rename(path)
        finally:
            Path(staging.name).unlink(missing_ok=True)


def _zip_info(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3  # Unix: the modes are ignored otherwise
    info.external_attr = (stat.S_IFREG | mode) << 16
    return info


def check_size(zip_bytes: int, unpacked_bytes: int) -> None:
    """Refuse a zip that AgentCore would refuse.

    :raises BundleError: if it is larger than the limits for direct code
    """
    for what, size, limit in (
        ("zipped", zip_bytes, MAX_ZIP_BYTES),
        ("unpacked", unpacked_bytes, MAX_UNPACKED_BYTES),
    ):
        if size > limit:
            raise BundleError(
                f"The agent's code is {size / 2**20:.1f} MiB {what}; AgentCore accepts {limit // 2**20} MiB. "
                f"Shorten {REQUIREMENTS}, or deploy an image with agentImage."
            )
