"""A run in a folder, as `runbook pull` writes it: read without an account, and only if it is as it was written.

A `manifest.json` names each file with its checksum. Turns and definitions are the bucket's objects as they were,
and only those of the line that won: what a zombie stored besides is not there.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from runbook.errors import PulledRunUnusable
from runtime.journal.keys import artifact_prefix, is_turn, turn_position, turn_prefix
from runtime.journal.records import Event, RunMetadata, ToolClaim
from runtime.journal.timestamps import from_timestamp, to_timestamp
from runtime.journal.waits import Answer, AnsweredWait, Question, Wait, parsed_questions

if TYPE_CHECKING:
    from runtime.agent.turns import Turn

VERSION = 1
MANIFEST = "manifest.json"
METADATA, OUTCOME, EVENTS, CLAIMS = "metadata.json", "outcome.json", "events.jsonl", "claims.json"
ANSWERS, ARTIFACTS, LOGS = "answers.json", "artifacts.json", "logs.jsonl"
DEFINITION = "definition.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a pulled folder says of itself.

    :ivar pulledAt: when, in the journal's form
    :ivar workflowDigest: of the workflow's definition as the run had it, None if nothing says it
    :ivar codeDigest: of the agent's code as the run had it, None if nothing says it
    :ivar redacted: whether a hook has changed texts
    :ivar files: each file's path in the folder, with its SHA-256 in hexadecimal digits
    :ivar missing: a sentence for each thing that had expired or could not be read
    """

    # Named as in the file.
    sessionId: str  # noqa: N815
    pulledAt: str  # noqa: N815
    stack: str
    workflow: str | None
    workflowDigest: str | None  # noqa: N815
    codeDigest: str | None  # noqa: N815
    redacted: bool
    files: Mapping[str, str]
    missing: Sequence[str] = ()

    def serialized(self) -> str:
        """Return the file's text."""
        document = {"version": VERSION, **asdict(self)}
        return json.dumps(document | {"checksum": _checksum(document)}, indent=1) + "\n"

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Return the manifest in a file.

        :raises PulledRunUnusable: if there is none, or it is not as it was written
        """
        try:
            document: Any = json.loads(path.read_bytes())
            if (found := document.pop("version")) != VERSION:
                raise PulledRunUnusable(path, f"it has version {found!r}, and this runbook reads {VERSION}")
            if document.pop("checksum") != _checksum({"version": VERSION, **document}):
                raise PulledRunUnusable(path, "it has changed since it was written")
            return cls(**document)
        except FileNotFoundError:
            raise PulledRunUnusable(path, "it is not there: this is no folder of `runbook pull` to its end") from None
        except (ValueError, RecursionError, AttributeError, KeyError, TypeError) as error:
            raise PulledRunUnusable(path, f"it is not a manifest: {error!r}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledWait:
    """What the run asked people once, and what it was told.

    :ivar questions: none if they were not in the bucket any more
    :ivar answers: one for each question, in order; None if there was no answer when the run was pulled
    :ivar by: who answered; None where nobody did
    :ivar expired: whether nobody did in time, which is a denial
    """

    wait: int
    questions: tuple[Question, ...]
    answers: tuple[Answer, ...] | None
    by: str | None
    expired: bool

    @property
    def said(self) -> list[tuple[Question, Answer | None]]:
        """Each question with its answer."""
        return [*zip(self.questions, self.answers or [None] * len(self.questions), strict=False)]

    @classmethod
    def of(cls, wait: Wait, questions: Sequence[Question], answered: AnsweredWait | None) -> "PulledWait":
        """Return what a wait and its answers came to."""
        answers, by = (answered.answers, answered.by or None) if answered else (None, None)
        expired = bool(answers) and all(answer.expired for answer in answers)
        return cls(wait=wait.number, questions=tuple(questions), answers=answers, by=by, expired=expired)

    @classmethod
    def of_document(cls, values: Mapping[str, Any]) -> "PulledWait":
        """Return the wait of a document."""
        questions = parsed_questions(json.dumps(values["questions"]).encode())
        answers = None if values["answers"] is None else tuple(Answer(**each) for each in values["answers"])
        expired = values["expired"]
        return cls(wait=values["wait"], questions=tuple(questions), answers=answers, by=values["by"], expired=expired)

    def as_document(self) -> dict[str, Any]:
        """Return it as `answers.json` has it."""
        return asdict(self)


class PulledRun:
    """One run's records, artifacts, turns and log lines. Made by :meth:`open`.

    Numbers of items are from 0, and None for a step that runs once.

    :ivar directory: the folder
    :ivar manifest: what it says of itself
    """

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.directory = directory
        self.manifest = manifest

    @classmethod
    def open(cls, directory: Path | str) -> "PulledRun":
        """Return the run in a folder, once all its files are found to be as they were written.

        :raises PulledRunUnusable: if one is not, or is not there
        """
        directory = Path(directory)
        manifest = Manifest.read(directory / MANIFEST)
        for name, digest in manifest.files.items():
            path = directory / checked_name(directory, name)
            if not path.is_file():
                raise PulledRunUnusable(path, "it is not there")
            if digest_of(path) != digest:
                raise PulledRunUnusable(path, "it has changed since it was written")
        return cls(directory, manifest)

    @property
    def session_id(self) -> str:
        """The run's id."""
        return self.manifest.sessionId

    @property
    def metadata(self) -> RunMetadata:
        """What the run was asked to do: its request as it was given, a retry's fields included."""
        values = self._json(METADATA)
        return RunMetadata(
            session_id=values["sessionId"],
            created_at=from_timestamp(values["createdAt"]),
            expires_at=values["expiresAt"],
            execution_arn=values["executionArn"],
            request=values["request"],
            bounds=values["bounds"],
            workflow=values["workflow"],
        )

    @property
    def outcome(self) -> Event | None:
        """The run's terminal event; None if it had none."""
        found = self._json(OUTCOME)
        return Event.from_attributes(found) if found else None

    def events(self) -> Iterator[Event]:
        """Give the run's events, in the order of their times."""
        return (Event.from_attributes(values) for values in self._lines(EVENTS))

    def claims(self) -> list[ToolClaim]:
        """Return the calls of tools that were claimed, because they must not happen twice."""
        return [ToolClaim(**values) for values in self._json(CLAIMS)]

    def waits(self) -> list[PulledWait]:
        """Return what the run asked people, and what it was told, in order."""
        return [PulledWait.of_document(values) for values in self._json(ANSWERS)]

    def log_lines(self) -> Iterator[dict[str, Any]]:
        """Give the agent's log lines: `{"at", "environmentId", "raw"}` each, in the order of their times."""
        return self._lines(LOGS)

    # -- artifacts

    def artifacts(self) -> dict[str, dict[str, str]]:
        """Return each artifact's metadata by its key in the run, which is the object's without the run's prefix."""
        return self._json(ARTIFACTS)

    def artifact(self, key: str) -> str:
        """Return an artifact's text.

        :param key: in the run, as :meth:`artifacts` has it
        :raises KeyError: if the run has no such artifact
        """
        return (self.directory / self._known(f"artifacts/{key}")).read_bytes().decode()

    # -- turns

    def units(self) -> list[tuple[str, int | None]]:
        """Return the steps, and the numbers of their items, that have turns or a definition."""
        places = {tuple(path.split("/")[1:3]) for path in self.manifest.files if path.startswith("turns/")}
        units = [(step, None if item == "-" else int(item)) for step, item in places]
        return sorted(units, key=lambda unit: (unit[0], -1 if unit[1] is None else unit[1]))

    def turns(self, step: str, item: int | None = None) -> list["Turn"]:
        """Return a conversation's turns in order, from the one that holds all that was said before it.

        :raises PulledRunUnusable: if one can't be read, or its parent is not there
        """
        # The agent's own module imports boto3.
        from runtime.agent.turns import Turn

        found: list[Turn] = []
        path = max(self._unit_files(step, item, is_turn), key=turn_position, default=None)
        while path:
            try:
                found.append(Turn.parsed((self.directory / path).read_bytes()))
            except ValueError as error:
                raise PulledRunUnusable(self.directory / path, str(error)) from error
            path = self._parent(path, found[-1].parent)
        return found[::-1]

    def definition(self, step: str, item: int | None = None) -> dict[str, Any]:
        """Return what a step was in the newest attempt that defined it.

        :return: `prompt`, `tools`, `result`, `model`, `strands`, `digest` and `message`, the conversation's first
        :raises KeyError: if there is none
        """
        paths = self._unit_files(step, item, lambda name: name.endswith(f"/{DEFINITION}"))
        if not paths:
            raise KeyError(f"{step}{'' if item is None else f' [{item}]'} has no definition")
        return self._json(max(paths))

    def _parent(self, path: str, key: str | None) -> str | None:
        if key is None:
            return None
        parent = local_name(key, self.session_id)
        if parent not in self.manifest.files or turn_position(parent) >= turn_position(path):
            raise PulledRunUnusable(self.directory / path, f"the turn before it, {parent}, is not there")
        return parent

    def _unit_files(self, step: str, item: int | None, wanted: Callable[[str], bool]) -> list[str]:
        prefix = turn_prefix("", step, item).replace("//", "/")
        return [name for name in self.manifest.files if name.startswith(prefix) and wanted(name)]

    def _known(self, name: str) -> str:
        if name not in self.manifest.files:
            raise KeyError(f"{self.directory} has no {name}")
        return name

    def _json(self, name: str) -> Any:
        return json.loads((self.directory / self._known(name)).read_bytes())

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        with (self.directory / self._known(name)).open("rb") as file:
            for line in file:
                yield json.loads(line)


def local_name(key: str, session_id: str) -> str:
    """Return where a key of the bucket is in the folder."""
    for prefix, folder in ((turn_prefix(session_id), "turns/"), (artifact_prefix(session_id), "artifacts/")):
        if key.startswith(prefix):
            return folder + key.removeprefix(prefix)
    return key


def checked_name(directory: Path, name: str) -> str:
    """Return a file's path in the folder if it is in the folder.

    :raises PulledRunUnusable: if it leads out of it
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        raise PulledRunUnusable(directory / MANIFEST, f"it names {name!r}, which is not in the folder")
    return name


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def metadata_document(metadata: RunMetadata, request: object) -> dict[str, Any]:
    """Return what `metadata.json` holds of a run."""
    return {
        "sessionId": metadata.session_id,
        "createdAt": to_timestamp(metadata.created_at),
        "expiresAt": metadata.expires_at,
        "executionArn": metadata.execution_arn,
        "request": request,
        "bounds": dict(metadata.bounds),
        "workflow": metadata.workflow,
    }


def _checksum(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
