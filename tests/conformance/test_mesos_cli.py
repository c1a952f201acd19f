"""The requests that Apache's `mesos` command line sends for `task exec` and `task attach`, byte for byte as far as it counts.

It finds task and agent in the classic endpoints, holds one connection for output and one for input, both of JSON
records in RecordIO, and asks for the raw wait status at the end.
"""

import base64
import http.client
import json
import os
import queue
import threading
import uuid
from contextlib import closing

import pytest

from tests.conformance.pymesos_framework import Framework


@pytest.fixture
def framework(cluster):
    with Framework(cluster.master_address) as framework:
        yield framework


def get(address, path):
    with closing(http.client.HTTPConnection(address, timeout=10)) as connection:
        connection.request("GET", path, headers={"Accept": "*/*", "Accept-Encoding": "identity"})
        answer = connection.getresponse()
        assert answer.status == 200
        return json.loads(answer.read())


def locate(master, task_id):
    """The agent's address and the id of the task's container."""
    (task,) = [task for task in get(master, "/tasks?order=asc&limit=-1")["tasks"] if task["id"] == task_id]
    (agent,) = [agent for agent in get(master, "/slaves")["slaves"] if agent["id"] == task["slave_id"]]
    return agent["pid"].partition("@")[2], task["statuses"][0]["container_status"]["container_id"]


def record(message):
    text = json.dumps(message)
    return f"{len(text)}\n{text}".encode()


class TaskIO:
    """What the command line has open for one container."""

    def __init__(self, agent, container_id):
        self.agent = agent
        self.container_id = container_id
        self.output = {"STDOUT": b"", "STDERR": b""}
        self.heard = threading.Condition()
        self.ended = False
        self.input = queue.Queue()

    # ── output ────────────────────────────────────────────────────────────────────────────────────
    def launch(self, command, *, tty=False):
        message = {
            "type": "LAUNCH_NESTED_CONTAINER_SESSION",
            "launch_nested_container_session": {
                "container_id": self.container_id,
                "command": {"value": command[0], "arguments": command, "shell": False},
            },
        }
        if tty:
            message["launch_nested_container_session"]["container"] = {
                "type": "MESOS",
                "tty_info": {"window_size": {"rows": 24, "columns": 80}},
            }
        self.listen(message)

    def attach_output(self):
        self.listen(
            {
                "type": "ATTACH_CONTAINER_OUTPUT",
                "attach_container_output": {"container_id": self.container_id},
            }
        )

    def listen(self, message):
        connection = http.client.HTTPConnection(self.agent, timeout=30)
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/recordio",
            "Message-Accept": "application/json",
            "Connection": "close",
        }
        connection.request("POST", "/api/v1", json.dumps(message), headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        assert answer.getheader("Transfer-Encoding") == "chunked"
        threading.Thread(target=self._hear, args=(answer,), daemon=True).start()

    def _hear(self, answer):
        rest = b""
        while data := answer.read1(1 << 16):
            rest += data
            while b"\n" in rest:
                length, _, after = rest.partition(b"\n")
                if len(after) < int(length):
                    break
                io, rest = json.loads(after[: int(length)]), after[int(length) :]
                if io["type"] == "DATA":
                    with self.heard:
                        self.output[io["data"]["type"]] += base64.b64decode(io["data"]["data"])
                        self.heard.notify_all()
        with self.heard:
            self.ended = True
            self.heard.notify_all()

    def wait_for(self, holds):
        with self.heard:
            assert self.heard.wait_for(holds, 15), self.output

    # ── input ─────────────────────────────────────────────────────────────────────────────────────
    def attach_input(self):
        self._give({"type": "CONTAINER_ID", "container_id": self.container_id})
        self.give(
            type="CONTROL",
            control={"type": "HEARTBEAT", "heartbeat": {"interval": {"nanoseconds": 30 * 10**9}}},
        )
        threading.Thread(target=self._send, daemon=True).start()

    def _send(self):
        connection = http.client.HTTPConnection(self.agent, timeout=30)
        headers = {
            "Content-Type": "application/recordio",
            "Message-Content-Type": "application/json",
            "Accept": "application/json",
            "Connection": "close",
            "Transfer-Encoding": "chunked",
        }
        connection.request("POST", "/api/v1", iter(self.input.get, None), headers, encode_chunked=True)
        self.answered = connection.getresponse().status

    def _give(self, attach):
        self.input.put(record({"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": attach}))

    def give(self, **io):
        self._give({"type": "PROCESS_IO", "process_io": io})

    def type(self, data):
        self.give(type="DATA", data={"type": "STDIN", "data": base64.b64encode(data).decode()})

    # ── end ───────────────────────────────────────────────────────────────────────────────────────
    def exit_status(self):
        """As `os.wait` tells it."""
        message = {"type": "WAIT_CONTAINER", "wait_container": {"container_id": self.container_id}}
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        with closing(http.client.HTTPConnection(self.agent, timeout=30)) as connection:
            connection.request("POST", "/api/v1", json.dumps(message), headers)
            answer = connection.getresponse()
            assert answer.status == 200
            return json.loads(answer.read())["wait_container"]["exit_status"]


@pytest.fixture
def inside(cluster, framework):
    """Something new to be launched in a task that runs."""
    task_id = framework.launch("sleep 1000")
    framework.wait_states(task_id, "TASK_STARTING", "TASK_RUNNING")
    agent, parent = locate(cluster.master_address, task_id)
    return TaskIO(agent, {"value": str(uuid.uuid4()), "parent": parent})


def test_exec_prints_what_the_command_says_and_ends_with_its_status(inside):
    inside.launch(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"])
    inside.wait_for(lambda: inside.ended)
    assert inside.output == {"STDOUT": b"out\n", "STDERR": b"err\n"}
    assert os.WEXITSTATUS(inside.exit_status()) == 3


def test_exec_interactive_passes_input_on_up_to_its_end(inside):
    inside.launch(["cat"])
    inside.attach_input()
    inside.type(b"hello\n")
    inside.wait_for(lambda: inside.output["STDOUT"] == b"hello\n")
    inside.type(b"")
    inside.wait_for(lambda: inside.ended)
    assert inside.exit_status() == 0


def test_exec_with_a_terminal_resizes_and_interrupts(inside):
    inside.launch(
        ["/bin/sh", "-c", "trap 'stty size; exit 4' INT; echo up; while :; do sleep 0.05; done"], tty=True
    )
    inside.attach_input()
    inside.wait_for(lambda: b"up" in inside.output["STDOUT"])
    inside.give(
        type="CONTROL",
        control={"type": "TTY_INFO", "tty_info": {"window_size": {"rows": 50, "columns": 132}}},
    )
    inside.type(b"\x03")
    inside.wait_for(lambda: inside.ended)
    assert b"50 132" in inside.output["STDOUT"]
    assert os.WEXITSTATUS(inside.exit_status()) == 4


def test_attach_is_at_the_terminal_of_the_task(cluster, framework):
    task_id = framework.launch(
        "while read line; do echo got $line; done", container={"type": "MESOS", "tty_info": {}}
    )
    framework.wait_states(task_id, "TASK_STARTING", "TASK_RUNNING")
    task = TaskIO(*locate(cluster.master_address, task_id))
    task.attach_output()
    task.attach_input()
    task.type(b"one\r")
    task.wait_for(lambda: b"got one\r\n" in task.output["STDOUT"])
    task.type(b"\x04")
    task.wait_for(lambda: task.ended)
    framework.wait_states(task_id, "TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED")
