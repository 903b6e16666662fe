"""What an agent asks a person: a tool for questions of its own, and which calls of tools wait for an answer.

It knows nothing of Strands, so that a workflow can list the tool; `conversation.py` stops at what waits, `waiting.py`
does so for the whole run.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.agent.tool_call import tool_call
from runtime.journal.waits import Answer, Question, Wants

if TYPE_CHECKING:
    from runtime.agent.definition import Step
    from runtime.agent.turns import Interrupts


async def ask(question: str) -> str:
    """Ask a person what only a person can know or decide. The answer may take days; nothing else is done meanwhile.

    Args:
        question: with all that is needed to answer it, as the person sees nothing else of this work
    """
    del question
    # Who calls this has the answer by then.
    return tool_call().answer


@dataclass(frozen=True, slots=True)
class Asked:
    """What a step, or an item, ended with instead of a result: it goes on when a person has answered."""

    questions: tuple[Question, ...]


class Asking:
    """What one unit asks about the calls of its model's newest answer.

    :param item: its number, where it is one
    :param answers: to the questions of the wait before this segment of the run
    :param interrupts: of the stored turn that the unit goes on from
    :ivar results: of the calls that need not be made again, by the ids of the calls
    :ivar open: the questions that have no answer
    """

    def __init__(
        self, step: "Step", item: int | None, answers: Mapping[Question, Answer], interrupts: "Interrupts | None" = None
    ) -> None:
        self._step = step
        self._item = item
        self._answers = answers
        self._asked = {question.place: question for question in interrupts.questions} if interrupts else {}
        self.results: dict[str, Any] = {each["toolUseId"]: each for each in interrupts.results} if interrupts else {}
        self.open: list[Question] = []

    def question(self, turn: int, call: int, tool: str, given: Any) -> Question | None:
        """Return what a person has to say about a call before it is made, or None if nothing.

        What was asked once stays a question, whatever the step's definition says by now.

        :param given: the call's input
        """
        place = self._step.name, self._item, turn, call
        wants = self._step.wants.get(tool)
        if place in self._asked or wants is None:
            return self._asked.get(place)
        return Question(*place, tool, wants, _text(wants, given))

    def answer(self, question: Question) -> Answer | None:
        """Return what a person has said to exactly this question: not to one of another text at its place."""
        return self._answers.get(question)

    def end_turn(self) -> None:
        """Forget what was kept for the calls of an answer whose results are all there."""
        self._asked, self.results = {}, {}


def still_asked(interrupts: "Interrupts | None", answers: Mapping[Question, Answer]) -> Asked | None:
    """Return what a stored turn goes on asking, or None if it asks nothing or has an answer."""
    if interrupts is None or any(question in answers for question in interrupts.questions):
        return None
    return Asked(interrupts.questions)


def refusal(question: Question, answer: Answer) -> str:
    """Return what the model is told in place of a call's result: that no person has approved it, or answered."""
    if question.wants is Wants.TEXT:
        said = "Nobody has answered this question in time." if answer.expired else "The person did not answer this."
    elif answer.expired:
        said = f"This call of {question.tool} was not made: nobody has approved it in time."
    else:
        said = f"This call of {question.tool} was not made: the person who was asked did not approve it."
    return f"{said} They said: {answer.text}" if answer.text else said


def _text(wants: Wants, given: Any) -> str:
    own = given.get("question") if wants is Wants.TEXT and isinstance(given, dict) else None
    text = own if isinstance(own, str) else json.dumps(given, ensure_ascii=False, default=str)
    # As it comes back from the bucket: half a surrogate pair does not.
    return text.encode("utf-8", "replace").decode()
