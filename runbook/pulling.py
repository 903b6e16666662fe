"""A run with all that is known of it, brought into a folder that :mod:`runbook.pulled` reads.

One object, one event or one log line at a time (a few of them side by side): what it takes of memory grows with the
largest of them and with the number of keys, and not with the run. What was there already when a pull was interrupted is
not read again, but for the journal's records, which may have gone on.
"""

import hashlib
import heapq
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from runbook import pulled
from runbook.errors import FolderInUse, PulledRunUnusable
from runbook.logs import AgentLogs
from runbook.pulled import Manifest, PulledRun, checked_name, digest_of, local_name
from runbook.redacting import (
    Redact,
    redacted_artifact,
    redacted_definition,
    redacted_event,
    redacted_request,
    redacted_turn,
    secrets_in,
)
from runbook.runs import workflow_of
from runtime.agent.bucket import content_of, keys_below
from runtime.journal.keys import artifact_prefix, turn_prefix
from runtime.journal.reader import JournalReader
from runtime.journal.records import Event, RunMetadata
from runtime.journal.timestamps import to_timestamp, utc_now
from runtime.journal.vocabulary import Status, StepPhase, step_status

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PARTIAL = "manifest.partial.json"
AT_ONCE = 8
"""Objects that are read side by side: one after another, a thousand of them would take minutes."""
SAVED_EVERY = 100

Progress = Callable[[int, int], None]
"""Is told how many of how many objects are there."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a run is.

    :ivar stack: the stack's name
    :ivar days: on which its environments can have begun to write
    :ivar request: as it was given; the journal's copy where `is_given` is False
    """

    reader: JournalReader
    logs: AgentLogs
    s3: "S3Client"
    bucket: str
    stack: str
    days: list[date]
    request: Any
    is_given: bool


@dataclass(frozen=True, slots=True)
class Pulled:
    """What came of a pull.

    :ivar run: the folder
    :ivar secrets: what looks like a secret: the kinds by the names of files
    """

    run: PulledRun
    secrets: Mapping[str, list[str]]

    @property
    def said(self) -> list[str]:
        """What people should know of it, a sentence each."""
        manifest = self.run.manifest
        done = f"run {self.run.session_id} is in {self.run.directory}: {len(manifest.files)} files"
        looks = [f"looks like a secret: {', '.join(kinds)} in {name}" for name, kinds in sorted(self.secrets.items())]
        advice = ["look at these before you pass the folder on, or pull with --redact"] if looks else []
        return [done, *(f"not there: {sentence}" for sentence in manifest.missing), *looks, *advice]


