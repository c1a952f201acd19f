"""An agent as it is, but what it hears from masters is written down before it is acted on.

python -m tests.partitions.watched_agent JOURNAL NAME --master=… --work_dir=…
"""

import sys
from pathlib import Path

from koinon.agent import server
from koinon.mesos import internal
from tests.partitions.journal import Journal


def main() -> int:
    """Run it; returns its exit status."""
    path, name, *flags = sys.argv[1:]
    journal, decode = Journal(Path(path), name), internal.decode_from_master

    def watched(data: bytes) -> list[internal.MasterMessage]:
        messages = decode(data)
        for message in messages:
            match message:
                case internal.Registered():
                    told = {
                        "agent": message.agent_id,
                        "master": message.master_id,
                        "cluster": message.cluster,
                        "epoch": message.epoch,
                    }
                case internal.RunTask():
                    told = {"task": message.task.task_id.value}
                case internal.KillTask() | internal.Acknowledge():
                    told = {"task": message.task_id}
                case internal.Shutdown() | internal.Refused():
                    told = {"message": message.message}
                case _:
                    told = {}
            journal.write(type(message).__name__, **told)
        return messages

    internal.decode_from_master = watched
    return server.main(flags)


if __name__ == "__main__":
    sys.exit(main())
