"""A framework on pymesos, as people use it: through `zk://`, not aware of partitions, updates acknowledged by the driver.

    python -m tests.partitions.pymesos_framework MASTER DIRECTORY TIMEOUT_S PATIENCE_S

On an answer that it does not expect, or none in time, the driver's thread ends; then a new one goes on with the framework's
id, as a supervisor would see to. It is given `failover`, so that it does not tear the framework down at that, and
`timeout`: by default a call to a master that is frozen or cut off takes up to a day, and nothing else happens meanwhile.
It may also be redirected to the leader before by a standby that has not heard yet that there is another one; if that leader
is cut off, the driver waits for it for ever. So it is started again, too, when it has had no master for `patience_s`.
"""

import getpass
import logging
import queue
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

from pymesos import MesosSchedulerDriver, Scheduler

from tests.partitions.journal import now_s
from tests.partitions.workload import Work

NAME = "pymesos"


class Driver(MesosSchedulerDriver):
    """The driver, which also tells who the master is."""

    def on_subscribed(self, info):
        self.sched.master_id = info["master_info"]["id"]
        super().on_subscribed(info)


class Framework(Scheduler):
    """Hands what it hears to its Work, and back.

    Its driver holds a lock of its own when it calls us, and takes it when we call: so what we hear waits in a queue for the
    thread that works, or each could wait for the other for ever.
    """

    def __init__(self, master, directory, timeout_s, patience_s):
        self.master = master
        self.timeout_s, self.patience_s = timeout_s, patience_s
        self.master_id = ""
        self.about = {"user": getpass.getuser(), "name": NAME, "checkpoint": True, "failover_timeout": 3600}
        self.heard = queue.SimpleQueue()
        self.work = Work(
            NAME,
            directory,
            launch=lambda offer, tasks, refuse_s: self.call(
                "launchTasks", offer["id"], tasks, {"refuse_seconds": refuse_s}
            ),
            decline=lambda ids, refuse_s: self.call("declineOffer", ids, {"refuse_seconds": refuse_s}),
            kill=lambda task_id, agent: self.call("killTask", {"value": task_id}),
            reconcile=lambda tasks: self.call(
                "reconcileTasks", [{"task_id": {"value": task_id}} for task_id in tasks]
            ),
        )
        self.driver = None

    def run(self):
        """Until told to leave."""
        threading.Thread(target=self.follow_orders, daemon=True).start()
        while self.work.mode != "leave":
            try:
                self.drive()
            except Exception as error:
                self.work.refused("driver", f"it ended: {error}")
                self.driver.stop(failover=True)
                self.driver.join()
                self.work.disconnected()
        self.driver.stop()
        self.driver.join()

    def drive(self):
        self.driver = Driver(self, self.about, self.master, failover=True, timeout=self.timeout_s)
        self.driver.start()
        connected_s = time.monotonic()
        while self.work.mode != "leave":
            while not self.heard.empty():
                at, take = self.heard.get()
                with self.work.journal.about(at):
                    take()
            self.work.tick()
            if self.driver.aborted:  # it says that it is connected even then
                raise RuntimeError("its thread has ended")
            if self.driver.connected:
                connected_s = time.monotonic()
            elif time.monotonic() > connected_s + self.patience_s:
                raise RuntimeError("it has no master")
            time.sleep(0.05)

    def hear(self, take, *arguments):
        """Let the thread that works take it in; it is written down as of now."""
        self.heard.put((now_s(), partial(take, *arguments)))

    def updated(self, status, known):
        self.work.updated(status)
        known.set()

    def follow_orders(self):
        for line in sys.stdin:
            self.hear(self.work.order, line.strip())

    def call(self, name, *arguments):
        """A call that may fail at any time: what came of it shows later."""
        try:
            getattr(self.driver, name)(*arguments)
        except Exception as error:
            self.work.refused(name, repr(error)[:500])

    # ── what the driver calls, on its thread ──────────────────────────────────────────────────────
    def registered(self, driver, framework_id, master_info):
        self.about["id"] = framework_id
        self.hear(self.work.subscribed, framework_id["value"], self.master_id)

    def reregistered(self, driver, master_info):
        self.registered(driver, self.about["id"], master_info)

    def disconnected(self, driver):
        self.hear(self.work.disconnected)

    def resourceOffers(self, driver, offers):
        self.hear(self.work.offered, offers)

    def offerRescinded(self, driver, offer_id):
        self.hear(self.work.rescinded, offer_id["value"])

    def statusUpdate(self, driver, status):
        # The driver acknowledges it as soon as we return: not before the thread that asks about tasks knows of it.
        known = threading.Event()
        self.hear(self.updated, status, known)
        known.wait(self.timeout_s)

    def slaveLost(self, driver, agent_id):
        self.hear(self.work.failed, agent_id["value"])

    def error(self, driver, message):
        self.hear(self.work.refused, "subscription", message)


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s")
    # The driver interrupts the program when its thread ends, which one of our calls may take for its own failure: we ask it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Framework(sys.argv[1], Path(sys.argv[2]), *map(float, sys.argv[3:])).run()
