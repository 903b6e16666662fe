"""What a run cost, roughly, to see what its bill is made of.

Owns what a run used, as its journal and its execution tell; logs and traces are left out. What that costs is
`runbook.pricing`'s.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runbook.labels import TOKENS, amount
from runbook.pricing import CostItem, Usage, bill, prices, token_items, total
from runbook.steps import step_tokens, summed
from runbook.summary import RunSummary
from runbook.tables import WHOLE_NUMBER, Column, Table, Terminal
from runbook.waits import waits
from runtime.journal.records import Event
from runtime.journal.vocabulary import TERMINAL, Status, StepPhase

POLLED_EVENTS = 20
_PLAIN_PUTS = (Status.AGENT_INVOCATION_SUCCEEDED, Status.AGENT_INVOCATION_FAILED)


@dataclass(frozen=True, slots=True)
class StepCost:
    """What the model of one step cost.

    :ivar input_tokens: without those that came from a prompt cache or went into one
    :ivar items: how many of them have begun to cost; None for a step that runs once
    :ivar usd: None if the model has no price
    """

    step: str
    items: int | None
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    usd: float | None


class StepCosts(Table[StepCost]):
    """What the model cost, by step."""

    columns = (
        Column("step", "str", "step", Terminal.LINE),
        Column("items", WHOLE_NUMBER, "items", Terminal.LINE),
        Column("input_tokens", "int", "tokens in", Terminal.LINE, text="{:,}".format),
        Column("output_tokens", "int", "tokens out", Terminal.LINE, text="{:,}".format),
        Column("cache_read_tokens", "int", "cache hit", Terminal.LINE, text="{:,}".format),
        Column("cache_write_tokens", "int", "cached", Terminal.LINE, text="{:,}".format),
        Column("usd", "float", "USD", Terminal.LINE, text="{:.6f}".format),
    )


class Cost(Table[CostItem]):
    """What one run cost.

    :ivar steps: what the model cost, by step; in the sum already
    :ivar as_of: the date of the prices
    :ivar assumptions: what was assumed where nothing is measured
    """

    columns = (
        Column("item", "str", "item", Terminal.LINE),
        Column("quantity", "float", "quantity", Terminal.LINE, text=amount),
        Column("unit", "str", "unit", Terminal.LINE),
        Column("usd", "float", "USD", Terminal.LINE, text="{:.6f}".format),
    )

    def __init__(
        self,
        session_id: str,
        items: Iterable[CostItem],
        steps: StepCosts,
        as_of: str,
        assumptions: Mapping[str, float],
    ) -> None:
        super().__init__(items)
        self.session_id = session_id
        self.steps = steps
        self.as_of = as_of
        self.assumptions = assumptions

    @property
    def usd(self) -> float:
        """The sum of what has a price, in US dollars."""
        return total(list(self))

    @property
    def unpriced(self) -> list[str]:
        """What the sum leaves out because there is no price for it."""
        return [item.item for item in self if item.usd is None]

    def as_json(self) -> dict[str, Any]:
        """Return the estimate as plain values."""
        return {
            "sessionId": self.session_id,
            "usd": self.usd,
            "items": self.to_json(),
            "steps": self.steps.to_json(),
            "pricesAsOf": self.as_of,
            "assumptions": dict(self.assumptions),
            "unpriced": self.unpriced,
        }


def estimate(run: RunSummary, model_id: str, max_attempts: int, agent_seconds: float) -> Cost:
    """Return what a run cost so far.

    :param agent_seconds: from its first call to its end: while it waits for a person it has no environment
    """
    assumed: dict[str, float] = prices()["assumptions"]
    calls = sum(event.status == Status.AGENT_INVOCATION_STARTED for event in run.events)
    models = _own_models(run.events)
    steps = StepCosts(_step_costs(run.events, models, model_id))
    usage = Usage(
        **_tokens_of(step for step in steps if models.get(step.step, model_id) == model_id),
        agent_seconds=max(0.0, agent_seconds - run.waited_seconds),
        transitions=run.execution.state_transitions if run.execution else 0,
        function_requests=calls + 1,
        function_seconds=(run.invoker_seconds or 0) * calls,
        write_units=write_units(run.events, max_attempts),
        read_units=_read_units(run),
        artifacts_put=_artifacts(run.events),
        artifacts_read=assumed["artifactGetsPerRun"],
        events=assumed["eventsPerRun"],
    )
    others = [
        replace(item, item=f"{item.item}, {other}")
        for other in sorted({*models.values()} - {model_id})
        for item in token_items(Usage(**_tokens_of(step for step in steps if models.get(step.step) == other)), other)
    ]
    return Cost(run.session_id, [*others, *bill(usage, model_id)], steps, prices()["asOf"], assumed)


def _own_models(events: Iterable[Event]) -> dict[str, str]:
    """Return the models of the steps that have one of their own, as their turns say."""
    told = ((event.step, (event.detail or {}).get("model")) for event in events)
    return {step: model for step, model in told if step and model}


def _tokens_of(steps: Iterable[StepCost]) -> dict[str, float]:
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    found = list(steps)
    return {name: sum(getattr(step, name) for step in found) for name in names}


def _step_costs(events: Iterable[Event], models: Mapping[str, str], model_id: str) -> Iterator[StepCost]:
    for step, tokens in step_tokens(events).items():
        used = summed(tokens.values())
        read, wrote, hit, cached = (used.get(name, 0) for name in TOKENS)
        usage = Usage(input_tokens=read, output_tokens=wrote, cache_read_tokens=hit, cache_write_tokens=cached)
        priced = token_items(usage, models.get(step, model_id))
        usd = total(priced) if all(item.usd is not None for item in priced) else None
        yield StepCost(step, None if None in tokens else len(tokens), read, wrote, hit, cached, usd)


def write_units(events: Iterable[Event], max_attempts: int) -> int:
    """Return the write units of a run's events: in a transaction, each action counts twice.

    The most that it can be: steps at the same time share transactions, and the journal doesn't say which. A run of a
    stack that lets it ask, and that hasn't asked, is taken for one that can't: its writes check one record more.

    :param max_attempts: of each segment: up to the first wait, from one to the next, after the last

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
    """
    found = list(events)
    asking = [wait.attempt for wait in waits(found)]
    return sum(_write_units(event, max_attempts, asking) for event in found)


def _write_units(event: Event, max_attempts: int, asking: list[int]) -> int:
    size = math.ceil(_bytes(event) / 1024)
    if event.status in _PLAIN_PUTS:
        return size
    # The event, and the outcome or the condition that there is none; an agent's events look for later attempts, too.
    later_attempts = _later_attempts(event, max_attempts, asking)
    if event.status == Status.RUN_WAITING:
        # The wait has a unit of its own, and one in the index.
        return 2 * size + 2 + 2 * later_attempts + 3
    if event.status == Status.RUN_ANSWERED:
        # Two conditions: that the run is open, and that the wait is the one that was read. Then the answer.
        return 2 * size + 4 + 2 * size
    no_wait = 2 if asking and event.status != Status.SESSION_INITIATED else 0
    in_index = size if event.status in (*TERMINAL, Status.SESSION_INITIATED) else 0
    return 2 * size + 2 * max(size if in_index else 1, 1) + in_index + 2 * later_attempts + no_wait


def _later_attempts(event: Event, max_attempts: int, asking: Iterable[int]) -> int:
    """Return how many attempts may follow an agent's in its segment; attempts are counted over the whole run."""
    if not event.environment_id or not event.attempt:
        return 0
    first = max((attempt + 1 for attempt in asking if attempt < event.attempt), default=1)
    return max(0, first + max_attempts - 1 - event.attempt)


def _artifacts(events: Iterable[Event]) -> int:
    """As the journal tells, because the bucket may be gone: each finished step put one, or a copy of another run's."""
    return sum(
        event.status.endswith(f"_{StepPhase.COMPLETED}") or "takenFrom" in (event.detail or {})
        for event in events
        if event.step
    )


def _read_units(run: RunSummary) -> int:
    newest = list(run.events)[-POLLED_EVENTS:]
    return (run.execution.polls if run.execution else 0) * math.ceil(sum(map(_bytes, newest)) / 4096)


def _bytes(event: Event) -> int:
    return len(json.dumps(event.attributes(), ensure_ascii=False).encode())
