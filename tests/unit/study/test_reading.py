"""Files: what they may hold, and that everything wrong with one is told at once, with its path."""

from pathlib import Path

import pytest
import yaml

from koinon.simulator.study.description import (
    Amounts,
    AtOnce,
    Exponential,
    Failures,
    Lognormal,
    Periodic,
    Poisson,
    Recorded,
    Trace,
)
from koinon.simulator.study.document import Invalid, changed, parse
from koinon.simulator.study.reading import read_study

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"

GOOD = """
length: 1h
agents:
  small: {count: 2, resources: {cpus: 4, mem: 8GB}, attributes: {rack: a, row: 7}}
  gpu: {count: 1, resources: {cpus: 8, mem: 16GB, gpus: 2}}
roles:
  eng: {weight: 2}
frameworks:
  web:
    role: eng/web
    workloads:
      servers:
        arrivals: {kind: poisson, rate: 30/min}
        task: {cpus: 1, mem: 512}
        duration: {kind: constant, value: 5m}
"""


def no_file(name):
    raise FileNotFoundError(2, "No such file or directory", name)


def problems_of(text, read_file=no_file):
    with pytest.raises(Invalid) as caught:
        read_study(parse(text), read_file)
    return [str(problem) for problem in caught.value.problems]


def problems_after(*changes):
    """The problems of the good file when these paths have these values."""
    document = yaml.safe_load(GOOD)
    for path, value in changes:
        *above, last = path.split(".")
        table = document
        for key in above:
            table = table[key]
        table[last] = value
    with pytest.raises(Invalid) as caught:
        read_study(document, no_file)
    return [str(problem) for problem in caught.value.problems]


# ── good files ──────────────────────────────────────────────────────────────────────────────────────
def test_the_example_is_read_as_it_stands():
    study = read_study(
        parse((EXAMPLES / "simulate.yaml").read_text()), lambda name: (EXAMPLES / name).read_text()
    )
    assert (study.seed, study.length_s, study.warm_up_s, study.sample_s) == (1, 3 * 3600, 1800, 30)
    assert study.weights == {"services": 2.0, "batch": 1.0}
    standard, gpu = study.groups
    assert standard.resources == Amounts(16_000, 65_536_000, 1_048_576_000, 0)
    assert standard.failures == Failures(3 * 86400, 7200)
    assert gpu.attributes == {"rack": "b"}
    web, reports, research = study.frameworks
    assert web.workloads[0].arrivals == Poisson(4 / 60, 1)
    assert web.workloads[0].constraints == {"rack": ("a",)}
    assert reports.workloads[0].arrivals == Periodic(900, 0, 600)
    assert reports.workloads[0].duration == Lognormal(300, 1800)
    recorded = research.workloads[0]
    assert recorded.duration == Recorded()
    assert isinstance(recorded.arrivals, Trace)
    assert len(recorded.arrivals) == len((EXAMPLES / "simulate-trace.csv").read_text().splitlines()) - 1


def test_what_is_left_out_is_as_frameworks_and_masters_usually_are():
    study = read_study(parse(GOOD), no_file)
    (web,) = study.frameworks
    assert (web.refuse_s, web.revive_s) == (120, 5)
    assert (study.seed, study.warm_up_s) == (1, 0)
    assert (study.allocation_interval_s, study.agent_ping_timeout_s, study.max_agent_ping_timeouts) == (
        1,
        15,
        5,
    )
    assert study.groups[0].attributes == {"rack": "a", "row": "7"}
    assert study.sample_s == 10


def test_json_is_read_like_yaml():
    as_json = '{"length": 60, "agents": {"a": {"count": 1, "resources": {"cpus": 1}}}, "frameworks": {"f": {"role": "*", "workloads": {"w": {"arrivals": {"kind": "at_once", "tasks": 3}, "task": {"cpus": 1}, "duration": {"kind": "exponential", "mean": 9}}}}}}'
    from_json = read_study(parse(as_json, as_json=True), no_file)
    assert from_json == read_study(parse(as_json), no_file)
    workload = from_json.frameworks[0].workloads[0]
    assert (workload.arrivals, workload.duration) == (AtOnce(3, 0), Exponential(9))


