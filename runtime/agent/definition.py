"""What a workflow is made of: steps, in an order, each an agent or plain code. All of it is checked when it is made.

Which workflows there are is in `workflow.py`, how they are run in `steps.py`.
"""

import hashlib
import inspect
import json
import re
import typing
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, TypeAlias, cast

from pydantic import BaseModel, RootModel, TypeAdapter, create_model

from runtime.agent.asking import ask
from runtime.agent.errors import InvalidWorkflow
from runtime.contract.request import RunRequest
from runtime.journal.vocabulary import STEP_NAME, check_step_name
from runtime.journal.waits import Wants

PROMPTS = Path(__file__).parent / "prompts"
_REFERENCE = re.compile(r'"#/\$defs/([^"]+)"')
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolSpecification.html"""


@dataclass(frozen=True, slots=True)
class StepInput:
    """What a step's code gets.

    :ivar results: of the steps that it comes after, by name and in order: text, what their `result` says, or a list of
        these for a step with `each`
    :ivar item: for a step with `each`, what it is to work on
    :ivar idempotency_key: the same in each try of this step, and item, of this run
    """

    request: RunRequest
    results: Mapping[str, Any]
    item: Any
    idempotency_key: str


Work: TypeAlias = Callable[[StepInput], Coroutine[Any, Any, Any]]
"""Plain code as a step: returns its text, or what the step's `result` says.

