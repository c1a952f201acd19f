"""Which master an agent obeys: never one that another was elected after."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.agent.core import events as ev
from koinon.agent.core.tables import AgentState
from koinon.mesos import internal
from tests.unit.agent.bench import AGENT_ID, Bench, of_type, only, task


def registered(epoch: int, cluster: str = "C") -> internal.Registered:
    return internal.Registered(
        agent_id=AGENT_ID, master_id=f"M{epoch}", silence_timeout_s=75.0, cluster=cluster, epoch=epoch
    )


class Voter(Bench):
    """An agent that meets one master after the other."""

    def __init__(self) -> None:
        super().__init__(connected=False)

    def meet(self, epoch: int, cluster: str = "C") -> list[ev.Effect]:
        """The connection of before ends; another master lets the agent in."""
        self.disconnect()
        self._session += 1
        self.tell(ev.MasterConnected(self._session))
        return self.hear(registered(epoch, cluster))

    @property
    def obeys(self) -> bool:
        return self.agent.state.state is AgentState.REGISTERED


@pytest.fixture
def voter() -> Voter:
    return Voter()


def test_a_master_of_a_smaller_epoch_is_left(voter):
    voter.meet(7)
    effects = voter.meet(6)
    assert effects == [
        ev.LeaveMaster(
            2, "The master leads in epoch 6, but one of epoch 7 has led this agent: it is looked for"
        )
    ]
    assert not voter.obeys


def test_nothing_that_a_left_master_says_counts(voter):
    voter.meet(7)
    voter.meet(6)
    assert voter.run(task()) == []
    assert voter.hear(internal.Shutdown(message="all of you")) == []
    assert voter.hear(registered(8)) == []
    assert not voter.obeys


def test_the_same_master_and_a_later_one_are_obeyed(voter):
    for epoch in (7, 7, 9):
        voter.meet(epoch)
        assert voter.obeys


def test_the_greatest_epoch_survives_a_restart_of_the_agent(voter):
    voter.meet(7)
    voter.start(connected=False)
    only(voter.meet(6), ev.LeaveMaster)
    assert not voter.obeys


def test_the_epoch_is_on_disk_before_the_master_is_heard_any_further(voter):
    voter.meet(7)
    first, *_ = voter.meet(8)
    assert isinstance(first, ev.Checkpoint)
    assert not of_type(voter.meet(8), ev.Checkpoint)  # nothing has changed


def test_epochs_of_another_cluster_are_counted_for_themselves(voter):
    """The agent was pointed at it by a person, or the registry was lost and begun anew."""
    voter.meet(7)
    voter.meet(0, "D")
    assert voter.obeys
    voter.meet(1, "D")
    assert voter.obeys
    only(voter.meet(0, "D"), ev.LeaveMaster)


def test_a_checkpoint_without_epoch_is_one_of_an_older_release(voter):
    voter.disk["agent"] = (
        b'{"info":{"hostname":"host","port":5051,"id":{"value":"M-S0"}},"boot_id":"boot"}'.replace(
            b'"id"',
            b'"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":4}},'
            b'{"name":"mem","type":"SCALAR","scalar":{"value":4096}},'
            b'{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":31000,"end":32000}]}}],"id"',
        )
    )
    voter.start(connected=False)
    voter.meet(0)
    assert voter.obeys


def test_an_agent_says_which_protocol_it_speaks(voter):
    voter._session += 1
    (said,) = of_type(voter.tell(ev.MasterConnected(voter._session)), ev.SendToMaster)
    assert said.message.protocol == internal.PROTOCOL


@given(st.lists(st.integers(0, 9), max_size=20), st.data())
def test_obeyed_epochs_never_fall_whatever_restarts(epochs, data):
    voter, obeyed = Voter(), -1
    for epoch in epochs:
        if data.draw(st.booleans()):
            voter.start(connected=False)
        voter.meet(epoch)
        assert voter.obeys is (epoch >= obeyed)
        obeyed = max(obeyed, epoch)


async def test_a_real_agent_leaves_such_a_master_and_looks_for_the_leader_again(agent, master):
    for epoch in (3, 2):
        master.epoch = epoch
        await master.hang_up()
        await master.registered(len(master.registrations) + 1)
    await master.registered(len(master.registrations) + 2)  # it comes again and again
    master.epoch = 4
    await master.registered(len(master.registrations) + 1)
    await master.run(task(command="true"))
    await master.reaches("t", "FINISHED")
