"""Offers: made, declined, rescinded, timed out."""

import pytest

from koinon.master.core import events as m
from koinon.mesos import v1
from koinon.mesos.v1.scheduler import Call, Event
from tests.unit.master.cluster import (
    Cluster,
    executor_info,
    framework_info,
    register,
    rescinded,
    resources,
    sent,
    task_info,
)

URL = v1.URL(scheme="http", address=v1.Address(hostname="a", ip="127.0.0.1", port=5051), path="/slave(1)")


def test_an_offer_to_a_plain_framework_has_the_older_form_and_no_allocation(cluster):
    stream = cluster.subscribe()
    cluster.join(register(text="cpus:4;mem:1000"))
    parts = resources("cpus:4;mem:1000")
    for part in parts:
        part.role = "*"
    offer = v1.Offer(
        id=v1.OfferID("M-O0"),
        framework_id=v1.FrameworkID("M-0000"),
        agent_id=v1.AgentID("M-S0"),
        hostname="a",
        url=URL,
        resources=parts,
    )
    assert cluster.tick() == [sent(stream, "OFFERS", Event.Offers(offers=[offer]))]


def test_an_offer_to_a_newer_framework_has_reservations_and_its_allocation(cluster):
    info = framework_info(roles=("r",), capabilities="RESERVATION_REFINEMENT")
    stream = cluster.subscribe(info)
    cluster.join(register(text="cpus(r):4;mem:1000"))
    offer = v1.Offer(
        id=v1.OfferID("M-O0"),
        framework_id=v1.FrameworkID("M-0000"),
        agent_id=v1.AgentID("M-S0"),
        hostname="a",
        url=URL,
        resources=resources("cpus(r):4;mem:1000", role="r"),
        allocation_info=v1.Resource.AllocationInfo(role="r"),
    )
    assert cluster.tick() == [sent(stream, "OFFERS", Event.Offers(offers=[offer]))]


def test_all_offers_of_a_run_come_in_one_event(cluster):
    cluster.subscribe()
    for _ in range(3):
        cluster.join()
    (offers,) = cluster.tick()
    assert len(offers.event.offers.offers) == 3


def test_an_offer_names_the_executors_that_the_framework_has_there(cluster):
    stream = cluster.subscribe()
    cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info(executor=executor_info()), refuse_s=0.0)
    (offers,) = cluster.tick()
    assert offers.event.offers.offers[0].executor_ids == [v1.ExecutorID("e")]


def test_nothing_is_offered_before_the_registry_has_the_agent(cluster):
    cluster.subscribe()
    cluster.register()
    assert cluster.tick() == []


def test_what_was_declined_is_not_offered_again_until_the_refusal_ends(cluster):
    stream = cluster.subscribe()
    cluster.join()
    cluster.tick()
    cluster.decline(stream, "M-O0", refuse_s=10.0)
    assert cluster.tick(9.9) == []
    (offers,) = cluster.tick(2)
    assert offers.event.offers.offers[0].id.value == "M-O1"


def test_what_was_declined_goes_to_another_framework_at_once(cluster):
    cluster.subscribe()
    cluster.join()
    cluster.tick()
    cluster.subscribe()
    cluster.decline("stream-1", "M-O0")
    (offers,) = cluster.tick()
    assert offers.stream_id == "stream-2"


def test_declining_without_a_refusal_waits_for_the_next_batch(cluster):
    """Otherwise a framework that always declines so would get the same offer without end."""
    stream = cluster.subscribe()
    cluster.join()
    cluster.tick()
    cluster.decline(stream, "M-O0", refuse_s=0.0)
    assert cluster.do(m.ClockTicked()) == []
    (offers,) = cluster.tick(2)
    assert offers.event.offers.offers[0].id.value == "M-O1"


@pytest.mark.parametrize(
    ("asked", "granted"), [(-1.0, 5.0), (float("inf"), 365 * 86400.0), (1e9, 365 * 86400.0)]
)
def test_refusals_are_corrected_to_what_makes_sense(cluster, asked, granted):
    stream = cluster.subscribe()
    cluster.join()
    cluster.tick()
    cluster.decline(stream, "M-O0", refuse_s=asked)
    assert cluster.framework.decisions[-1].sentence.endswith(f"wants no such for {granted:g} s")


def test_declining_an_offer_of_another_framework_does_nothing(cluster):
    cluster.subscribe()
    cluster.join()
    cluster.tick()
    other = cluster.subscribe()
    assert cluster.decline(other, "M-O0", "nonsense") == []
    assert [offer.framework_id for offer in cluster.offers] == ["M-0000"]


def test_a_revive_ends_refusals(cluster):
    stream = cluster.subscribe()
    cluster.join()
    cluster.tick()
    cluster.decline(stream, "M-O0", refuse_s=1000.0)
    assert cluster.tick() == []
    cluster.call(stream, "REVIVE")
    (offers,) = cluster.tick()
    assert offers.event.type is Event.Type.OFFERS


def test_a_suppressed_role_gets_nothing_until_it_is_revived(cluster):
    stream = cluster.subscribe(framework_info(roles=("a", "b")))
    cluster.call(stream, "SUPPRESS", Call.Suppress(roles=["a"]))
    cluster.join()
    cluster.tick()
    assert [offer.role for offer in cluster.offers] == ["b"]
    cluster.call(stream, "SUPPRESS")
    cluster.join()
    assert cluster.tick() == []
    cluster.call(stream, "REVIVE", Call.Revive(roles=["a"]))
    cluster.tick()
    assert sorted(offer.role for offer in cluster.offers) == ["a", "b"]


def test_a_role_that_is_not_its_own_voids_the_whole_call(cluster):
    stream = cluster.subscribe(framework_info(roles=("a",)))
    cluster.call(stream, "SUPPRESS", Call.Suppress(roles=["a", "x"]))
    assert cluster.framework.suppressed == set()


def test_an_outstanding_offer_stays_valid_when_its_role_is_suppressed(cluster):
    stream = cluster.subscribe()
    cluster.join()
    cluster.tick()
    cluster.call(stream, "SUPPRESS")
    (run,) = cluster.launch(stream, task_info())
    assert run.message.task.task_id.value == "t"


def test_an_offer_nobody_answers_is_rescinded_after_the_offer_timeout():
    cluster = Cluster(offer_timeout_s=10.0)
    stream = cluster.subscribe()
    cluster.join()
    cluster.tick()
    assert cluster.tick(9.9) == []
    effects = cluster.tick(0.1)
    assert effects[0] == rescinded(stream, "M-O0")
    assert effects[1].event.offers.offers[0].id.value == "M-O1"


def test_an_answered_offer_does_not_time_out():
    cluster = Cluster(offer_timeout_s=5.0)
    stream = cluster.subscribe()
    cluster.join()
    cluster.tick()
    cluster.decline(stream, "M-O0", refuse_s=1000.0)
    assert cluster.tick(14) == []


def test_only_hosts_on_the_whitelist_are_offered(cluster):
    cluster.subscribe()
    cluster.do(m.WhitelistChanged(frozenset(["b"])))
    cluster.join()
    assert cluster.tick() == []
    cluster.do(m.WhitelistChanged(None))
    (offers,) = cluster.tick()
    assert offers.event.offers.offers[0].hostname == "a"
