"""The settings of the local AgentCore data plane.

Owns names, defaults and their limits. A runtime's own settings (idle timeout, maximum lifetime) are in the control
plane.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class DataPlaneSettings:
    """Defaults are AWS's if AWS has any.

    :ivar port: on 127.0.0.1; 0 for any free one.
    :ivar max_environments: sessions that may be active at once; spares don't count.
    :ivar queue_seconds: how long a new session waits for another to end before it is refused. AWS refuses at once, but
        allows thousands.
    :ivar warm_spares: environments kept ready per runtime version, so that a new session needn't wait.
    :ivar start_limit_seconds: from the start of a process to its first answer to /ping.
    :ivar request_limit_seconds: how long an agent may take for one request.
    :ivar stop_grace_seconds: from SIGTERM to SIGKILL.
    :ivar stop_delay_seconds: from StopRuntimeSession, or another end, to SIGTERM; about 0.4 on AWS.
    :ivar teardown_seconds: how long a stopped session stays in transition after its process has ended, while every
        request for it is answered 409; 11 to 60 have been observed on AWS.
    :ivar ping_interval_seconds: how often environments are checked, and so how promptly they are reclaimed.
    :ivar unhealthy_after_seconds: how long /ping may fail before the environment is replaced.
    :ivar lifecycle_factor: multiplies each runtime's idle timeout and maximum lifetime; for tests.
    :ivar agent_endpoint_url: the AWS endpoint that agents get, for instance a proxy that injects faults; None for the
        emulator itself.
    """

    port: int = 0
    max_environments: int = 8
    queue_seconds: float = 20.0
    warm_spares: int = 1
    start_limit_seconds: float = 60.0
    request_limit_seconds: float = 900.0
    stop_grace_seconds: float = 1.5
    stop_delay_seconds: float = 0.0
    teardown_seconds: float = 0.0
    ping_interval_seconds: float = 2.0
    unhealthy_after_seconds: float = 60.0
    lifecycle_factor: float = 1.0
    agent_endpoint_url: str | None = None

    def __post_init__(self) -> None:
        """
        :raises ValueError: if a number is negative, or one that must not be is zero.
        """
        may_be_zero = {"port", "warm_spares", "queue_seconds", "stop_delay_seconds", "teardown_seconds"}
        for setting in fields(self):
            value = getattr(self, setting.name)
            if not isinstance(value, int | float):
                continue
            if value < 0 or (value == 0 and setting.name not in may_be_zero):
                allowed = "0 or more" if setting.name in may_be_zero else "more than 0"
                raise ValueError(f"DataPlaneSettings.{setting.name} is {value}: it must be {allowed}")
