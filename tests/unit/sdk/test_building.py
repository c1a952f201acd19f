import subprocess
import sys

from koinon.mesos import v1
from koinon.sdk import Resources, framework_info, task_info

Capability = v1.FrameworkInfo.Capability


def test_a_framework_has_several_roles_and_the_capabilities_it_names():
    info = framework_info(
        "f", roles=["a", "b"], user="u", capabilities=["GPU_RESOURCES"], webui_url="http://x"
    )
    assert info == v1.FrameworkInfo(
        user="u",
        name="f",
        roles=["a", "b"],
        capabilities=[
            Capability(type=Capability.Type.MULTI_ROLE),
            Capability(type=Capability.Type.GPU_RESOURCES),
        ],
        webui_url="http://x",
    )


def test_a_task_belongs_to_the_agent_of_its_offer():
    offer = v1.Offer(
        id=v1.OfferID("O"), framework_id=v1.FrameworkID("F"), agent_id=v1.AgentID("S"), hostname="h"
    )
    resources = Resources.parse("cpus:1")
    task = task_info("t", offer, resources, command="true", name="nice", data=b"x")
    assert (task.task_id.value, task.agent_id.value, task.name, task.data) == ("t", "S", "nice", b"x")
    assert task.command == v1.CommandInfo(value="true")
    assert Resources.from_v1(task.resources) == resources
    assert task_info("t", offer, resources).name == "t"


def test_importing_the_sdk_loads_none_of_the_heavy_libraries():
    heavy = {"aiohttp", "google.protobuf", "structlog", "prometheus_client", "koinon.mesos.resources"}
    script = f"import sys, koinon.sdk; print({heavy!r} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout == "set()\n"