@dataclass(slots=True)
class Pull:
    """One pull on its way.

    :ivar redact: changes a text before it is written; None leaves all as it is
    """

    metadata: RunMetadata
    sources: Sources
    directory: Path
    redact: Redact | None = None
    progress: Progress = lambda _done, _all: None
    _known: dict[str, str] = field(default_factory=dict[str, str])
    _files: dict[str, str] = field(default_factory=dict[str, str])
    _artifacts: dict[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    _missing: list[str] = field(default_factory=list[str])
    _secrets: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    _labels: dict[str, str] = field(default_factory=dict[str, str])

    def run(self) -> Pulled:
        """Pull what is not there yet.

        :raises FolderInUse: if the folder holds something else
        :raises RedactionFailed: if the hook can't change a text
        """
        if there := self._finished():
            return Pulled(there, {})
        self._known = known = self._begin()
        try:
            units, products = self._records()
            self._objects(units, products, known)
            self._write_log_lines()
        finally:
            self._save(PARTIAL)
        manifest = self._save(pulled.MANIFEST)
        (self.directory / PARTIAL).unlink()
        return Pulled(PulledRun(self.directory, manifest), self._secrets)

    # -- the folder

    def _finished(self) -> PulledRun | None:
        """Return the run if it is there to its end, and so was the run itself when it was pulled."""
        manifest = self.directory / pulled.MANIFEST
        if not manifest.exists():
            return None
        there = PulledRun.open(self.directory)
        self._check_same(there.manifest)
        if there.outcome:
            return there
        manifest.replace(self.directory / PARTIAL)
        return None

    def _begin(self) -> dict[str, str]:
        """Return what an interrupted pull has left: files with their checksums."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if not (self.directory / PARTIAL).exists():
            if any(self.directory.iterdir()):
                raise FolderInUse(self.directory, "something else than a pulled run")
            self._save(PARTIAL)
            return {}
        manifest = Manifest.read(self.directory / PARTIAL)
        self._check_same(manifest)
        known = {name: digest for name, digest in manifest.files.items() if self._is_as_written(name, digest)}
        if pulled.ARTIFACTS in known:
            self._artifacts = json.loads((self.directory / pulled.ARTIFACTS).read_bytes())
        return known

    def _check_same(self, manifest: Manifest) -> None:
        if manifest.sessionId != self.metadata.session_id:
            raise FolderInUse(self.directory, f"run {manifest.sessionId}")
        if manifest.redacted != bool(self.redact):
            raise FolderInUse(self.directory, f"the run {'redacted' if manifest.redacted else 'as it was'}")

    def _is_as_written(self, name: str, digest: str) -> bool:
        path = self.directory / checked_name(self.directory, name)
        return path.is_file() and digest_of(path) == digest

    def _manifest(self, files: Mapping[str, str]) -> Manifest:
        return Manifest(
            sessionId=self.metadata.session_id,
            pulledAt=to_timestamp(utc_now()),
            stack=self.sources.stack,
            workflow=workflow_of(self.metadata) or self._labels.get("workflow"),
            workflowDigest=self._labels.get("workflowDigest"),
            codeDigest=self._labels.get("codeDigest"),
            redacted=bool(self.redact),
            files=dict(sorted(files.items())),
            missing=tuple(dict.fromkeys(self._missing)),
        )

    def _save(self, name: str) -> Manifest:
        # Copied in one go: others may be writing.
        self._write(pulled.ARTIFACTS, [_json(dict(sorted(self._artifacts.copy().items())))])
        files = self._files.copy()
        manifest = self._manifest(self._known | files if name == PARTIAL else files)
        path = self.directory / f"{name}.part"
        path.write_text(manifest.serialized(), encoding="utf-8")
        path.replace(self.directory / name)
        return manifest

    def _write(self, name: str, texts: Iterable[str]) -> None:
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
            self._secrets[name] = sorted(kinds)

    # -- the journal

    def _records(self) -> tuple[set[tuple[str, int | None]], set[str]]:
        """Write the journal's records. Return the units whose turns, and the artifacts that, its events name."""
        session_id, reader = self.metadata.session_id, self.sources.reader
        if not self.sources.is_given:
            self._missing.append("Step Functions has forgotten the execution: the request is the journal's copy of it")
        request = redacted_request(self.sources.request, self.redact) if self.redact else self.sources.request
        self._write(pulled.METADATA, [_json(pulled.metadata_document(self.metadata, request))])
        outcome = reader.outcome(session_id)
        if outcome is None:
            self._missing.append("the run has no outcome yet: what it still does is not in the folder")
        self._write(pulled.OUTCOME, [_json(self._attributes(outcome) if outcome else None)])
        units, products = set[tuple[str, int | None]](), set[str]()
        self._write(pulled.EVENTS, self._event_lines(units, products))
        claims = [
            asdict(claim) | {"shown": self.redact(claim.shown) if self.redact else claim.shown}
            for claim in reader.tool_claims(session_id)
        ]
        self._write(pulled.CLAIMS, [_json(claims)])
        self._write(pulled.ANSWERS, [_json([])])
        return units, products

    def _event_lines(self, units: set[tuple[str, int | None]], products: set[str]) -> Iterator[str]:
        begins = False
        for event in self.sources.reader.events(self.metadata.session_id):
            begins = begins or event.status == Status.SESSION_INITIATED
            detail = event.detail or {}
            self._labels |= {
                name: detail[name] for name in ("workflow", "workflowDigest", "codeDigest") if name in detail
            }
            if event.step and event.status == step_status(event.step, StepPhase.TURN):
                units.add((event.step, event.item))
            if "artifact" in detail:
                products.add(detail["artifact"])
            yield _line(self._attributes(event))
        if not begins:
            self._missing.append("the run's first events have expired")

    def _attributes(self, event: Event) -> dict[str, Any]:
        attributes = event.attributes()
        return redacted_event(attributes, self.redact) if self.redact else attributes

    # -- the bucket

    def _objects(self, told: set[tuple[str, int | None]], products: set[str], known: Mapping[str, str]) -> None:
        """Bring the objects that are not there; a unit's turns one after another, as each names the one before it."""
        from runtime.agent.turns import units_of

        session_id = self.metadata.session_id
        artifacts, keys = self._keys(artifact_prefix(session_id)), self._keys(turn_prefix(session_id))
        self._missing += [f"artifact {key} is not in the bucket any more" for key in sorted(products - {*artifacts})]
        units = units_of(keys, session_id)
        self._missing += [f"the turns of {_shown(unit)} are not in the bucket any more" for unit in told - units]
        by_place = defaultdict[str, list[str]](list)
        for key in keys:
            by_place["/".join(key.split("/")[:4])].append(key)
        works: list[Callable[[], int]] = [partial(self._bring_artifact, key, known) for key in artifacts]
        for step, item in sorted(units, key=str):
            place = turn_prefix(session_id, step, item).rstrip("/")
            works.append(partial(self._bring_unit, step, item, by_place[place], known))
        self._work_off(works, len(artifacts) + len(keys))

    def _work_off(self, works: Iterable[Callable[[], int]], objects: int) -> None:
        done = saved = 0
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                for ended in as_completed([pool.submit(work) for work in works]):
                    done += ended.result()
                    self.progress(done, objects)
                    if done - saved >= SAVED_EVERY:
                        saved = done
                        self._save(PARTIAL)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _keys(self, prefix: str) -> list[str]:
        return [*keys_below(self.sources.s3, self.sources.bucket, prefix)]

    def _bring_artifact(self, key: str, known: Mapping[str, str]) -> int:
        name = local_name(key, self.metadata.session_id)
        short = name.removeprefix("artifacts/")
        if name in known and short in self._artifacts:
            self._keep(name, known)
        elif found := self._read(key):
            text, metadata = found
            if self.redact:
                text = redacted_artifact(text, self.redact, is_json=key.endswith(".json"))
            self._write(name, [text])
            self._artifacts[short] = metadata
        return 1

    def _bring_unit(self, step: str, item: int | None, keys: list[str], known: Mapping[str, str]) -> int:
        """Bring a unit's turns from the newest back to the first, and what its step was in their attempts."""
        from runtime.agent.turns import newest_of

        session_id = self.metadata.session_id
        attempts = {key.split("/")[4] for key in keys if key.endswith(f"/{pulled.DEFINITION}")}
        wanted = {max(attempts)} if attempts else set[str]()
        key: str | None = newest_of(keys, session_id, step, item)
        brought = set[str]()
        while key and key not in brought:
            brought.add(key)
            wanted.add(key.split("/")[4])
            turn = self._bring_document(key, known, redacted_turn)
            key = turn.get("parent") if turn else None
        for attempt in wanted & attempts:
            place = f"{turn_prefix(session_id, step, item)}{attempt}/{pulled.DEFINITION}"
            self._bring_document(place, known, redacted_definition)
        return len(keys)

    def _bring_document(
        self, key: str, known: Mapping[str, str], redacted: Callable[[Mapping[str, Any], Redact], dict[str, Any]]
    ) -> dict[str, Any] | None:
        name = local_name(key, self.metadata.session_id)
        if name in known:
            self._keep(name, known)
            return json.loads((self.directory / name).read_bytes())
        found = self._read(key)
        if found is None:
            return None
        try:
            document = json.loads(found[0])
        except ValueError as error:
            raise PulledRunUnusable(Path(key), f"it is not JSON: {error}") from error
        self._write(name, [_compact(redacted(document, self.redact)) if self.redact else found[0]])
        return document

    def _keep(self, name: str, known: Mapping[str, str]) -> None:
        self._files[name] = known[name]
        if kinds := secrets_in((self.directory / name).read_bytes().decode(errors="replace")):
            self._secrets[name] = kinds

    def _read(self, key: str) -> tuple[str, dict[str, str]] | None:
        try:
            content, metadata = content_of(self.sources.s3, self.sources.bucket, key)
        except self.sources.s3.exceptions.NoSuchKey:
            self._missing.append(f"{key} is not in the bucket any more")
            return None
        return content.decode(), dict(metadata)

    # -- the logs

    def _write_log_lines(self) -> None:
        try:
            self._write(pulled.LOGS, self._log_lines())
        except (ClientError, BotoCoreError) as error:
            self._missing.append(f"the log could not be read: {error}")
            self._write(pulled.LOGS, [])

    def _log_lines(self) -> Iterator[str]:
        streams = self.sources.logs.each_line(self.metadata.session_id, self.sources.days)
        if not streams:
            self._missing.append("the log has no stream of this run: it has expired, or no environment worked on it")
        for line in heapq.merge(*streams, key=lambda line: line.at):
            raw = self.redact(line.raw) if self.redact else line.raw
            yield _line({"at": to_timestamp(line.at), "environmentId": line.environment_id, "raw": raw})


def _json(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"


def _line(value: Any) -> str:
    return _compact(value) + "\n"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _shown(unit: tuple[str, int | None]) -> str:
    step, item = unit
    return step if item is None else f"{step} [{item}]"
