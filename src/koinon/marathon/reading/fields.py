"""The fields of an app, by the kind of their values (reference: Marathon's REST API, the app definition)."""

from __future__ import annotations

from koinon.marathon.reading.schema import Anything, Either, Flag, Listed, Mapped, Number, Object, OneOf, Text

_PART = r"(?!-)[a-z0-9-]+(?<!-)"
_SEGMENT = rf"(?:\.{{1,2}}|{_PART}(?:\.{_PART})*)"
_NAME_RULE = "must be of lower-case letters, digits and hyphens, with no hyphen at its ends"
PATH_ID = Text(
    least=1,
    most=255,
    pattern=rf"/*(?:{_SEGMENT}(?:/+{_SEGMENT})*/*)?",
    words="path",
    rule="must be a path whose segments are of lower-case letters, digits, hyphens and dots, with letters or digits "
    "at both ends",
)
NAME = Text(least=1, most=63, pattern=_PART, words="name", rule=_NAME_RULE)
PORT_NAME = Text(least=1, pattern=_PART, words="name", rule=_NAME_RULE)
NETWORK_NAME = Text(
    least=1,
    most=63,
    pattern=r"[a-z0-9](?:[-a-z0-9_]*[a-z0-9])?",
    words="name",
    rule="must be of lower-case letters, digits, hyphens and underscores, with letters or digits at both ends",
)
LOCATION = Text(least=1, most=1024)
PORT = Number(least=1, most=65535, whole=True)
ANY_PORT = Number(least=0, most=65535, whole=True)
COUNT = Number(least=0, whole=True)
SIZE = Number(least=0, most=2**63 - 1, whole=True, words="integer (MiB)")
PROTOCOL = OneOf("tcp", "udp", "udp,tcp")
LABELS = Mapped(Text())
SECRET_REF = Object({"secret": Text()}, required=["secret"])
ENV = Mapped(Either(Text(), SECRET_REF))
POD_ENV = Mapped(Either(Text(), SECRET_REF), names=r"[a-zA-Z_][a-zA-Z0-9_]{0,253}")
SECRETS = Mapped(Object({"source": Text(least=1)}, required=["source"]))
TIMESTAMP = Text(
    pattern=r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?", words="timestamp"
)
KILL_SELECTION = OneOf("YOUNGEST_FIRST", "OLDEST_FIRST")
UNREACHABLE = Either(OneOf("disabled"), Object({"inactiveAfterSeconds": COUNT, "expungeAfterSeconds": COUNT}))
CAPACITY = Number(least=0, most=1)
PULL_CONFIG = Object({"secret": Text(least=1)}, required=["secret"])

FETCH = Object(
    {"uri": LOCATION, "extract": Flag(), "executable": Flag(), "cache": Flag(), "destPath": LOCATION},
    required=["uri"],
)
LINUX_INFO = Object(
    {
        "seccomp": Object({"profileName": Text(), "unconfined": Flag()}),
        "ipcInfo": Object(
            {"mode": OneOf("PRIVATE", "SHARE_PARENT"), "shmSize": COUNT},
            required=["mode"],
        ),
    }
)
NETWORK = Object(
    {"mode": OneOf("host", "container", "container/bridge"), "name": NETWORK_NAME, "labels": LABELS}
)
RESOURCE_LIMITS = Object({name: Either(OneOf("unlimited"), Number(least=0)) for name in ("cpus", "mem")})
EXECUTOR_RESOURCES = Object({"cpus": Number(least=0.1), "mem": Number(least=32), "disk": Number(least=10)})

PORT_MAPPING = Object(
    {
        "containerPort": ANY_PORT,
        "hostPort": ANY_PORT,
        "servicePort": ANY_PORT,
        "protocol": PROTOCOL,
        "name": PORT_NAME,
        "labels": LABELS,
        "networkNames": Listed(NETWORK_NAME),
    }
)
PERSISTENT = Object(
    {
        "size": SIZE,
        "type": OneOf("root", "path", "mount"),
        "maxSize": SIZE,
        "profileName": Text(least=1),
        "constraints": Listed(Listed(Text(), least=2, most=3)),
    },
    required=["size"],
)


