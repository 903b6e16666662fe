"""The agent's code as a zip: reproducible, named by its content, small enough for AgentCore.

Two kinds from one description of what belongs in it. `source` is our code alone. `bundle` adds its dependencies
for linux/arm64, installed by uv from the pins in runtime/agent/requirements.txt. Same inputs give the same bytes:
entries are sorted, times are fixed, what a build leaves behind is left out. Where the zip goes is AgentRuntime's.

https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-get-started-code-deploy.html
"""

from __future__ import annotations

import hashlib
import shutil
import stat
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CACHE = PROJECT / ".build"
REQUIREMENTS = Path("runtime/agent/requirements.txt")
PYTHON_VERSION = "3.13"
RUNTIME = f"PYTHON_{PYTHON_VERSION.replace('.', '_')}"

# https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/bedrock-agentcore-limits.html
MAX_ZIP_BYTES = 250 * 1024 * 1024
MAX_UNPACKED_BYTES = 750 * 1024 * 1024

INSTALL_SECONDS = 600
# Part of every digest: a change of the zip's form must change its name, too.
FORMAT = "1"
# The earliest time that a zip can hold.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_OWN_CODE = ("runtime/__init__.py", "runtime/journal/**/*.py", "runtime/agent/**/*.py", "runtime/agent/**/*.md")
_ENTRY_FILE = "runtime/agent/main.py"
_OBSERVED = "opentelemetry-instrument"


class BundleError(Exception):
    """The agent's zip can't be built, or AgentCore would refuse it."""


@dataclass(frozen=True)
class AgentCode:
    """A built zip.

    :ivar path: the file
    :ivar digest: sha256 over names, modes and contents of its entries, in hex
    :ivar entry_points: what AgentCore runs, one or two words
    """

    path: Path
    digest: str
    entry_points: tuple[str, ...]

    @property
    def key(self) -> str:
        """The zip's S3 key: AgentCore compares keys only, so that changed code needs another one."""
        return f"agent/{self.digest[:16]}.zip"


def build(kind: str, project: Path = PROJECT, cache: Path = CACHE) -> AgentCode:
    """Build the zip of a kind, `bundle` or `source`, or find it already built.

    :raises BundleError: if uv or a package index is missing, or the zip is larger than AgentCore takes
    """
    own = own_files(project)
    if kind == "source":
        return _pack(kind, own, cache, ("main.py",))
    dependencies = _dependency_files(install_dependencies(project / REQUIREMENTS, cache))
    return _pack(kind, {**dependencies, **own}, cache, (_OBSERVED, "main.py"))


def own_files(project: Path) -> dict[str, Path]:
    """Our part of the zip, name → file: the entry file at the root, and the packages it imports."""
    found = {
        path.relative_to(project).as_posix(): path
        for pattern in _OWN_CODE
        for path in project.glob(pattern)
        if path.is_file()
    }
    return {"main.py": project / _ENTRY_FILE, **found}


def install_dependencies(requirements: Path, cache: Path) -> Path:
    """Install the pinned wheels for linux/arm64, once for each set of pins.

    :returns: the folder that holds them
    :raises BundleError: if uv is missing or fails
    """
    name = hashlib.sha256(f"{PYTHON_VERSION} ".encode() + requirements.read_bytes()).hexdigest()[:16]
    target = cache / f"dependencies-{name}"
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    # Installed beside its place and moved there whole: a build that was interrupted is never taken for done.
    staging = Path(tempfile.mkdtemp(prefix="dependencies-", dir=cache))
    try:
        _run_uv(requirements, staging / "site")
        (staging / "site").rename(target)
    except OSError:
        # Another build was faster; its result is the same.
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _run_uv(requirements: Path, target: Path) -> None:
    command = [_find_uv(), "pip", "install", "--quiet", "--target", str(target)]
    command += ["--python-platform", "aarch64-manylinux2014", "--python-version", PYTHON_VERSION]
    command += ["--only-binary", ":all:", "--require-hashes", "--requirement", str(requirements)]
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=True)
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"uv took longer than {INSTALL_SECONDS} s to install {requirements}.") from error
    except subprocess.CalledProcessError as error:
        reason = " ".join(error.stderr.split())[:500]
        raise BundleError(f"uv could not install {requirements} for linux/arm64: {reason}") from error


def _find_uv() -> str:
    try:
        # Here and not above: what is built without dependencies needs no uv.
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError) as error:
        raise BundleError(
            "uv, which builds the agent's bundle, is missing: pip install --requirement requirements.txt installs it."
        ) from error


def _dependency_files(site: Path) -> dict[str, Path]:
    """The installed files that belong in the zip, name → file.

    Left out is what differs from build to build (bytecode, uv's lock) and the commands in bin/, whose first line
    names the Python of the machine that built them; RECORD lists them, so that it differs as well.
    """
    return {
        name: path for path in site.rglob("*") if path.is_file() and _belongs(name := path.relative_to(site).as_posix())
    }


def _belongs(name: str) -> bool:
    if name.startswith("bin/"):
        return name == f"bin/{_OBSERVED}"
    return name != ".lock" and not name.endswith((".pyc", ".dist-info/RECORD", ".dist-info/uv_cache.json"))


def _pack(kind: str, files: Mapping[str, Path], cache: Path, entry_points: tuple[str, ...]) -> AgentCode:
    digest = _digest(files)
    path = cache / f"agent-{kind}-{digest[:16]}.zip"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        _write_zip(files, path)
    return AgentCode(path, digest, entry_points)


def _digest(files: Mapping[str, Path]) -> str:
    digest = hashlib.sha256(FORMAT.encode())
    for name, mode, content in _entries(files):
        digest.update(f"{name} {mode:o} {hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def _entries(files: Mapping[str, Path]) -> Iterator[tuple[str, int, bytes]]:
    """Name, mode and content of each entry, in the zip's order."""
    for name in sorted(files):
        content = files[name].read_bytes()
        if name.startswith("bin/"):
            # In place of the path of the Python that built it.
            content = b"#!/usr/bin/env python3\n" + content.split(b"\n", 1)[1]
        yield name, 0o755 if name.startswith("bin/") else 0o644, content


def _write_zip(files: Mapping[str, Path], path: Path) -> None:
    unpacked = 0
    # Written beside its place and moved there whole, as another build may look for it meanwhile.
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
    info.create_system = 3  # Unix: only then are the modes read
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
                f"The agent's code is {size / 2**20:.1f} MiB {what}; AgentCore takes {limit // 2**20} MiB. "
                f"Shorten {REQUIREMENTS}, or deploy an image with agentImage."
            )
