"""What a step's agent has said and heard, in S3: an object per turn, each put once, from which a later attempt goes on.

A turn holds what was added to the conversation since its parent, so that what is stored grows with the conversation and
not with its square. Each attempt writes under its own number: what a zombie still stores is on nobody's line.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.agent.artifacts import Usage
from runtime.agent.bucket import content_of, keys_below, put_new
from runtime.agent.errors import TurnUnreadable
from runtime.contract.request import check_session_id
from runtime.journal.keys import is_turn, turn_position, turn_prefix
from runtime.journal.waits import Question, parsed_questions

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")
VERSION = 1


class TurnKind(StrEnum):
    """What the conversation ends with; `runtime.journal.keys.TURN_KINDS` has their order."""

    MODEL = "m"
    """The model's answer, which asks for tools."""
    INTERRUPTED = "i"
    """The same, and some of its tools wait for a person."""
    TOOLS = "t"
    """The tools' results."""
    FINAL = "f"
    """The model's answer, which asks for none."""


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A call of a tool that must not happen twice, of which nobody knows whether it did.

    :ivar digest: of what the tool was given
    """

    turn: int
    call: int
    tool: str
    digest: str


@dataclass(frozen=True, slots=True)
class Interrupts:
    """What an interrupted turn waits for, and what is not done again when it goes on.

    Not Strands' own state of it, which is private: with these results the calls of the turn are simply made once more.

    :ivar questions: those that have no answer
    :ivar results: of the calls that have ended, in Strands' form, as JSON has it
    """

    questions: tuple[Question, ...]
    results: list[Any]

    @classmethod
    def parsed(cls, found: Mapping[str, Any]) -> "Interrupts":
        """Return what is stored.

        :raises ValueError: if these are no questions
        """
        return cls(tuple(parsed_questions(json.dumps(found["questions"]).encode())), list(found["results"]))


@dataclass(frozen=True, slots=True)
class Turn:
    """One stored turn.

    :ivar number: how many answers of the model the conversation has
    :ivar messages: what was added since the parent, or all of it where there is none: in Strands' form, as JSON has it
    :ivar parent: the key of the turn before it; None if this one holds the whole conversation
    :ivar usage: the tokens of the whole conversation, whichever attempt spent them
    :ivar unresolved: the calls whose outcome the model has been told is unknown
    :ivar interrupts: what waits for a person, in an interrupted turn
    :ivar definition: digest of the step's definition
    :ivar strands: the version of Strands
    """

    number: int
    kind: TurnKind
    messages: list[Any]
    parent: str | None
    usage: Usage
    unresolved: tuple[Unresolved, ...]
    interrupts: Interrupts | None
    definition: str
    strands: str

    def serialized(self) -> bytes:
        """Return the object's content."""
        document = {
            "version": VERSION,
            "turn": self.number,
            "kind": self.kind,
            "parent": self.parent,
            "messages": self.messages,
            "usage": self.usage.as_detail(),
            "unresolved": [[each.turn, each.call, each.tool, each.digest] for each in self.unresolved],
            "interrupts": asdict(self.interrupts) if self.interrupts else None,
            "definition": self.definition,
            "strands": self.strands,
        }
        return json.dumps(document, separators=(",", ":")).encode()

    @classmethod
    def parsed(cls, content: bytes) -> "Turn":
        """Return the turn of an object's content.

        :raises ValueError: if it is no turn of this version
        """
        try:
            document = json.loads(content)
            if document["version"] != VERSION:
                raise ValueError(f"it has version {document['version']!r}, and this agent reads {VERSION}")
            return cls(
                number=int(document["turn"]),
                kind=TurnKind(document["kind"]),
                messages=list(document["messages"]),
                parent=document["parent"],
                usage=Usage.of_detail(document["usage"]),
                unresolved=tuple(Unresolved(*each) for each in document["unresolved"]),
                interrupts=Interrupts.parsed(document["interrupts"]) if document["interrupts"] else None,
                definition=document["definition"],
                strands=document["strands"],
            )
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"it is not a turn: {error!r}") from error


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """The newest turn on a line, with the whole conversation.

    :ivar attempt: the attempt that stored it
    """

    key: str
    attempt: int
    newest: Turn
    messages: list[Any]


def turn_key(session_id: str, step: str, item: int | None, attempt: int, number: int, kind: TurnKind) -> str:
    """Return a turn's key."""
    return f"{turn_prefix(check_session_id(session_id), step, item)}{attempt:03}/{number:04}{kind}.json"


def definition_key(session_id: str, step: str, item: int | None, attempt: int) -> str:
    """Return the key of what an attempt's step was: its prompt, tools, model and first message."""
    return f"{turn_prefix(check_session_id(session_id), step, item)}{attempt:03}/definition.json"


def newest_of(keys: Iterable[str], session_id: str, step: str, item: int | None) -> str | None:
    """Return the key that a step or an item goes on from, of the highest attempt that has a turn. None if none has."""
    prefix = turn_prefix(session_id, step, item)
    turns = [key for key in keys if key.startswith(prefix) and is_turn(key)]
    return max(turns, key=turn_position, default=None)


def units_of(keys: Iterable[str], session_id: str) -> set[tuple[str, int | None]]:
    """Return the steps, and the numbers of their items, that have turns."""
    prefix = turn_prefix(session_id)
    names = {tuple(key.removeprefix(prefix).split("/")[:2]) for key in keys if key.count("/") > prefix.count("/") + 1}
    return {(step, None if item == "-" else int(item)) for step, item in names}


class TurnStore:
    """The turns of all runs of a stack. Methods block: call them from a thread.

    :raises botocore.exceptions.ClientError: from every method, if the bucket refuses
    :raises botocore.exceptions.BotoCoreError: from every method, if it doesn't answer, or its answer breaks off
    """

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def keys(self, session_id: str) -> list[str]:
        """Return the keys of all turns of a run, in no order that matters."""
        return [*keys_below(self._client, self._bucket, turn_prefix(check_session_id(session_id)))]

    def put(self, key: str, content: bytes) -> None:
        """Store an object unless it is there: only a try of this very put, whose answer was lost, can have put it."""
        put_new(self._client, self._bucket, key, content, "application/json", {})

    def turn(self, key: str) -> Turn:
        """Return one turn.

        :raises TurnUnreadable: if it is not there, or not a turn
        """
        return self._read(key, Turn.parsed)

    def questions(self, key: str) -> list[Question]:
        """Return what a run asked when it began to wait.

        :raises TurnUnreadable: if it is not there, or no questions
        """
        return self._read(key, parsed_questions)

    def _read(self, key: str, parse: Callable[[bytes], T]) -> T:
        try:
            content, _ = content_of(self._client, self._bucket, key)
            return parse(content)
        except self._client.exceptions.NoSuchKey as error:
            raise TurnUnreadable(key, "it is not in the bucket") from error
        except ValueError as error:
            raise TurnUnreadable(key, str(error)) from error

    def restored(self, key: str) -> StoredTurn:
        """Return a turn with the whole conversation, read along its line.

        :raises TurnUnreadable: if one of its turns can't be read
        """
        newest = turn = self.turn(key)
        parts, at = [turn.messages], key
        while turn.parent is not None:
            if turn_position(turn.parent) >= turn_position(at):
                raise TurnUnreadable(at, f"its parent {turn.parent} does not come before it")
            at = turn.parent
            turn = self.turn(at)
            parts.append(turn.messages)
        messages = [message for part in reversed(parts) for message in part]
        return StoredTurn(key, turn_position(key)[0], newest, messages)
