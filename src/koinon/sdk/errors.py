"""What can go wrong with a call."""


class CallError(Exception):
    """A call did not take effect, or it is unknown whether it did."""


class ApiError(CallError):
    """The server answered a call with something other than success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}" if message else str(status))
        self.status = status  #: HTTP status
        self.message = message  #: the server's sentence

    @property
    def not_subscribed(self) -> bool:
        """The server does not know our subscription (any more): only a new one helps."""
        if self.status == 403:
            return "subscribed" in self.message or "not connected" in self.message
        return self.status in (307, 503)


class Undelivered(CallError):
    """No answer: there is no subscription, or the connection broke before the answer came."""


class CutOff(Undelivered):
    """There is no way to the server any more: the subscription is over, or no connection can be made."""

    def __init__(self, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent  #: the call was on its way, and may have taken effect


class StreamLost(ConnectionError):
    """The event stream ended or fell silent; the text says how."""


class FrameworkError(Exception):
    """The master ended the subscription with an ERROR event, for instance as another instance took over."""