It has a thread and an event loop of its own, so it may block. It may run more than once: an attempt that is lost
before its artifact is stored is followed by another.
"""


class Items(BaseModel):
    """A result that is no object by itself, a list for instance."""

    items: Any


@dataclass(frozen=True)
class Step:
    """One step of a workflow: an agent with a prompt, or plain code.

    :ivar name: 1 to 40 of a-z, 0-9 and _, a letter first
    :ivar prompt_file: an agent's system prompt, a file in `prompts/`
    :ivar tools: functions that the agent may call; see `earlier_runs.py`
    :ivar work: the code in an agent's place
    :ivar after: the steps that it comes after; None for the one before it, () for none
    :ivar each: a step with a list as its result: this one runs once for each item of it, of a hundred at most
    :ivar approve: names of tools each call of which a person has to approve; these are also `once`
    :ivar once: names of tools whose calls must not happen twice: each is claimed in the journal before it is made, and
        not made again where an earlier attempt may have made it
    :ivar model: the id of its own Bedrock model; the stack's, if left out
    :ivar result: a pydantic model, or a list of these or of plain types; without it the result is text
    :raises InvalidStepName: if the name can't become part of an event's status
    :raises InvalidWorkflow: if there are both prompt and code or neither, code with tools or that is not async, no such
        file, a tool once or approved that is none of its tools, a result that JSON can't hold, or an agent's result
        that contains itself
    """

    name: str
    prompt_file: str | None = None
    tools: Sequence[Callable[..., Any]] = ()
    work: Work | None = None
    after: tuple[str, ...] | None = None
    each: str | None = None
    result: Any = None
    once: Sequence[str] = ()
    approve: Sequence[str] = ()
    model: str | None = None

    def __post_init__(self) -> None:
        check_step_name(self.name)
        if (self.prompt_file is None) == (self.work is None):
            raise InvalidWorkflow(f"step {self.name} needs either a prompt file or work, and not both")
        if self.work and (self.tools or self.once or self.approve):
            raise InvalidWorkflow(f"step {self.name} is plain code: tools are for steps with a prompt file")
        if self.work:
            self._check_work(self.work)
        for field in ("tools", "after", "once", "approve"):
            given = getattr(self, field)
            if not (isinstance(given, (tuple, list)) or (field == "after" and given is None)):
                example = "(read_run,)" if field == "tools" else '("read_run",)'
                wrong = f"step {self.name} has {field}={given!r}, which has to be a tuple, such as {example}"
                raise InvalidWorkflow(wrong)
        if self.prompt_file is not None and self.prompt_file not in {path.name for path in PROMPTS.iterdir()}:
            raise InvalidWorkflow(f"step {self.name} has the prompt file {self.prompt_file}, which is not in {PROMPTS}")
        self._check_agent()
        if self.result is not None:
            self._check_result()

    def _check_agent(self) -> None:
        for made in self.tools:
            if not (callable(made) or hasattr(made, "tool_name")):
                raise InvalidWorkflow(f"step {self.name} has the tool {made!r}, which is no function")
        if twice := _more_than_once(map(name_of, self.tools)):
            raise InvalidWorkflow(f"step {self.name} has two tools of the name {twice}")
        for field in ("once", "approve"):
            self._check_names(field)
        if self.work and self.model:
            raise InvalidWorkflow(f"step {self.name} is plain code: a model is for steps with a prompt file")

    def _check_names(self, field: str) -> None:
        names = {name_of(made) for made in self.tools}
        for named in getattr(self, field):
            if not isinstance(named, str):
                raise InvalidWorkflow(f"step {self.name} has {field}={named!r}: what is meant is a tool's name, a text")
            if named not in names:
                raise InvalidWorkflow(f"step {self.name} has {field}={named}, which is none of its tools")

    def _check_work(self, work: Work) -> None:
        if not inspect.iscoroutinefunction(work):
            raise InvalidWorkflow(f"step {self.name} has the work {name_of(work)}, which is no async function")
        try:
            inspect.signature(work).bind(None)
        except TypeError:
            wrong = f"step {self.name} has the work {name_of(work)}, which has to take one argument, the step's input"
            raise InvalidWorkflow(wrong) from None

    def _check_result(self) -> None:
        try:
            schema = self.adapter.json_schema()
        except Exception as error:
            why = str(error).splitlines()[0]
            raise InvalidWorkflow(
                f"step {self.name} has the result {self.result!r}, which is no type of data: {why}"
            ) from None
        if self.work is None and _contains_itself(schema):
            raise InvalidWorkflow(
                f"step {self.name} has the result {self.result!r}, which contains itself: no model can be told its form"
            )

    @property
    def runs_once(self) -> frozenset[str]:
        """The names of the tools whose calls must not happen twice."""
        return frozenset((*self.once, *self.approve))

    @property
    def wants(self) -> dict[str, Wants]:
        """What a person has to say before a tool is called, by the tool's name."""
        texts = {name_of(made): Wants.TEXT for made in self.tools if made is ask}
        return dict.fromkeys(self.approve, Wants.APPROVAL) | texts

    @property
    def asks(self) -> bool:
        """Whether the step may have to wait for a person."""
        return bool(self.wants)

    @property
    def system_prompt(self) -> str:
        """The text of the prompt file."""
        return (PROMPTS / (self.prompt_file or "")).read_text(encoding="utf-8")

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Reads and writes the step's results."""
        return TypeAdapter(self.result)

    @property
    def gives_list(self) -> bool:
        """Whether the result is a list."""
        given = typing.get_args(self.result)[0] if typing.get_origin(self.result) is Annotated else self.result
        return typing.get_origin(given) is list

    @cached_property
    def result_object(self) -> type[BaseModel] | None:
        """The result as what a model's tools take, an object: itself, or one whose `items` it is. None for text.

        Made once: Strands keeps what it has made of it for good.
        """
        found = self.result
        is_object = isinstance(found, type) and issubclass(found, BaseModel) and not issubclass(found, RootModel)
        # A generic class has brackets in its name.
        if found is None or (is_object and _TOOL_NAME.fullmatch(found.__name__)):
            return found
        # A docstring of its own, as it is what the model is told of it.
        doc = f"The result of step {self.name}."
        return create_model(self.name, __base__=Items, __doc__=doc, items=(found, ...))

    def described(self) -> dict[str, Any]:
        """Return all that decides what the step does, as JSON has it."""
        return {
            "name": self.name,
            "prompt": self.system_prompt if self.prompt_file else None,
            "tools": [name_of(tool) for tool in self.tools],
            "work": name_of(self.work) if self.work else None,
            "after": self.after,
            "each": self.each,
            "result": None if self.result is None else self.adapter.json_schema(),
            "once": [*self.once],
            "approve": [*self.approve],
            "model": self.model,
        }


