"""A run with all that is known of it, brought into a folder that :mod:`runbook.pulled` reads.

One object, one event or one log line at a time (a few of them side by side): what it takes of memory grows with the
largest of them and with the number of keys, and not with the run. What was there already when a pull was interrupted is
not read again, but for the journal's records, which may have gone on.
"""

import heapq
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from runbook import pulled
from runbook.errors import PulledRunUnusable
from runbook.logs import AgentLogs
from runbook.pull_folder import PullFolder, as_json
from runbook.pulled import Manifest, PulledRun, PulledWait, local_name
from runbook.redacting import (
    Redact,
    redacted_artifact,
    redacted_definition,
    redacted_event,
    redacted_request,
    redacted_turn,
    redacted_wait,
)
from runbook.runs import workflow_of
from runtime.agent.bucket import content_of, keys_below
from runtime.journal.keys import artifact_prefix, is_questions, turn_prefix
from runtime.journal.reader import JournalReader
from runtime.journal.records import Event, RunMetadata
from runtime.journal.timestamps import to_timestamp, utc_now
from runtime.journal.vocabulary import Status, StepPhase, step_status
from runtime.journal.waits import Question, Wait, parsed_questions

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

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


class Pull:
    """One pull on its way.

    :param redact: changes a text before it is written; None leaves all as it is
    """

    def __init__(
        self,
        metadata: RunMetadata,
        sources: Sources,
        directory: Path,
        redact: Redact | None = None,
        progress: Progress = lambda _done, _all: None,
    ) -> None:
        self._metadata = metadata
        self._sources = sources
        self._redact = redact
        self._progress = progress
        self._missing: list[str] = []
        self._labels: dict[str, str] = {}
        self._folder = PullFolder(directory, metadata.session_id, self._manifest, is_redacted=bool(redact))

    def run(self) -> Pulled:
        """Pull what is not there yet.

        :raises FolderInUse: if the folder holds something else
        :raises RedactionFailed: if the hook can't change a text
        """
        folder = self._folder
        if there := folder.finished():
            return Pulled(there, {})
        folder.begin()
        try:
            units, products = self._records()
            self._objects(units, products)
            self._write_log_lines()
        finally:
            folder.save()
        return Pulled(folder.finish(), folder.secrets)

    def _manifest(self, files: Mapping[str, str]) -> Manifest:
        return Manifest(
            sessionId=self._metadata.session_id,
            pulledAt=to_timestamp(utc_now()),
            stack=self._sources.stack,
            workflow=workflow_of(self._metadata) or self._labels.get("workflow"),
            workflowDigest=self._labels.get("workflowDigest"),
            codeDigest=self._labels.get("codeDigest"),
            redacted=bool(self._redact),
            files=dict(sorted(files.items())),
            missing=tuple(dict.fromkeys(self._missing)),
        )

    # -- the journal

    def _records(self) -> tuple[set[tuple[str, int | None]], set[str]]:
        """Write the journal's records. Return the units whose turns, and the artifacts that, its events name."""
        session_id, reader = self._metadata.session_id, self._sources.reader
        if not self._sources.is_given:
            self._missing.append("Step Functions has forgotten the execution: the request is the journal's copy of it")
        request = redacted_request(self._sources.request, self._redact) if self._redact else self._sources.request
        self._folder.write(pulled.METADATA, [as_json(pulled.metadata_document(self._metadata, request))])
        outcome = reader.outcome(session_id)
        if outcome is None:
            self._missing.append("the run has no outcome yet: what it still does is not in the folder")
        self._folder.write(pulled.OUTCOME, [as_json(self._attributes(outcome) if outcome else None)])
        units, products = set[tuple[str, int | None]](), set[str]()
        self._folder.write(pulled.EVENTS, self._event_lines(units, products))
        claims = [
            asdict(claim) | {"shown": self._redact(claim.shown) if self._redact else claim.shown}
            for claim in reader.tool_claims(session_id)
        ]
        self._folder.write(pulled.CLAIMS, [as_json(claims)])
        self._folder.write(pulled.ANSWERS, [as_json([self._wait(wait) for wait in reader.waits_of(session_id)])])
        return units, products

    def _wait(self, wait: Wait) -> dict[str, Any]:
        """Return what a wait asked, of the object that its record names, and what it was told."""
        answered, questions = self._sources.reader.answered(wait), list[Question]()
        if found := self._read(wait.key):
            try:
                questions = parsed_questions(found[0].encode())
            except ValueError as error:
                self._missing.append(f"{wait.key} can't be read: {error}")
        document = PulledWait.of(wait, questions, answered).as_document()
        return redacted_wait(document, self._redact) if self._redact else document

    def _event_lines(self, units: set[tuple[str, int | None]], products: set[str]) -> Iterator[str]:
        begins = False
        for event in self._sources.reader.events(self._metadata.session_id):
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
        return redacted_event(attributes, self._redact) if self._redact else attributes

    # -- the bucket

    def _objects(self, told: set[tuple[str, int | None]], products: set[str]) -> None:
        """Bring the objects that are not there; a unit's turns one after another, as each names the one before it."""
        from runtime.agent.turns import units_of

        session_id = self._metadata.session_id
        artifacts = self._keys(artifact_prefix(session_id))
        keys = [key for key in self._keys(turn_prefix(session_id)) if not is_questions(key)]
        self._missing += [f"artifact {key} is not in the bucket any more" for key in sorted(products - {*artifacts})]
        units = units_of(keys, session_id)
        self._missing += [f"the turns of {_shown(unit)} are not in the bucket any more" for unit in told - units]
        by_place = defaultdict[str, list[str]](list)
        for key in keys:
            by_place["/".join(key.split("/")[:4])].append(key)
        works: list[Callable[[], int]] = [partial(self._bring_artifact, key) for key in artifacts]
        for step, item in sorted(units, key=str):
            place = turn_prefix(session_id, step, item).rstrip("/")
            works.append(partial(self._bring_unit, step, item, by_place[place]))
        self._work_off(works, len(artifacts) + len(keys))

    def _work_off(self, works: Iterable[Callable[[], int]], objects: int) -> None:
        done = saved = 0
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                for ended in as_completed([pool.submit(work) for work in works]):
                    done += ended.result()
                    self._progress(done, objects)
                    if done - saved >= SAVED_EVERY:
                        saved = done
                        self._folder.save()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _keys(self, prefix: str) -> list[str]:
        return [*keys_below(self._sources.s3, self._sources.bucket, prefix)]

    def _bring_artifact(self, key: str) -> int:
        folder, name = self._folder, local_name(key, self._metadata.session_id)
        short = name.removeprefix("artifacts/")
        if folder.knows(name) and short in folder.artifacts:
            folder.keep(name)
        elif found := self._read(key):
            text, metadata = found
            if self._redact:
                text = redacted_artifact(text, self._redact, is_json=key.endswith(".json"))
            folder.write(name, [text])
            folder.artifacts[short] = metadata
        return 1

    def _bring_unit(self, step: str, item: int | None, keys: list[str]) -> int:
        """Bring a unit's turns from the newest back to the first, and what its step was in their attempts."""
        from runtime.agent.turns import newest_of

        session_id = self._metadata.session_id
        attempts = {key.split("/")[4] for key in keys if key.endswith(f"/{pulled.DEFINITION}")}
        wanted = {max(attempts)} if attempts else set[str]()
        key: str | None = newest_of(keys, session_id, step, item)
        brought = set[str]()
        while key and key not in brought:
            brought.add(key)
            wanted.add(key.split("/")[4])
            turn = self._bring_document(key, redacted_turn)
            key = turn.get("parent") if turn else None
        for attempt in wanted & attempts:
            place = f"{turn_prefix(session_id, step, item)}{attempt}/{pulled.DEFINITION}"
            self._bring_document(place, redacted_definition)
        return len(keys)

    def _bring_document(
        self, key: str, redacted: Callable[[Mapping[str, Any], Redact], dict[str, Any]]
    ) -> dict[str, Any] | None:
        name = local_name(key, self._metadata.session_id)
        if self._folder.knows(name):
            return json.loads(self._folder.keep(name))
        found = self._read(key)
        if found is None:
            return None
        try:
            document = json.loads(found[0])
        except ValueError as error:
            raise PulledRunUnusable(Path(key), f"it is not JSON: {error}") from error
        self._folder.write(name, [_compact(redacted(document, self._redact)) if self._redact else found[0]])
        return document

    def _read(self, key: str) -> tuple[str, dict[str, str]] | None:
        try:
            content, metadata = content_of(self._sources.s3, self._sources.bucket, key)
        except self._sources.s3.exceptions.NoSuchKey:
            self._missing.append(f"{key} is not in the bucket any more")
            return None
        return content.decode(), dict(metadata)

    # -- the logs

    def _write_log_lines(self) -> None:
        try:
            self._folder.write(pulled.LOGS, self._log_lines())
        except (ClientError, BotoCoreError) as error:
            self._missing.append(f"the log could not be read: {error}")
            self._folder.write(pulled.LOGS, [])

    def _log_lines(self) -> Iterator[str]:
        streams = self._sources.logs.each_line(self._metadata.session_id, self._sources.days)
        if not streams:
            self._missing.append("the log has no stream of this run: it has expired, or no environment worked on it")
        for line in heapq.merge(*streams, key=lambda line: line.at):
            raw = self._redact(line.raw) if self._redact else line.raw
            yield _line({"at": to_timestamp(line.at), "environmentId": line.environment_id, "raw": raw})


def _line(value: Any) -> str:
    return _compact(value) + "\n"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _shown(unit: tuple[str, int | None]) -> str:
    step, item = unit
    return step if item is None else f"{step} [{item}]"