EXTERNAL = Object(
    {"name": Text(), "provider": Text(), "size": COUNT, "options": Anything(), "shared": Flag()},
    required=["name", "provider"],
)
VOLUME = Object(
    {
        "containerPath": Text(least=1),
        "mode": OneOf("RO", "RW"),
        "hostPath": Text(least=1),
        "persistent": PERSISTENT,
        "external": EXTERNAL,
        "secret": Text(least=1),
    },
    required=["containerPath"],
)
DOCKER = Object(
    {
        "image": Text(least=1),
        "forcePullImage": Flag(),
        "privileged": Flag(),
        "parameters": Listed(Object({"key": Text(least=1), "value": Text()}, required=["key", "value"])),
        "pullConfig": PULL_CONFIG,
        # deprecated
        "network": OneOf("BRIDGE", "HOST", "NONE", "USER"),
        "portMappings": Listed(PORT_MAPPING),
        "credential": Anything(),
    },
    required=["image"],
)
CONTAINER = Object(
    {
        "type": OneOf("MESOS", "DOCKER"),
        "docker": DOCKER,
        "volumes": Listed(VOLUME),
        "portMappings": Listed(PORT_MAPPING),
        "linuxInfo": LINUX_INFO,
    }
)
PORT_DEFINITION = Object({"port": ANY_PORT, "protocol": PROTOCOL, "name": PORT_NAME, "labels": LABELS})
HEALTH_CHECK = Object(
    {
        "protocol": OneOf("HTTP", "HTTPS", "TCP", "COMMAND", "MESOS_HTTP", "MESOS_HTTPS", "MESOS_TCP"),
        "gracePeriodSeconds": COUNT,
        "intervalSeconds": COUNT,
        "timeoutSeconds": COUNT,
        "delaySeconds": COUNT,
        "maxConsecutiveFailures": COUNT,
        "path": Text(),
        "port": ANY_PORT,
        "portIndex": ANY_PORT,
        "ignoreHttp1xx": Flag(),
        "ipProtocol": OneOf("IPv4", "IPv6"),
        "command": Object({"value": Text()}, required=["value"]),
    }
)
SHELL_OR_ARGV = Object({"shell": Text(least=1), "argv": Listed(Text(least=1), least=1)})
EXEC_CHECK = Object({"command": SHELL_OR_ARGV}, required=["command"])
CHECK = Object(
    {
        "http": Object(
            {"path": LOCATION, "scheme": OneOf("HTTP", "HTTPS"), "port": ANY_PORT, "portIndex": ANY_PORT}
        ),
        "tcp": Object({"port": ANY_PORT, "portIndex": ANY_PORT}),
        "exec": EXEC_CHECK,
        "intervalSeconds": COUNT,
        "timeoutSeconds": COUNT,
        "delaySeconds": COUNT,
    }
)
READINESS_CHECK = Object(
    {
        "name": Text(least=1),
        "protocol": OneOf("HTTP", "HTTPS"),
        "path": LOCATION,
        "portName": PORT_NAME,
        "intervalSeconds": COUNT,
        "timeoutSeconds": COUNT,
        "httpStatusCodesForReady": Listed(Number(least=100, most=999, whole=True), unique=True),
        "preserveLastResponse": Flag(),
    }
)
IP_ADDRESS = Object(
    {
        "discovery": Object(
            {
                "ports": Listed(
                    Object(
                        {"number": ANY_PORT, "name": PORT_NAME, "protocol": PROTOCOL, "labels": LABELS},
                        required=["name"],
                    )
                )
            }
        ),
        "groups": Listed(Text()),
        "labels": LABELS,
        "networkName": Text(least=1),
    }
)

#: Of an app; `id` is demanded where one is needed.
APP_FIELDS = {
    "id": PATH_ID,
    "cmd": Text(least=1),
    "args": Listed(Text()),
    "container": CONTAINER,
    "instances": COUNT,
    "cpus": Number(least=0.001),
    "mem": Number(least=0),
    "disk": Number(least=0),
    "gpus": COUNT,
    "resourceLimits": RESOURCE_LIMITS,
    "env": ENV,
    "secrets": SECRETS,
    "labels": LABELS,
    "constraints": Listed(Listed(Text(), least=2, most=3), unique=True),
    "fetch": Listed(FETCH),
    "portDefinitions": Listed(PORT_DEFINITION),
    "requirePorts": Flag(),
    "networks": Listed(NETWORK),
    "healthChecks": Listed(HEALTH_CHECK, unique=True),
    "check": CHECK,
    "readinessChecks": Listed(READINESS_CHECK),
    "upgradeStrategy": Object({"minimumHealthCapacity": CAPACITY, "maximumOverCapacity": CAPACITY}),
    "backoffSeconds": COUNT,
    "backoffFactor": Number(least=1),
    "maxLaunchDelaySeconds": COUNT,
    "taskKillGracePeriodSeconds": COUNT,
    "killSelection": KILL_SELECTION,
    "unreachableStrategy": UNREACHABLE,
    "residency": Object(
        {
            "relaunchEscalationTimeoutSeconds": COUNT,
            "taskLostBehavior": OneOf("WAIT_FOREVER", "RELAUNCH_AFTER_TIMEOUT"),
        }
    ),
    "dependencies": Listed(PATH_ID, unique=True),
    "acceptedResourceRoles": Listed(Text(), unique=True),
    "role": Text(least=1),
    "user": Text(),
    "executor": Text(pattern=r"//cmd|/?[^/]+(/[^/]+)*|"),
    "executorResources": EXECUTOR_RESOURCES,
    "tty": Flag(),
    "version": TIMESTAMP,
    # deprecated
    "ports": Listed(ANY_PORT),
    "uris": Listed(LOCATION),
    "ipAddress": IP_ADDRESS,
}
APP = Object(APP_FIELDS, required=["id"])
APP_UPDATE = Object(APP_FIELDS)
