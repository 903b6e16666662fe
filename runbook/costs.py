"""What a run cost, roughly: what it used, times the list prices of `prices.json`.

An estimate, to see what a run's bill is made of. Owns the arithmetic; free tiers, discounts, storage, logs and
traces are left out. AgentCore bills processor time and memory as they were used, which nobody tells us per run:
the shares assumed for them are in `prices.json`, too.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from runbook.labels import amount
from runbook.summary import RunSummary
from runbook.tables import Column, Table, Terminal
from runtime.journal.records import Event
from runtime.journal.vocabulary import TERMINAL, Status, StepPhase

PRICES = Path(__file__).with_name("prices.json")
POLLED_EVENTS = 20
_PLAIN_PUTS = (Status.AGENT_INVOCATION_SUCCEEDED, Status.AGENT_INVOCATION_FAILED)


@dataclass(frozen=True, slots=True)
class CostItem:
    """One line of a bill.

    :ivar usd: None if there is no price for it
    """

    item: str
    quantity: float
    unit: str
    usd: float | None


class Cost(Table[CostItem]):
    """What one run cost.

    :ivar as_of: the date of the prices
    :ivar assumptions: what was assumed where nothing is measured
    """

    columns = (
        Column("item", "str", "item", Terminal.LINE),
        Column("quantity", "float", "quantity", Terminal.LINE, text=amount),
        Column("unit", "str", "unit", Terminal.LINE),
        Column("usd", "float", "USD", Terminal.LINE, text="{:.6f}".format),
    )

    def __init__(self, session_id: str, items: Iterable[CostItem], as_of: str, assumptions: Mapping[str, float]):
        super().__init__(items)
        self.session_id = session_id
        self.as_of = as_of
        self.assumptions = assumptions

    @property
    def usd(self) -> float:
        """The sum of what has a price, in US dollars."""
        return sum(item.usd or 0.0 for item in self)

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
            "pricesAsOf": self.as_of,
            "assumptions": dict(self.assumptions),
            "unpriced": self.unpriced,
        }


def estimate(run: RunSummary, model_id: str, max_attempts: int, agent_seconds: float) -> Cost:
    """Return what a run cost so far.

    :param agent_seconds: how long it had an execution environment
    """
    prices = _prices()
    per_unit: dict[str, float] = prices["perUnit"]
    assumed: dict[str, float] = prices["assumptions"]
    calls = sum(event.status == Status.AGENT_INVOCATION_STARTED for event in run.events)
    quantities = [
        ("agent processor", agent_seconds / 3600 * assumed["agentVcpuShare"], "vCPU-hours", "agentVcpuHour"),
        ("agent memory", agent_seconds / 3600 * assumed["agentGb"], "GB-hours", "agentGbHour"),
        ("state machine", run.execution.state_transitions if run.execution else 0, "transitions", "stateTransition"),
        ("function", calls + 1, "requests", "functionRequest"),
        ("function time", (run.invoker_seconds or 0) * calls * assumed["functionGb"], "GB-s", "functionGbSecond"),
        ("journal writes", write_units(run.events, max_attempts), "units", "journalWriteUnit"),
        ("journal reads", _read_units(run), "units", "journalReadUnit"),
        ("artifacts written", _artifacts(run.events), "requests", "artifactPut"),
        ("artifacts read", assumed["artifactGetsPerRun"], "requests", "artifactGet"),
        ("events", assumed["eventsPerRun"], "events", "event"),
    ]
    items = [CostItem(item, float(number), unit, number * per_unit[key]) for item, number, unit, key in quantities]
    return Cost(run.session_id, [*_token_items(run.events, model_id), *items], prices["asOf"], assumed)


def write_units(events: Iterable[Event], max_attempts: int) -> int:
    """Return the write units of a run's events: in a transaction, each action counts twice.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
    """
    return sum(_write_units(event, max_attempts) for event in events)


def _write_units(event: Event, max_attempts: int) -> int:
    size = math.ceil(_bytes(event) / 1024)
    if event.status in _PLAIN_PUTS:
        return size
    in_index = size if event.status in (*TERMINAL, Status.SESSION_INITIATED) else 0
    # The event, and the outcome or the condition that there is none; an agent's events look for later attempts, too.
    later_attempts = max_attempts - (event.attempt or max_attempts) if event.environment_id else 0
    return 2 * size + 2 * max(size if in_index else 1, 1) + in_index + 2 * later_attempts


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


def _token_items(events: Iterable[Event], model_id: str) -> list[CostItem]:
    # Of the steps and not of the outcome: a run that failed has paid for the steps that it finished.
    steps = [event.detail["tokens"] for event in events if event.step and event.detail and "tokens" in event.detail]
    price = token_price(model_id)
    return [
        CostItem(f"model {kind}", float(number), "tokens", number / 1e6 * price[kind] if price else None)
        for kind in ("input", "output")
        for number in [sum(int(tokens[f"{kind}Tokens"]) for tokens in steps)]
    ]


def token_price(model_id: str) -> Mapping[str, float] | None:
    """Return the price of a million tokens, `input` and `output`, or None for a model without one.

    :param model_id: of a foundation model or an inference profile
    """
    prices = _prices()
    known = sorted((name for name in prices["perMillionTokens"] if name in model_id), key=len)
    if not known:
        return None
    surcharge = prices["regionalSurcharge"]
    regional = model_id.startswith(tuple(surcharge["profiles"])) and known[-1] in surcharge["models"]
    factor = 1 + surcharge["share"] if regional else 1.0
    return {kind: price * factor for kind, price in prices["perMillionTokens"][known[-1]].items()}


@cache
def _prices() -> dict[str, Any]:
    return json.loads(PRICES.read_text(encoding="utf-8"))
