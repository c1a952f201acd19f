"""What has been: every run of every job, in an SQL database, for people and for statistics.

Nothing is decided by the history, and nothing waits for it: it has its own threads, and a database that is away is tried
again while the runs that it has not got are kept.

- `History`: keeps runs and the ends of their output, within `Bounds`, and finds them again.
- `HistoryError`, and of these `Away`: what may mend by itself.
- `Query`: which runs somebody asks for.

SQLite serves one machine and needs nothing; PostgreSQL by its URL serves several schedulers of which one leads.
"""

from koinon.chronos.history.database import Away, HistoryError
from koinon.chronos.history.history import Bounds, History
from koinon.chronos.history.output import Output
from koinon.chronos.history.queries import Query

__all__ = ["Away", "Bounds", "History", "HistoryError", "Output", "Query"]
