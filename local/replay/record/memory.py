"""Where a replayed run keeps what it makes: in this process, and no more of it than the comparison needs.

The attempt, the steps and the conversations are those of `runtime/agent`; only what they write to ends here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from runtime.agent.artifacts import Artifact, ArtifactStore, Usage
from runtime.agent.errors import ArtifactMissing, TurnUnreadable
from runtime.agent.turns import StoredTurn, Turn, TurnStore
from runtime.journal.records import Event, ToolClaim
from runtime.journal.vocabulary import StepPhase
from runtime.journal.writer import JournalWriter

ANSWERS = ("model", "answer")
NO_CLIENT = cast("Any", None)
"""These ask nobody."""


@dataclass(slots=True)
class UnitStory:
    """What a step, or an item, did in the replay.

    :ivar turns: answers of its model
    """

    turns: int = 0
    usage: Usage = field(default_factory=Usage)
    begun: bool = False
    error_type: str | None = None
    error_message: str | None = None


class MemoryJournal(JournalWriter):
    """A journal that keeps what became of each step and item.

    :ivar stories: by step and item
    """

    def __init__(self) -> None:
        super().__init__(NO_CLIENT, "", ttl_days=1)
        self.stories: dict[tuple[str, int | None], UnitStory] = {}

    def _commit(self, event: Event, guards: list[Any], others: Sequence[Event] = (), *_: Any) -> None:
        del guards
        for each in (event, *others):
            if each.step:
                self._note(self.stories.setdefault((each.step, each.item), UnitStory()), each)

    def _note(self, story: UnitStory, event: Event) -> None:
        phase, detail = event.status.rpartition("_")[2], event.detail or {}
        if phase == StepPhase.STARTED:
            story.begun = True
        elif phase == StepPhase.FAILED:
            story.error_type, story.error_message = event.error_type, event.error_message
        elif phase == StepPhase.TURN and detail.get("after") in ANSWERS:
            story.turns += 1
            story.usage = Usage.of_detail(detail["tokens"])


class MemoryArtifacts(ArtifactStore):
    """Artifacts in a dictionary.

    :param taken: what is there from the beginning
    """

    def __init__(self, session_id: str, taken: Iterable[Artifact] = ()) -> None:
        super().__init__(NO_CLIENT, "")
        self.by_key = {artifact.key(session_id): artifact for artifact in taken}

    def finished(self, session_id: str) -> set[str]:
        """Return the keys of all artifacts."""
        return {*self.by_key} if session_id else set()

    def get(self, session_id: str, step: str, item: int | None = None, extension: str = "md") -> Artifact:
        """Return a step's artifact, or one of its items'.

        :raises ArtifactMissing: if it is not there
        """
        key = Artifact(step, "", Usage(), item, extension).key(session_id)
        if key not in self.by_key:
            raise ArtifactMissing(key)
        return self.by_key[key]

    def put(self, session_id: str, artifact: Artifact) -> Artifact:
        """Keep an artifact unless there is one, and return the one that is kept."""
        return self.by_key.setdefault(artifact.key(session_id), artifact)


class MemoryTurns(TurnStore):
    """Takes turns and forgets them: a replay is one attempt, and nothing goes on from them."""

    def __init__(self) -> None:
        super().__init__(NO_CLIENT, "")

    def keys(self, session_id: str) -> list[str]:
        """Return none."""
        del session_id
        return []

    def put(self, key: str, content: bytes) -> None:
        """Forget a turn."""

    def turn(self, key: str) -> Turn:
        """Refuse: none is kept."""
        raise TurnUnreadable(key, "a replay keeps none")

    def restored(self, key: str) -> StoredTurn:
        """Refuse: none is kept."""
        raise TurnUnreadable(key, "a replay keeps none")


def no_claims(_session_id: str, _step: str, _item: int | None) -> list[ToolClaim]:
    """Return what earlier attempts have claimed: there are none."""
    return []
