"""The agent's settings, from the environment variables that the stack gives it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What the stack tells its agent.

    :ivar lease_seconds: how long the agent counts as alive after a sign of life
    :ivar journal_ttl_days: days after which the journal may delete records
    :ivar parallel_steps: how many steps, and items of steps, are worked on at the same time
    :ivar max_tokens: that the models of a run may read and write; 0: any
    :ivar wakes: whether the state machine waits to be woken (`completion: callback`)
    :ivar max_waits: how often a run may wait for a person
    :ivar answer_seconds: how long a person has to answer
    """

    journal_table: str
    artifact_bucket: str
    model_id: str
    region: str
    lease_seconds: int
    journal_ttl_days: int
    parallel_steps: int
    max_tokens: int = 0
    wakes: bool = False
    max_waits: int = 0
    answer_seconds: int = 86_400

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "AgentSettings":
        """Return the settings of an environment.

        :raises KeyError: if a variable is missing; the message is its name
        """
        return cls(
            journal_table=environ["JOURNAL_TABLE"],
            artifact_bucket=environ["ARTIFACT_BUCKET"],
            model_id=environ["MODEL_ID"],
            region=environ["AWS_REGION"],
            lease_seconds=int(environ["LEASE_SECONDS"]),
            journal_ttl_days=int(environ["JOURNAL_TTL_DAYS"]),
            parallel_steps=int(environ["PARALLEL_STEPS"]),
            max_tokens=int(environ.get("MAX_TOKENS", "0")),
            wakes=environ.get("COMPLETION") == "callback",
            max_waits=int(environ.get("MAX_WAITS", "0")),
            answer_seconds=int(environ.get("ANSWER_SECONDS", "86400")),
        )