# ── bad files ───────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("length", None, "length: is missing"),
        ("length", "soon", "length: must be a time such as 250ms, 90s, 5m, 1h30m or 2d, not 'soon'"),
        ("length", 0, "length: must be above 0, not 0"),
        ("length", float("inf"), "length: must be a time such as 250ms, 90s, 5m, 1h30m or 2d, not inf"),
        ("length", True, "length: must be a time such as 250ms, 90s, 5m, 1h30m or 2d, not True"),
        ("warm_up", "1h", "warm_up: must be shorter than the length of 1h"),
        ("warm_up", -1, "warm_up: must not be negative, not -1"),
        ("sample", "0s", "sample: must be above 0, not '0s'"),
        ("sample", "10 ms", None),
        ("sample", 1e-9, "sample: must be 1ms at least, not 1e-09"),
        ("seed", 1.5, "seed: must be a whole number from 0 to 9,223,372,036,854,775,807, not 1.5"),
        ("agent", {}, "'agent' is not known here; did you mean 'agents'? (known: length, warm_up, "),
        ("agents", None, "agents: must be a mapping from the name of each group of agents to what it is"),
        ("agents", [], "agents: must be a mapping from the name of each group of agents to what it is"),
        ("agents.small", 3, "agents.small: must be a mapping, not 3"),
        ("agents.a b", {"count": 1, "resources": {"cpus": 1}}, "agents: 'a b' is no name: letters, digits,"),
        ("agents.small.count", 0, "agents.small.count: must be a whole number from 1 to 1,000,000, not 0"),
        ("agents.small.count", "2", "agents.small.count: must be a whole number from 1 to 1,000,000, not '2'"),
        ("agents.small.count", 999_999, None),
        ("agents.small.count", 1_000_000, "agents: there are more than 1,000,000 in all groups together"),
        ("agents.small.cuont", 1, "agents.small: 'cuont' is not known here; did you mean 'count'?"),
        ("agents.small.resources", None, "agents.small.resources: must be a mapping"),
        ("agents.small.resources", {}, "agents.small.resources: names no resource"),
        ("agents.small.resources.mem", "8G", "agents.small.resources.mem: must be a number of MB, or a size"),
        ("agents.small.resources.cpus", -1, "agents.small.resources.cpus: must be a number that is not negative"),
        ("agents.small.resources.gpus", 0.5, "agents.small.resources.gpus: must be a whole number, not 0.5"),
        ("agents.small.resources.cpu", 1, "agents.small.resources: 'cpu' is not known here; did you mean 'cpus'?"),
        ("agents.small.attributes.rack", ["a", "b"], "agents.small.attributes.rack: must be one text"),
        ("agents.small.attributes", "rack:a", "agents.small.attributes: must be a mapping, not 'rack:a'"),
        ("agents.small.failures", {"every": "1d"}, "agents.small.failures.repair: is missing"),
        ("agents.small.failures", {"every": 0, "repair": 1}, "agents.small.failures.every: must be above 0, not 0"),
        ("roles", 5, "roles: must be a mapping from the name of each role to what it is"),
        ("roles.eng.weight", 0, "roles.eng.weight: must be a number above 0, not 0"),
        ("roles.a b", {}, "roles.a b: role 'a b' must not contain whitespace"),
        ("master", {"allocation_interval": "1x"}, "master.allocation_interval: must be a time"),
        ("master", {"quorum": 2}, "master: 'quorum' is not known here (known: allocation_interval,"),
        ("frameworks", {}, "frameworks: must be a mapping from the name of each framework to what it is"),
        ("frameworks.web.role", None, "frameworks.web.role: is missing"),
        ("frameworks.web.role", "a//b", "frameworks.web.role: role 'a//b' must not start or end with a slash"),
        ("frameworks.web.refuse", "-5s", "frameworks.web.refuse: must be a time"),
        ("frameworks.web.workloads", None, "frameworks.web.workloads: must be a mapping from the name of each workload"),
        ("frameworks.web.workloads.servers.task", None, "frameworks.web.workloads.servers.task: must be a mapping"),
        (
            "frameworks.web.workloads.servers.task.cpus",
            9,
            "frameworks.web.workloads.servers.task: a task of 'cpus:9;mem:512' fits on no agent",
        ),
        (
            "frameworks.web.workloads.servers.task.cpus",
            5,  # only the agent with GPUs has as many, and is kept for those who want one
            "frameworks.web.workloads.servers.task: a task of 'cpus:5;mem:512' fits on no agent",
        ),
        ("frameworks.web.workloads.servers.task", {"cpus": 5, "gpus": 1}, None),
        (
            "frameworks.web.workloads.servers.constraints",
            {"rack": ["b", "c"]},
            "frameworks.web.workloads.servers.constraints: no agents that are offered to it have such attributes",
        ),
        ("frameworks.web.workloads.servers.constraints", {"row": [6, 7]}, None),
        (
            "frameworks.web.workloads.servers.constraints",
            {"rack": []},
            "frameworks.web.workloads.servers.constraints.rack: must be text, or a list of texts, not []",
        ),
        (
            "frameworks.web.workloads.servers.duration",
            {"kind": "normal"},
            "frameworks.web.workloads.servers.duration.kind: must be one of constant, exponential, lognormal, trace, not 'normal'",
        ),
        (
            "frameworks.web.workloads.servers.duration",
            {"kind": "lognormal", "median": 9, "p99": 8},
            "frameworks.web.workloads.servers.duration.p99: must not be below the median",
        ),
        (
            "frameworks.web.workloads.servers.duration",
            {"kind": "constant", "value": 1, "mean": 2},
            "frameworks.web.workloads.servers.duration: 'mean' is not known here (known: kind, value)",
        ),
        (
            "frameworks.web.workloads.servers.duration",
            {"kind": "trace"},
            "frameworks.web.workloads.servers.duration.kind: can be 'trace' only if the arrivals are",
        ),
        (
            "frameworks.web.workloads.servers.arrivals",
            {"kind": "poisson", "rate": 5},
            "frameworks.web.workloads.servers.arrivals.rate: must be a rate above 0, such as 10/s",
        ),
        (
            "frameworks.web.workloads.servers.arrivals",
            {"kind": "poisson", "rate": "0/s"},
            "frameworks.web.workloads.servers.arrivals.rate: must be a rate above 0",
        ),
        (
            "frameworks.web.workloads.servers.arrivals",
            {"kind": "poisson", "rate": "1000000/s"},
            "frameworks.web.workloads.servers.arrivals.rate: must not be above 100,000/s, not '1000000/s'",
        ),
        (
            "frameworks.web.workloads.servers.arrivals",
            {"kind": "periodic", "every": 0.00001},
            "frameworks.web.workloads.servers.arrivals.every: must be 1ms at least, not 1e-05",
        ),
        (
            "frameworks.web.workloads.servers.arrivals",
            {"kind": "at_once"},
            "frameworks.web.workloads.servers.arrivals.tasks: is missing",
        ),
        (
            "frameworks.web.workloads.servers.arrivals",
            {"kind": "trace", "file": "nowhere.csv"},
            "frameworks.web.workloads.servers.arrivals.file: nowhere.csv cannot be read: No such file or directory",
        ),
    ],
)  # fmt: skip
def test_a_problem_is_told_with_its_path(path, value, told):
    if told is None:
        document = yaml.safe_load(GOOD)
        *above, last = path.split(".")
        table = document
        for key in above:
            table = table[key]
        table[last] = value
        read_study(document, no_file)
        return
    (problem,) = problems_after((path, value))
    assert problem.startswith(told)


