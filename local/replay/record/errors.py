"""Why a replay can't begin, and where one has to stop."""


class Stop(Exception):
    """Base of what ends a step of a replay that the code itself would not have ended."""


class ReplayError(Exception):
    """A run can't be replayed like that: the folder can't be used, or what was asked for can't be done."""


class RequestDiffers(Stop):
    """A model was asked something else than in the recorded run.

    :ivar unit: the step, or the item of a step
    :ivar part: what differs first: `prompt`, `tools`, `form of the result` or `messages`
    :ivar diff: from what was recorded to what is asked now, as a unified diff
    """

    def __init__(self, unit: str, turn: int, part: str, diff: str) -> None:
        super().__init__(f"step {unit} asks its model something else in turn {turn}, first in the {part}")
        self.unit = unit
        self.turn = turn
        self.part = part
        self.diff = diff


class NotRecorded(Stop):
    """A tool is called in a way for which there is no recorded result."""

    def __init__(self, unit: str, tool: str, given: str) -> None:
        super().__init__(f"step {unit} calls {tool}({given}), which has no recorded result: run it with --tools {tool}")
        self.unit = unit
        self.tool = tool


class NotApproved(Stop):
    """A tool would really be called, and no person has approved this call in the recorded run."""

    def __init__(self, unit: str, tool: str, given: str) -> None:
        super().__init__(f"step {unit} calls {tool}({given}), which nobody has approved in the recorded run")
        self.unit = unit
        self.tool = tool


class RecordEnds(Stop):
    """All that goes on in the run has come to the end of what was recorded."""

    def __init__(self, unit: str, *, begun: bool) -> None:
        what = "has no further answer of its model" if begun else "never asked its model"
        super().__init__(f"step {unit} {what} in the recorded run")
        self.unit = unit


class RecordedError(Stop):
    """An error of the recorded run, raised again. The class of each has the recorded name."""


def recorded_error(error_type: str, message: str) -> RecordedError:
    """Return an error with a recorded class name and message."""
    return type(error_type, (RecordedError,), {})(message)
