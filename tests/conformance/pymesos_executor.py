"""A custom executor on pymesos' driver, run by the agent in the tests.

Each task's data says what to do: `finish`, `fail`, or `wait` (until killed). Messages are echoed in upper case.
"""

import sys
import threading

from pymesos import Executor, MesosExecutorDriver, decode_data, encode_data


class Worker(Executor):
    """Answers every task on a thread of its own."""

    def launchTask(self, driver, task):
        threading.Thread(target=self.work, args=(driver, task), daemon=True).start()

    def work(self, driver, task):
        self.report(driver, task["task_id"], "TASK_RUNNING")
        wanted = decode_data(task["data"]).decode()
        if wanted == "finish":
            self.report(driver, task["task_id"], "TASK_FINISHED")
        elif wanted == "fail":
            self.report(driver, task["task_id"], "TASK_FAILED", message="asked to fail")

    def killTask(self, driver, task_id):
        self.report(driver, task_id, "TASK_KILLED")

    def frameworkMessage(self, driver, message):
        driver.sendFrameworkMessage(encode_data(decode_data(message).upper()))

    def report(self, driver, task_id, state, **more):
        driver.sendStatusUpdate({"task_id": task_id, "state": state, **more})


if __name__ == "__main__":
    driver = MesosExecutorDriver(Worker())
    driver.run()
    sys.exit(0)
