"""What is raised for schedules and time zones that mean nothing."""


class Wrong(ValueError):
    """Says in one sentence, which holds the text in question, why it is refused."""
