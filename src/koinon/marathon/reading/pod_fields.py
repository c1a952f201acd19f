"""The fields of a pod, by the kind of their values (reference: Marathon's REST API, pods)."""

from __future__ import annotations

from koinon.marathon.reading.fields import (
    ANY_PORT,
    CAPACITY,
    COUNT,
    EXEC_CHECK,
    EXECUTOR_RESOURCES,
    FETCH,
    KILL_SELECTION,
    LABELS,
    LINUX_INFO,
    LOCATION,
    NAME,
    NETWORK,
    NETWORK_NAME,
    PATH_ID,
    PERSISTENT,
    POD_ENV,
    PORT,
    PULL_CONFIG,
    RESOURCE_LIMITS,
    SECRETS,
    SHELL_OR_ARGV,
    TIMESTAMP,
    UNREACHABLE,
)
from koinon.marathon.reading.schema import Flag, Listed, Number, Object, OneOf, Text

ENDPOINT = Object(
    {
        "name": NAME,
        "containerPort": PORT,
        "hostPort": ANY_PORT,
        "protocol": Listed(NAME, least=1),
        "labels": LABELS,
        "networkNames": Listed(NETWORK_NAME),
    },
    required=["name"],
)
_ENDPOINT_CHECKS = {
    "http": Object(
        {"endpoint": NAME, "path": LOCATION, "scheme": OneOf("HTTP", "HTTPS")}, required=["endpoint"]
    ),
    "tcp": Object({"endpoint": NAME}, required=["endpoint"]),
    "exec": EXEC_CHECK,
    "intervalSeconds": COUNT,
    "timeoutSeconds": COUNT,
    "delaySeconds": COUNT,
}
POD_CHECK = Object(_ENDPOINT_CHECKS)
POD_HEALTH_CHECK = Object(_ENDPOINT_CHECKS | {"gracePeriodSeconds": COUNT, "maxConsecutiveFailures": COUNT})
IMAGE = Object(
    {
        "id": LOCATION,
        "kind": OneOf("DOCKER"),
        "forcePull": Flag(),
        "pullConfig": PULL_CONFIG,
        "labels": LABELS,
    },
    required=["id", "kind"],
)
POD_CONTAINER = Object(
    {
        "name": NAME,
        "resources": Object(
            {
                "cpus": Number(least=0.001),
                "mem": Number(least=0.001),
                "disk": Number(least=0),
                "gpus": COUNT,
            }
        ),
        "resourceLimits": RESOURCE_LIMITS,
        "exec": Object({"command": SHELL_OR_ARGV, "overrideEntrypoint": Flag()}, required=["command"]),
        "image": IMAGE,
        "endpoints": Listed(ENDPOINT),
        "environment": POD_ENV,
        "user": Text(),
        "healthCheck": POD_HEALTH_CHECK,
        "check": POD_CHECK,
        "volumeMounts": Listed(
            Object({"name": NAME, "mountPath": LOCATION, "readOnly": Flag()}, required=["name", "mountPath"])
        ),
        "artifacts": Listed(FETCH),
        "labels": LABELS,
        "lifecycle": Object({"killGracePeriodSeconds": Number(least=0)}),
        "tty": Flag(),
        "linuxInfo": LINUX_INFO,
    },
    required=["name", "resources"],
)
SCHEDULING = Object(
    {
        "backoff": Object(
            {"backoff": Number(least=0), "backoffFactor": Number(least=0), "maxLaunchDelay": Number(least=0)}
        ),
        "upgrade": Object({"minimumHealthCapacity": CAPACITY, "maximumOverCapacity": CAPACITY}),
        "placement": Object(
            {
                "constraints": Listed(
                    Object(
                        {
                            "fieldName": Text(),
                            "operator": OneOf(
                                "UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "UNLIKE", "MAX_PER", "IS"
                            ),
                            "value": Text(),
                        },
                        required=["fieldName", "operator"],
                    ),
                    unique=True,
                ),
                "acceptedResourceRoles": Listed(Text(), unique=True),
            }
        ),
        "killSelection": KILL_SELECTION,
        "unreachableStrategy": UNREACHABLE,
    }
)
POD = Object(
    {
        "id": PATH_ID,
        "labels": LABELS,
        "version": TIMESTAMP,
        "user": Text(least=1),
        "environment": POD_ENV,
        "containers": Listed(POD_CONTAINER, least=1),
        "secrets": SECRETS,
        "volumes": Listed(
            Object(
                {"name": NAME, "host": Text(least=1), "persistent": PERSISTENT, "secret": Text(least=1)},
                required=["name"],
            )
        ),
        "networks": Listed(NETWORK),
        "scaling": Object({"kind": OneOf("fixed"), "instances": COUNT}),
        "scheduling": SCHEDULING,
        "executorResources": EXECUTOR_RESOURCES,
        "linuxInfo": LINUX_INFO,
        "legacySharedCgroups": Flag(),
        "role": Text(least=1),
    },
    required=["id", "containers"],
)
