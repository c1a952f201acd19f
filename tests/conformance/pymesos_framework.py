"""A framework on pymesos' scheduler driver that remembers what it is told, so that tests can wait for it."""

import getpass
import threading
import time
import uuid
from collections import defaultdict

from pymesos import MesosSchedulerDriver, Scheduler


class Waiting:
    """Something that drivers tell on their thread and tests wait for on theirs."""

    def __init__(self):
        self.changed = threading.Condition()

    def wait(self, holds, timeout_s=15.0):
        """The first true value of `holds(self)`."""
        deadline = time.monotonic() + timeout_s
        with self.changed:
            while not (value := holds(self)):
                left = deadline - time.monotonic()
                assert left > 0, f"what was waited for did not come: {vars(self)}"
                self.changed.wait(left)
            return value

    def _note(self, change):
        with self.changed:
            change()
            self.changed.notify_all()


class Recorder(Waiting, Scheduler):
    """Keeps everything the driver reports."""

    def __init__(self):
        super().__init__()
        self.framework_id = None
        self.offers = {}
        self.updates = defaultdict(list)
        self.messages = []
        self.lost_agents = []
        self.lost_executors = []
        self.errors = []
        self.reregistrations = 0
        self.disconnections = 0

    def states(self, task_id):
        """The states a task was reported in, in order."""
        return [status["state"] for status in self.updates[task_id]]

    # ── what the driver calls ─────────────────────────────────────────────────────────────────────
    def registered(self, driver, framework_id, master_info):
        self._note(lambda: setattr(self, "framework_id", framework_id["value"]))

    def reregistered(self, driver, master_info):
        self._note(lambda: setattr(self, "reregistrations", self.reregistrations + 1))

    def disconnected(self, driver):
        self._note(lambda: setattr(self, "disconnections", self.disconnections + 1))

    def resourceOffers(self, driver, offers):
        self._note(lambda: self.offers.update((offer["id"]["value"], offer) for offer in offers))

    def offerRescinded(self, driver, offer_id):
        self._note(lambda: self.offers.pop(offer_id["value"], None))

    def statusUpdate(self, driver, status):
        self._note(lambda: self.updates[status["task_id"]["value"]].append(status))

    def frameworkMessage(self, driver, executor_id, agent_id, message):
        self._note(lambda: self.messages.append((executor_id["value"], message)))

    def slaveLost(self, driver, agent_id):
        self._note(lambda: self.lost_agents.append(agent_id["value"]))

    def executorLost(self, driver, executor_id, agent_id, status):
        self._note(lambda: self.lost_executors.append((executor_id["value"], status)))

    def error(self, driver, message):
        driver.stop(True)  # an error ends the subscription; the driver by itself would subscribe again
        self._note(lambda: self.errors.append(message))


class Framework:
    """A running driver and its recorder. Use it as a context manager: leaving tears the framework down."""

    def __init__(self, master, *, framework_id=None, **info):
        described = {"user": getpass.getuser(), "name": "pymesos", "checkpoint": True, **info}
        if framework_id is not None:
            described["id"] = {"value": framework_id}
        self.seen = Recorder()
        self.driver = MesosSchedulerDriver(self.seen, described, master)
        self._detector = None

    def __enter__(self):
        self.driver.start()
        self._detector = self.driver.detector
        return self

    def __exit__(self, *failure):
        self.stop()

    def stop(self, *, failover=False):
        """Ends the driver; with `failover` the framework and its tasks stay."""
        self.driver.stop(failover)
        self.driver.join()
        if self._detector is not None:  # which is stopped, but has left its client of ZooKeeper open
            self._detector.zk.close()

    def take_offer(self):
        """Waits for an offer and uses it up."""
        self.seen.wait(lambda seen: seen.offers)
        with self.seen.changed:
            return self.seen.offers.popitem()[1]

    def launch(self, command=None, *, cpus=0.1, mem=32, **fields):
        """Launches one task on the next offer and answers its id."""
        offer = self.take_offer()
        task_id = f"task-{uuid.uuid4()}"
        task = {
            "task_id": {"value": task_id},
            "name": "conformance",
            "agent_id": offer["agent_id"],
            "resources": scalars(cpus=cpus, mem=mem),
            **({"command": {"shell": True, "value": command}} if command is not None else {}),
            **fields,
        }
        self.driver.launchTasks(offer["id"], [task], {"refuse_seconds": 0})
        return task_id

    def wait_states(self, task_id, *states):
        """Waits until the task was reported in exactly these states."""
        self.seen.wait(lambda seen: len(seen.states(task_id)) >= len(states))
        assert self.seen.states(task_id) == list(states)
        return self.seen.updates[task_id][-1]


def scalars(**amounts):
    """Resources as pymesos users write them."""
    return [{"name": name, "type": "SCALAR", "scalar": {"value": amount}} for name, amount in amounts.items()]
