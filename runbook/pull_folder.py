"""The folder of a pull on its way: what is written, and what an earlier pull that broke off has left.

Each file is written as a whole or not at all, and looked through for secrets. `manifest.partial.json` says which are
there; `manifest.json`, without which nobody reads the folder, is written last.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from runbook import pulled
from runbook.errors import FolderInUse
from runbook.pulled import Manifest, PulledRun, checked_name, digest_of
from runbook.redacting import secrets_in

PARTIAL = "manifest.partial.json"


class PullFolder:
    """The folder of one run.

    :param is_redacted: whether texts are changed before they are written
    :param manifest_of: makes the manifest of files with their checksums
    :ivar artifacts: the metadata of each artifact that is there, by its key in the run
    :ivar secrets: what looks like a secret: the kinds by the names of files
    """

    def __init__(
        self,
        directory: Path,
        session_id: str,
        manifest_of: Callable[[Mapping[str, str]], Manifest],
        *,
        is_redacted: bool,
    ) -> None:
        self.directory = directory
        self.artifacts: dict[str, Mapping[str, str]] = {}
        self.secrets: dict[str, list[str]] = {}
        self._session_id = session_id
        self._manifest_of = manifest_of
        self._is_redacted = is_redacted
        self._known: dict[str, str] = {}
        self._files: dict[str, str] = {}

    def finished(self) -> PulledRun | None:
        """Return the run if it is there to its end, and so was the run itself when it was pulled.

        :raises FolderInUse: if the folder holds something else
        :raises PulledRunUnusable: if something in it has changed
        """
        manifest = self.directory / pulled.MANIFEST
        if not manifest.exists():
            return None
        there = PulledRun.open(self.directory)
        self._check_same(there.manifest)
        if there.outcome:
            return there
        manifest.replace(self.directory / PARTIAL)
        return None

    def begin(self) -> None:
        """Take over what an interrupted pull has left.

        :raises FolderInUse: if the folder holds something else
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        if not (self.directory / PARTIAL).exists():
            if any(self.directory.iterdir()):
                raise FolderInUse(self.directory, "something else than a pulled run")
            self.save()
            return
        manifest = Manifest.read(self.directory / PARTIAL)
        self._check_same(manifest)
        self._known = {name: digest for name, digest in manifest.files.items() if self._is_as_written(name, digest)}
        if pulled.ARTIFACTS in self._known:
            self.artifacts = json.loads((self.directory / pulled.ARTIFACTS).read_bytes())

    def knows(self, name: str) -> bool:
        """Whether an interrupted pull has left a file."""
        return name in self._known

    def keep(self, name: str) -> bytes:
        """Take over a file that is known, and return its content."""
        self._files[name] = self._known[name]
        content = (self.directory / name).read_bytes()
        if kinds := secrets_in(content.decode(errors="replace")):
            self.secrets[name] = kinds
        return content

    def write(self, name: str, texts: Iterable[str]) -> None:
        """Write a file as a whole or not at all, and look through it for secrets."""
        path = self.directory / checked_name(self.directory, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        part, digest, kinds = path.with_name(f"{path.name}.part"), hashlib.sha256(), set[str]()
        with part.open("wb") as file:
            for text in texts:
                kinds.update(secrets_in(text))
                content = text.encode()
                digest.update(content)
                file.write(content)
        part.replace(path)
        self._files[name] = digest.hexdigest()
        if kinds:
            self.secrets[name] = sorted(kinds)

    def save(self) -> None:
        """Say what is there so far."""
        self._save(PARTIAL)

    def finish(self) -> PulledRun:
        """Say that all is there, and return the run."""
        manifest = self._save(pulled.MANIFEST)
        (self.directory / PARTIAL).unlink()
        return PulledRun(self.directory, manifest)

    def _save(self, name: str) -> Manifest:
        # Copied in one go: others may be writing.
        self.write(pulled.ARTIFACTS, [as_json(dict(sorted(self.artifacts.copy().items())))])
        files = self._files.copy()
        manifest = self._manifest_of(self._known | files if name == PARTIAL else files)
        path = self.directory / f"{name}.part"
        path.write_text(manifest.serialized(), encoding="utf-8")
        path.replace(self.directory / name)
        return manifest

    def _check_same(self, manifest: Manifest) -> None:
        if manifest.sessionId != self._session_id:
            raise FolderInUse(self.directory, f"run {manifest.sessionId}")
        if manifest.redacted != self._is_redacted:
            raise FolderInUse(self.directory, f"the run {'redacted' if manifest.redacted else 'as it was'}")

    def _is_as_written(self, name: str, digest: str) -> bool:
        path = self.directory / checked_name(self.directory, name)
        return path.is_file() and digest_of(path) == digest


def as_json(value: Any) -> str:
    """Return a document's text."""
    return json.dumps(value, indent=1) + "\n"
