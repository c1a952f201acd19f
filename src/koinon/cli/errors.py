"""What a command says when it cannot go on."""


class Failure(Exception):
    """One clear sentence for the person; ends the command with `exit_status`."""

    def __init__(self, sentence: str, exit_status: int = 1) -> None:
        super().__init__(sentence)
        self.exit_status = exit_status
