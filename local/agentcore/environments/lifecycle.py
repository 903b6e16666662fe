"""When an execution environment must end.

Owns the rules, as a pure function of what was observed when; `local.agentcore.environments.environment` observes and
acts.

Measured on AWS: an open request does not keep a session alive whose agent reports `Healthy`; only `HealthyBusy` does.
https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-lifecycle-settings.html
"""

from __future__ import annotations

from dataclasses import dataclass

from local.agentcore.environments.agent_client import PingStatus


@dataclass(frozen=True)
class LifecycleLimits:
    """The limits, in seconds."""

    idle: float
    max_lifetime: float
    unhealthy: float


class Lifecycle:
    """What was observed of one environment. Times are seconds of any one clock.

    It begins with the session: a spare may wait without limit.
    """

    def __init__(self, limits: LifecycleLimits, now: float) -> None:
        self._limits = limits
        self._began_at = self._active_at = self._healthy_at = now

    def saw_request(self, now: float) -> None:
        """Record that a request arrived, or ended."""
        self._active_at = now

    def saw_ping(self, status: PingStatus | None, now: float) -> None:
        """Record the agent's answer to /ping; None for no answer."""
        if status is not None:
            self._healthy_at = now
        if status is PingStatus.HEALTHY_BUSY:
            self._active_at = now

    def reason_to_end(self, now: float) -> str | None:
        """Why it must end now, for people to read; None if it may go on."""
        if now - self._healthy_at > self._limits.unhealthy:
            return f"no healthy answer to GET /ping for {self._limits.unhealthy:g} seconds"
        if now - self._began_at > self._limits.max_lifetime:
            return f"its maximum lifetime of {self._limits.max_lifetime:g} seconds is over"
        if now - self._active_at > self._limits.idle:
            return f"idle for {self._limits.idle:g} seconds"
        return None