def test_all_problems_are_told_at_once():
    assert problems_of(
        """
        length: -5
        warm_up: 5m
        agents:
          small: {count: 0, resources: {cpus: x, mem: 1GB}, atributes: {}}
          big: 5
        frameworks:
          f:
            workloads:
              w:
                arrivals: {kind: sometimes}
                task: {}
                duration: {kind: exponential}
              v: {}
        """
    ) == [
        "length: must be above 0, not -5",
        "agents.small.count: must be a whole number from 1 to 1,000,000, not 0",
        "agents.small.resources.cpus: must be a number that is not negative, not 'x'",
        "agents.small: 'atributes' is not known here; did you mean 'attributes'?"
        " (known: failures, attributes, count, resources)",
        "agents.big: must be a mapping, not 5",
        "frameworks.f.role: is missing",
        "frameworks.f.workloads.w.task: names no resource",
        "frameworks.f.workloads.w.duration.mean: is missing",
        "frameworks.f.workloads.w.arrivals.kind: must be one of poisson, periodic, at_once, trace, not 'sometimes'",
        "frameworks.f.workloads.v.task: is missing",
        "frameworks.f.workloads.v.duration: is missing",
        "frameworks.f.workloads.v.arrivals: is missing",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ["must be a mapping"]),
        ("- a", ["must be a mapping, not ['a']"]),
        ("length: [1", ["line 1, column 11: this is not YAML: expected ',' or ']', but got '<stream end>'"]),
        ("a: 1\na: 2\nb: {c: 1, c: 2}", ["line 2: 'a' stands in this mapping twice", "line 3: 'c' stands in this mapping twice"]),
        ("length: !!python/object:os.system 1", ["line 1, column 9: this is not YAML: could not determine a constructor for the tag 'tag:yaml.org,2002:python/object:os.system'"]),
        ("a: \x07", ["this is not YAML: unacceptable character #x0007: special characters are not allowed in \"<unicode string>\", position 3"]),
        ("{" * 5000, ["this is not YAML: maximum recursion depth exceeded"]),
    ],
)  # fmt: skip
def test_what_is_no_yaml_is_told_with_its_place(text, told):
    found = problems_of(text)
    assert len(found) == len(told)
    for problem, begin in zip(found, told, strict=True):
        assert problem.startswith(begin)


