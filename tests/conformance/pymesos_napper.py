"""A custom executor on pymesos' driver: each task naps for as many seconds as its data says.

It leaves a footprint (`start ID`, `end ID`) in the file that is its argument. The driver raises what it cannot send
while the agent is away; what is to be said is then said again.
"""

import sys
import threading
import time

from pymesos import Executor, MesosExecutorDriver, decode_data


class Napper(Executor):
    """Naps on a thread per task."""

    def launchTask(self, driver, task):
        threading.Thread(target=self.nap, args=(driver, task), daemon=True).start()

    def nap(self, driver, task):
        task_id = task["task_id"]
        self.leave(f"start {task_id['value']}\n")
        self.report(driver, {"task_id": task_id, "state": "TASK_RUNNING"})
        time.sleep(float(decode_data(task["data"])))
        self.leave(f"end {task_id['value']}\n")
        self.report(driver, {"task_id": task_id, "state": "TASK_FINISHED"})

    def leave(self, footprint):
        with open(sys.argv[1], "a") as file:
            file.write(footprint)

    def report(self, driver, status):
        while True:
            try:
                return driver.sendStatusUpdate(status)  # which writes into it what makes it the same again
            except Exception as error:
                print("not sent yet:", error, file=sys.stderr)
                time.sleep(0.1)


if __name__ == "__main__":
    MesosExecutorDriver(Napper()).run()
