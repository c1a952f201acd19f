"""Agents of older releases at today's master: what they said once is said again, and they must hear what they heard.

The recordings, one for each version of the protocol, are in `tests/protocols`; `record.py` there tells what is in them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from koinon.master.core import Config, Master
from koinon.master.core import events as m
from koinon.mesos import codec, internal, v1
from koinon.mesos.v1.scheduler import Call

Object = dict[str, Any]

RECORDINGS = sorted((Path(__file__).parents[2] / "protocols").glob("protocol_*.jsonl"))


class Replay:
    """A master of today in the place of the one that was recorded."""

    def __init__(self, path: Path) -> None:
        head, *self.lines = (json.loads(line) for line in path.read_text().splitlines())
        self.protocol: int = head["protocol"]
        #: What each channel and each stream was told, then and now.
        self.told_then: defaultdict[str, list[Object]] = defaultdict(list)
        self.told_now: defaultdict[str, list[Object]] = defaultdict(list)
        self._now = 1000.0
        info = v1.MasterInfo(id=head["master_id"], ip=16777343, port=5050)
        # Time-outs of the recorded master, see its flags in the recording.
        config = Config(agent_ping_timeout_s=1.0, max_agent_ping_timeouts=10)
        self._master = Master(config, master_info=info, seed=0, now=self._now)
        self._do(m.RegistryLoaded({}))

    def play(self) -> None:
        """From the first line to the last."""
        for line in self.lines:
            self._pass_time(1000.0 + line["at"])
            match line:
                case {"who": "agent", "channel": channel, "said": said}:
                    for message in internal.decode_from_agent(json.dumps(said)):
                        self._do(m.AgentSaid(f"channel {channel}", message))
                case {"who": "agent", "channel": channel}:
                    self._do(m.AgentChannelClosed(f"channel {channel}"))
                case {"who": "framework", "stream": stream, "call": call}:
                    self._call(f"stream {stream}", codec.decode(Call, json.dumps(call).encode(), codec.JSON))
                case {"who": "operator", "call": {"type": "MARK_AGENT_GONE", "mark_agent_gone": gone}}:
                    self._do(m.AgentGoneRequested(gone["agent_id"]["value"]))
                case {"who": "master", "channel": channel, "said": said}:
                    self.told_then[f"channel {channel}"] += said
                case {"who": "master", "stream": stream, "event": event}:
                    self.told_then[f"stream {stream}"].append(event)
                case _:
                    raise AssertionError(line)

    def _call(self, stream: str, call: Call) -> None:
        if call.type is Call.Type.SUBSCRIBE:
            self._do(m.SchedulerSubscribed(stream, call))
            return
        if call.accept is not None:  # it took all that it had, which may have other numbers now
            framework = self._master.state.frameworks[call.framework_id.value]
            call.accept.offer_ids = [v1.OfferID(offer_id) for offer_id in framework.offers]
        self._do(m.SchedulerCalled(stream, call))

    def _pass_time(self, end: float) -> None:
        while (due := self._master.next_wakeup(self._now)) <= end:
            self._now = max(self._now, due)
            self._do(m.ClockTicked())
        self._now = end

    def _do(self, event: m.Event) -> None:
        for effect in self._master.handle(event, self._now):
            match effect:
                case m.Store(ticket):
                    self._do(m.RegistryStored(ticket))
                case m.SendToAgent(channel, message):
                    self.told_now[channel] += json.loads(internal.encode([message]))
                case m.SendEvent(stream, event):
                    self.told_now[stream].append(json.loads(codec.encode(event, codec.JSON)))
        self._master.check()
        if self._master.allocation_wanted:
            self._do(m.ClockTicked())


@pytest.fixture(params=RECORDINGS, ids=lambda path: path.stem, scope="module")
def replay(request: pytest.FixtureRequest) -> Replay:
    replay = Replay(request.param)
    replay.play()
    return replay


def covers(now: Any, then: Any) -> bool:
    """Is all that was there still there? Fields that it does not know an agent passes over."""
    if isinstance(then, dict):
        return isinstance(now, dict) and all(name in now and covers(now[name], then[name]) for name in then)
    if isinstance(then, list):
        return isinstance(now, list) and len(now) == len(then) and all(map(covers, now, then))
    return bool(now == then)


def as_of_today(message: Object) -> Object:
    """What today's master says otherwise, on purpose: agents that were declared gone are not just refused any more."""
    if message["type"] == "Refused" and "gone" in message["message"]:
        return {"type": "Shutdown"}
    return message


def without_pings(messages: list[Object]) -> list[Object]:
    return [message for message in messages if message["type"] != "Ping"]


def test_every_version_before_this_one_has_a_recording():
    versions = {json.loads(path.read_text().partition("\n")[0])["protocol"] for path in RECORDINGS}
    assert versions >= set(range(1, internal.PROTOCOL))


def test_the_agent_is_taken_for_what_it_is(replay):
    said = [line["said"] for line in replay.lines if line["who"] == "agent" and "said" in line]
    messages = [one for frame in said for one in internal.decode_from_agent(json.dumps(frame))]
    registrations = [one for one in messages if isinstance(one, internal.Register)]
    assert {one.protocol for one in registrations} == {replay.protocol}


def test_the_agent_hears_what_it_heard_then(replay):
    channels = {key for key in replay.told_then if key.startswith("channel")}
    assert channels == {key for key in replay.told_now if key.startswith("channel")}
    for channel in channels:
        then = [as_of_today(message) for message in without_pings(replay.told_then[channel])]
        now = without_pings(replay.told_now[channel])
        assert [message["type"] for message in now] == [message["type"] for message in then], channel
        for one, other in zip(now, then, strict=True):
            assert covers(one, other), channel


def test_the_framework_hears_of_its_tasks_what_it_heard_then(replay):
    def story(events: list[Object]) -> list[tuple[Any, ...]]:
        statuses = [event["update"]["status"] for event in events if event["type"] == "UPDATE"]
        fields = ("state", "source", "reason", "uuid")
        return [(one["task_id"]["value"], *map(one.get, fields)) for one in statuses]

    streams = [key for key in replay.told_then if key.startswith("stream")]
    assert streams
    for stream in streams:
        assert story(replay.told_now[stream]) == story(replay.told_then[stream])