@dataclass(frozen=True)
class Workflow:
    """Steps that work on a request; the last one's result is the run's report.

    :ivar name: like a step's

    :raises InvalidWorkflow: if there is no step, two have one name, one needs what doesn't come before it, `each` names
        a step that gives no list or runs once per item itself, or the last step runs once per item
    """

    name: str
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        # Most who write one have no type checker.
        steps: Any = self.steps
        if not STEP_NAME.fullmatch(str(self.name)):
            raise InvalidWorkflow(f"workflow name {self.name!r} is not 1 to 40 of a-z, 0-9 and _, a letter first")
        if not (isinstance(steps, tuple) and all(isinstance(step, Step) for step in cast("Sequence[object]", steps))):
            raise InvalidWorkflow(f"workflow {self.name} has no tuple of steps: is a comma missing after the only one?")
        if not self.steps:
            raise InvalidWorkflow(f"workflow {self.name} has no step")
        if twice := _more_than_once(step.name for step in self.steps):
            raise InvalidWorkflow(f"workflow {self.name} has two steps of the name {twice}: one would hide the other")
        earlier: dict[str, Step] = {}
        for step in self.steps:
            self._check_order(step, earlier)
            earlier[step.name] = step
        if self.steps[-1].each:
            last = self.steps[-1].name
            raise InvalidWorkflow(f"step {last} is the last one and runs once per item: a report has to be one result")

    def _check_order(self, step: Step, earlier: Mapping[str, Step]) -> None:
        for need in self.needs(step):
            if need not in earlier:
                known = ", ".join(earlier) or "none"
                raise InvalidWorkflow(f"step {step.name} comes after {need}, but the steps before it are: {known}")
        if step.each and not earlier[step.each].gives_list:
            raise InvalidWorkflow(f"step {step.name} runs for each item of {step.each}, whose result is not a list")
        if step.each and earlier[step.each].each:
            raise InvalidWorkflow(
                f"step {step.name} runs for each item of {step.each}, which runs once per item itself: one level is all"
            )

    def needs(self, step: Step) -> tuple[str, ...]:
        """Return the names of the steps that one comes right after, in order."""
        if step.after is None:
            before = self.steps[: self.steps.index(step)][-1:]
            needed = {found.name for found in before}
        else:
            needed = set(step.after)
        if step.each:
            needed.add(step.each)
        return tuple(sorted(needed, key=self._position))

    def all_needs(self, step: Step) -> tuple[str, ...]:
        """Return the names of the steps that one comes after, directly or not, in order."""
        by_name = {found.name: found for found in self.steps}
        found: set[str] = set()
        todo = [*self.needs(step)]
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += self.needs(by_name[name])
        return tuple(sorted(found, key=self._position))

    def _position(self, name: str) -> int:
        names = [step.name for step in self.steps]
        return names.index(name) if name in names else len(names)

    @property
    def asks(self) -> bool:
        """Whether one of the steps may have to wait for a person."""
        return any(step.asks for step in self.steps)

    @cached_property
    def digest(self) -> str:
        """What changes when the workflow does: 12 characters."""
        text = json.dumps([step.described() for step in self.steps], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def table(*workflows: Workflow) -> dict[str, Workflow]:
    """Return workflows by name, the default first.

    :raises InvalidWorkflow: if two have one name
    """
    if twice := _more_than_once(workflow.name for workflow in workflows):
        raise InvalidWorkflow(f"there are two workflows of the name {twice}")
    return {workflow.name: workflow for workflow in workflows}


def _contains_itself(schema: Mapping[str, Any]) -> bool:
    needs = {name: _REFERENCE.findall(json.dumps(found)) for name, found in schema.get("$defs", {}).items()}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError:
        return True
    return False


def name_of(function: Any) -> str:
    """Return the name that a model knows a tool by; a function's own."""
    return str(getattr(function, "tool_name", None) or getattr(function, "__name__", type(function).__name__))


def _more_than_once(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)
