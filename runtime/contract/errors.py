"""What a message is refused with. The class name is interface: the journal and the state machine show it."""


class InvalidRequest(ValueError):
    """What was asked can't be run: one field of it is not what it has to be."""

    def __init__(self, field: str, was: str, allowed: str) -> None:
        super().__init__(f"{field} is {was}: it must be {allowed}")
        self.field = field
        self.was = was
        self.allowed = allowed
