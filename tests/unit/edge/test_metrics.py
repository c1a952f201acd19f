"""Numbers: as a snapshot and for Prometheus."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from koinon.edge import Family, Measured, Metrics, Timer, serve_common
from tests import shapes


def test_counter_is_one_object_per_name():
    metrics = Metrics()
    metrics.counter("a").value += 1
    metrics.counter("a").value += 2
    assert metrics.snapshot() == {"a": 3}


def test_gauges_are_read_when_shown():
    metrics, values = Metrics(), {"n": 1}
    metrics.gauge("one", lambda: values["n"])
    metrics.gauges(lambda: {"two": values["n"] * 2})
    values["n"] = 5
    assert metrics.snapshot() == {"one": 5, "two": 10}


def test_timer_shows_last_count_and_percentiles():
    metrics = Metrics()
    for ms in range(100, 0, -1):
        metrics.timer("x_ms").observe(ms)
    snapshot = metrics.snapshot()
    assert snapshot["x_ms"] == 1
    assert snapshot["x_ms/count"] == 100
    assert (snapshot["x_ms/min"], snapshot["x_ms/max"]) == (1, 100)
    assert snapshot["x_ms/p50"] == 51
    assert snapshot["x_ms/p9999"] == 100


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=2500))
def test_timer_looks_at_the_last_thousand(observed):
    timer = Timer()
    for ms in observed:
        timer.observe(ms)
    last = sorted(observed[-1000:])
    shown = dict(timer.snapshot("t"))
    assert (shown["t/min"], shown["t/max"], shown["t/count"]) == (last[0], last[-1], len(observed))


def two_frameworks():
    yield "1", ("f/1/calls", "f/1/events"), (1, 2)
    yield 'odd"\n', ("f/odd/calls", "f/odd/events"), (3, 4)


async def test_family_names_objects_in_the_snapshot_and_labels_them_for_prometheus(server, client):
    metrics = Metrics()
    metrics.family(Family("framework_id", ["f/calls", "f/events"], two_frameworks))
    metrics.counter("master/x").value = 7
    metrics.timer("store_ms").observe(1500)
    metrics.serve(server)
    assert metrics.snapshot()["f/odd/events"] == 4
    async with client.get("/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        families = {one.name: one for one in text_string_to_metric_families(await response.text())}
    assert families["koinon_master_x"].samples[0].value == 7
    assert {sample.labels["framework_id"]: sample.value for sample in families["koinon_f_calls"].samples} == {
        "1": 1,
        'odd"\n': 3,
    }
    seconds = {sample.name: sample.value for sample in families["koinon_store_seconds"].samples}
    assert seconds == {"koinon_store_seconds_count": 1, "koinon_store_seconds_sum": 1.5}


async def test_what_is_measured_is_for_prometheus_alone(server, client):
    async def measure():
        return {("1", "a"): {"box/size": 5.0, "box/rare": 1.0}, ("1", "b"): {"box/size": 6.0}}

    metrics = Metrics()
    metrics.measured(Measured(["owner", "box"], measure))
    metrics.serve(server)
    assert metrics.snapshot() == {}
    async with client.get("/metrics") as response:
        families = {one.name: one for one in text_string_to_metric_families(await response.text())}
    sizes = {
        (one.labels["owner"], one.labels["box"]): one.value for one in families["koinon_box_size"].samples
    }
    assert sizes == {("1", "a"): 5, ("1", "b"): 6}
    assert [one.labels["box"] for one in families["koinon_box_rare"].samples] == ["a"]


@pytest.mark.parametrize(("timeout", "status"), [("10secs", 200), ("10", 400), ("soon", 400)])
async def test_snapshot_takes_a_timeout(server, client, timeout, status):
    Metrics().serve(server)
    async with client.get(f"/metrics/snapshot?timeout={timeout}") as response:
        assert response.status == status


async def test_what_every_role_says_about_itself(server, client):
    serve_common(server, Metrics(), {"ip": "127.0.0.1"})
    async with client.get("/health") as response:
        assert (response.status, await response.read()) == (200, b"")
    async with client.get("/version") as response:
        version = await response.json()
    assert version["version"].replace(".", "").isdigit()
    assert shapes.problems("master-version", version) == []
    async with client.get("/flags") as response:
        assert await response.json() == {"flags": {"ip": "127.0.0.1"}}
    async with client.get("/system/stats.json") as response:
        assert shapes.problems("master-system-stats.json", await response.json()) == []
    async with client.get("/metrics/snapshot") as response:
        assert (await response.json())["system/cpus_total"] >= 1


async def test_log_level_is_moved_for_a_while(server, client):
    serve_common(server, Metrics(), {})
    async with client.post("/logging/toggle") as response:
        assert await response.text() == "0\n"
    async with client.post("/logging/toggle?level=1&duration=50ms") as response:
        assert response.status == 200
    async with client.post("/logging/toggle") as response:
        assert await response.text() == "1\n"
    for query in ["level=1", "duration=1secs", "level=x&duration=1secs", "level=1&duration=x"]:
        async with client.post(f"/logging/toggle?{query}") as response:
            assert response.status == 400
    async with client.post("/logging/toggle?level=0&duration=1secs") as response:
        assert response.status == 200
    async with client.post("/logging/toggle") as response:
        assert await response.text() == "0\n"