def test_bad_json_is_told():
    with pytest.raises(Invalid, match="this is not JSON: Expecting"):
        parse("{'a': 1}", as_json=True)
    with pytest.raises(Invalid, match="a: stands here twice"):
        parse('{"a": 1, "a": 2}', as_json=True)


def test_agents_that_nobody_is_offered_are_a_problem():
    (problem,) = problems_of(GOOD.replace("mem: 8GB}", "mem: 8GB, gpus: 1}"))
    assert problem == "frameworks.web: all agents have gpus, and are kept for frameworks that ask for some"


# ── what-ifs ────────────────────────────────────────────────────────────────────────────────────────
def test_changes_set_add_and_take_out_values_and_leave_the_document_alone():
    document = parse(GOOD)
    after = changed(
        document,
        "agents.small.count=50, frameworks.web.refuse=5s,frameworks.web.workloads.servers.constraints={rack: [a, b]},"
        "agents.gpu=null,agents.new={count: 1, resources: {cpus: 64}}",
    )
    assert after["agents"]["small"]["count"] == 50
    assert after["frameworks"]["web"]["refuse"] == "5s"
    assert after["frameworks"]["web"]["workloads"]["servers"]["constraints"] == {"rack": ["a", "b"]}
    assert list(after["agents"]) == ["small", "new"]
    assert document == parse(GOOD)
    read_study(after, no_file)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("agents.smal.count=5", "agents: there is no 'smal' here; did you mean 'small'?"),
        ("agnets.small.count=5", "there is no 'agnets' here; did you mean 'agents'?"),
        ("agents.small.count.x=5", "agents.small.count: has nothing below it, so there is no 'agents.small.count.x'"),
        ("more agents", "'more agents' is not of the form path=value"),
        ("length=[1", "line 1, column 3: this is not YAML"),
    ],
)  # fmt: skip
def test_a_change_of_what_is_not_there_is_told(change, told):
    with pytest.raises(Invalid) as caught:
        changed(parse(GOOD), change)
    assert str(caught.value).startswith(told)
