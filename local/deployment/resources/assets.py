"""Pulumi's assets and archives as bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Set
from pathlib import Path, PurePosixPath

import pulumi

from local.deployment.resources.resource import Refused


def file_bytes(asset: object) -> bytes:
    """Return what Pulumi would upload as one file.

    :raises Refused: if it is neither a file nor a text.
    :raises OSError: if the file can't be read.
    """
    match asset:
        case pulumi.StringAsset():
            return asset.text.encode()
        case pulumi.FileAsset() | pulumi.FileArchive():
            return Path(asset.path).read_bytes()
        case _:
            raise Refused(f"{type(asset).__name__} is not emulated, only files and texts are")


def archive_files(archive: object) -> dict[str, bytes]:
    """Return the files of an archive by their paths in it.

    :raises Refused: if a member is neither a file, a text, a directory, a zip nor an archive of those.
    :raises OSError: if a file can't be read.
    """
    return {path.as_posix(): content for path, content in _members(archive, PurePosixPath())}


def _members(archive: object, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, bytes]]:
    match archive:
        case pulumi.AssetArchive():
            for name, member in archive.assets.items():
                yield from _members(member, path / name)
        case pulumi.FileArchive() if Path(archive.path).is_dir():
            files = [file for file in Path(archive.path).rglob("*") if file.is_file()]
            for file in files:
                yield path / file.relative_to(archive.path).as_posix(), file.read_bytes()
        case pulumi.FileArchive():
            with zipfile.ZipFile(archive.path) as members:
                for name in members.namelist():
                    yield path / name, members.read(name)
        case _:
            yield path, file_bytes(archive)


def zip_bytes(files: dict[str, bytes], executable: Set[str] = frozenset()) -> bytes:
    """Return a zip that is reproducible: sorted by path, without dates."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o755 if name in executable else 0o644) << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
