"""Who is told what became of a job: by mail, in chats, and by a call of a program's.

    Notice ──composed──▶ Delivery, Delivery … ──stored──▶ backlog ──sent──▶ forgotten
                                                   ▲          │
                                                   └──later───┘

- A *notice* is what happened. `texts` says it in words.
- A *delivery* is one message to one address on one *channel*: `mail`, `slack`, `mattermost`, `http`.
- The `Outbox` stores deliveries and sends them, again and again until somebody takes them or they are too old. Nothing
  waits for it: what is decided about jobs does not depend on a mail server.

A delivery leaves the store when it was taken. Between the two a leader may fail, and then its successor sends it once more.
"""

from koinon.chronos.notices.delivery import Channel, Delivery, compose
from koinon.chronos.notices.notice import Kind, Notice
from koinon.chronos.notices.outbox import Outbox
from koinon.chronos.notices.settings import Mail, Settings, Webhook

__all__ = [
    "Channel",
    "Delivery",
    "Kind",
    "Mail",
    "Notice",
    "Outbox",
    "Settings",
    "Webhook",
    "compose",
]
