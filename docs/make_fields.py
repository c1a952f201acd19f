"""Writes the reference page of what Marathon reads: the fields of apps, pods and groups.

    python docs/make_fields.py

Kinds and defaults come from the code; a field without a sentence here is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from koinon.marathon.model import app as apps
from koinon.marathon.model import pod as pods
from koinon.marathon.reading import fields, groups, pod_fields
from koinon.marathon.reading.schema import Kind, Listed, Mapped, Object

PAGE = Path(__file__).parent / "reference" / "marathon-fields.md"

_INTRODUCTION = """# Marathon: fields of apps, pods and groups

Written by `docs/make_fields.py`. Do not edit: change the code, then `make docs`.

What `/v2/apps`, `/v2/pods` and `/v2/groups` take. Fields that are unknown are ignored, null is the same as left out.
**Bold** fields must be given. Sizes are MiB, times seconds.

In a partial update (PUT unless `?partialUpdate=false`, PATCH) each top-level field that is there replaces the old one
whole, null brings it back to its default, and all others stay.

A definition that is wrong is answered with 422 and *all* its problems, each with its path:

```json
{"message":"Invalid JSON","details":[{"path":"/container/docker/image","errors":["error.path.missing","must be given"]},
  {"path":"/instances","errors":["error.min","must be 0 or more"]}]}
{"message":"Object is not valid","details":[{"path":"/constraints(1)","errors":["MAX_PER requires an integer value"]}]}
```

`Invalid JSON` speaks of the form (types, ranges, patterns) and has the codes that clients of Marathon know;
`Object is not valid` speaks of the meaning. What is not JSON at all is answered with 400.

Not there yet, and refused: persistent and external volumes, secrets.
"""

#: What a table shows, the kind that says what is read, and the type with the defaults.
_APP: tuple[tuple[str, Object, type[msgspec.Struct] | None], ...] = (
    ("App", fields.APP, apps.App),
    ("container", fields.CONTAINER, apps.Container),
    ("container.docker", fields.DOCKER, apps.Docker),
    ("container.volumes[]", fields.VOLUME, apps.Volume),
    ("container.portMappings[]", fields.PORT_MAPPING, apps.PortMapping),
    ("container.linuxInfo", fields.LINUX_INFO, apps.LinuxInfo),
    ("portDefinitions[]", fields.PORT_DEFINITION, apps.PortDefinition),
    ("networks[]", fields.NETWORK, None),
    ("fetch[]", fields.FETCH, apps.Fetch),
    ("healthChecks[]", fields.HEALTH_CHECK, apps.HealthCheck),
    ("check", fields.CHECK, apps.Check),
    ("readinessChecks[]", fields.READINESS_CHECK, apps.ReadinessCheck),
)
_POD: tuple[tuple[str, Object, type[msgspec.Struct] | None], ...] = (
    ("Pod", pod_fields.POD, pods.Pod),
    ("containers[]", pod_fields.POD_CONTAINER, pods.PodContainer),
    ("containers[].endpoints[]", pod_fields.ENDPOINT, pods.Endpoint),
    ("containers[].healthCheck", pod_fields.POD_HEALTH_CHECK, pods.PodHealthCheck),
    ("scheduling", pod_fields.SCHEDULING, pods.Scheduling),
)
_GROUP: tuple[tuple[str, Object, type[msgspec.Struct] | None], ...] = (("Group", groups.GROUP, None),)

#: By table and field; `*`: in any table.
_SENTENCES: Mapping[str, Mapping[str, str]] = {
    "App": {
        "id": "path of lower-case letters, digits, hyphens and dots; relative ones are seen from the enclosing group;"
        " the last segment must not be `restart`, `tasks` or `versions`; at most 255 characters, and so many that"
        " those of task ids are not more (an app: 196)",
        "cmd": "run by `/bin/sh -c`; not together with `args`",
        "args": "run without a shell, or given to the image's entrypoint; not together with `cmd`",
        "container": "what it runs in; without one, `cmd` or `args` must be given",
        "instances": "at most 1 with the label `MARATHON_SINGLE_INSTANCE_APP=true`",
        "cpus": "",
        "mem": "",
        "disk": "",
        "gpus": "needs the feature `gpu_resources`; not with containers of type DOCKER",
        "resourceLimits": '`cpus`, `mem`: a number not below the request, or `"unlimited"`',
        "env": 'values that are `{"secret":"NAME"}` are refused: not there yet',
        "secrets": "refused: not there yet",
        "labels": "",
        "constraints": "`[field, operator, value]`: UNIQUE, CLUSTER, GROUP_BY, MAX_PER, LIKE, UNLIKE, IS",
        "fetch": "what is there before it starts",
        "portDefinitions": "with host networking; by default one port named `default`, `[]` for none",
        "requirePorts": "the numbers of `portDefinitions` are host ports, too; those that were 0 stay dynamic",
        "networks": "by default the host's; either one host, one bridge, or container networks",
        "healthChecks": "at most one of MESOS_HTTP, MESOS_HTTPS, MESOS_TCP",
        "check": "shown with the task, never a reason to kill; not with containers of type DOCKER",
        "readinessChecks": "at most one",
        "upgradeStrategy": "`minimumHealthCapacity`, `maximumOverCapacity`, from 0 to 1; both 0 for apps of a single"
        " instance",
        "backoffSeconds": "after the first failure; then times `backoffFactor`, up to `maxLaunchDelaySeconds`",
        "backoffFactor": "",
        "maxLaunchDelaySeconds": "",
        "taskKillGracePeriodSeconds": "between SIGTERM and SIGKILL; by default the agent's",
        "killSelection": "who goes first when it is scaled down",
        "unreachableStrategy": "`inactiveAfterSeconds` until it is replaced, `expungeAfterSeconds` until it is forgotten;"
        ' or `"disabled"`',
        "residency": "deprecated; without effect",
        "dependencies": "apps and groups that are started and upgraded before; no cycles",
        "acceptedResourceRoles": "`*` and the app's own role, or one of them; by default any",
        "role": "by default `--mesos_role`; may be the name of the top-level group, and must be where that enforces it",
        "user": "by default the framework's",
        "executor": "`//cmd`, empty, or the path of one",
        "executorResources": "`cpus`, `mem`, `disk` of a custom executor",
        "tty": "",
        "version": "of an update: go back to that version, and nothing else",
        "ports": "deprecated: see `portDefinitions`",
        "uris": "deprecated: see `fetch`; archives are unpacked",
        "ipAddress": "deprecated: see `networks`",
    },
    "container": {
        "type": "the engine",
        "docker": "the image; DOCKER must have one",
        "volumes": "",
        "portMappings": "with other than host networking; by default one named `default`, `[]` for none",
        "linuxInfo": "for the engine MESOS",
    },
    "container.docker": {
        "image": "",
        "forcePullImage": "pull it even if the agent has it",
        "privileged": "for the engine DOCKER",
        "parameters": "`{key, value}` for the command line of the engine DOCKER",
        "pullConfig": "refused: not there yet",
        "network": "deprecated: see `networks`; BRIDGE, HOST or USER",
        "portMappings": "deprecated: see `container.portMappings`",
        "credential": "refused",
    },
    "container.volumes[]": {
        "containerPath": "where it is seen",
        "mode": "must be given for a host volume",
        "hostPath": "a path of the agent's. One of this and the next three must be given",
        "persistent": "refused: not there yet",
        "external": "refused: not there yet",
        "secret": "refused: not there yet",
    },
    "container.portMappings[]": {
        "containerPort": "0: the same number as the host port",
        "hostPort": "0: any; of a bridge that is the default, otherwise none is taken",
        "servicePort": "0: one of `--local_port_min` to `--local_port_max`, unique over all apps",
        "protocol": "",
        "name": "unique in the app",
        "labels": "",
        "networkNames": "which of several networks; must be one if there is a `hostPort`",
    },
    "container.linuxInfo": {
        "seccomp": "`{profileName}` or `{unconfined: true}`",
        "ipcInfo": "`{mode: PRIVATE or SHARE_PARENT, shmSize}`; a size only with PRIVATE",
    },
    "portDefinitions[]": {
        "port": "the service port, and with `requirePorts` the host port; 0: one of `--local_port_min` to"
        " `--local_port_max`, unique over all apps",
        "protocol": "",
        "name": "unique in the app",
        "labels": "",
    },
    "networks[]": {
        "mode": "by default `container`, in an entry of the list",
        "name": "of a container network; by default `--default_network_name`",
        "labels": "not with the host's",
    },
    "fetch[]": {
        "uri": "",
        "extract": "unpack it",
        "executable": "",
        "cache": "keep it on the agent for the next time",
        "destPath": "where in the sandbox",
    },
    "healthChecks[]": {
        "protocol": "HTTP, HTTPS and TCP are made by Marathon, the others by the agent",
        "gracePeriodSeconds": "failures are ignored that long, unless it has been healthy before",
        "intervalSeconds": "",
        "timeoutSeconds": "",
        "delaySeconds": "before the first one; of those made by the agent",
        "maxConsecutiveFailures": "so many are the end of the task; 0: never",
        "path": "of HTTP kinds; by default `/`",
        "port": "wins over `portIndex`",
        "portIndex": "which of the app's ports, from 0; by default the first",
        "ignoreHttp1xx": "answers of 1xx say nothing",
        "ipProtocol": "IPv6 with MESOS_ protocols and the engine DOCKER",
        "command": "`{value}`: a shell line, for COMMAND",
    },
    "check": {
        "http": "`{path, scheme, port or portIndex}`. One of the three must be given",
        "tcp": "`{port or portIndex}`",
        "exec": "`{command: {shell} or {argv}}`",
        "intervalSeconds": "",
        "timeoutSeconds": "",
        "delaySeconds": "",
    },
    "readinessChecks[]": {
        "name": "",
        "protocol": "",
        "path": "",
        "portName": "of one of the app's ports",
        "intervalSeconds": "",
        "timeoutSeconds": "less than the interval",
        "httpStatusCodesForReady": "",
        "preserveLastResponse": "show it in the deployment",
    },
    "Pod": {
        "id": "as of an app",
        "containers": "launched together on one agent",
        "labels": "",
        "version": "ignored",
        "user": "",
        "environment": "of all containers",
        "secrets": "as of an app",
        "volumes": "`{name}` for one that lasts as long as the instance, or with `host`, a path of the agent's; each must be mounted",
        "networks": "as of an app",
        "scaling": "`{kind: fixed, instances}`",
        "scheduling": "",
        "executorResources": "`cpus`, `mem`, `disk`, besides those of the containers",
        "linuxInfo": "as of an app, without `seccomp`",
        "legacySharedCgroups": "all containers in one control group; not with `resourceLimits`",
        "role": "as of an app",
    },
    "containers[]": {
        "name": "unique in the pod",
        "resources": "`cpus` 1, `mem` 128, `disk` 0, `gpus` 0",
        "resourceLimits": "as of an app",
        "exec": "`{command: {shell} or {argv}, overrideEntrypoint}`",
        "image": "`{kind: DOCKER, id, forcePull, pullConfig, labels}`",
        "endpoints": "its ports",
        "environment": "wins over the pod's",
        "user": "wins over the pod's",
        "healthCheck": "made by the agent",
        "check": "as of an app, with `endpoint` instead of a port",
        "volumeMounts": "`{name, mountPath, readOnly}`",
        "artifacts": "like `fetch` of an app",
        "labels": "",
        "lifecycle": "`{killGracePeriodSeconds}`",
        "tty": "",
        "linuxInfo": "as of an app",
    },
    "containers[].endpoints[]": {
        "name": "unique in the pod",
        "containerPort": "must be given for container networks, must not with the host's",
        "hostPort": "0: any; by default 0, with container networks none",
        "protocol": "",
        "labels": "",
        "networkNames": "as of an app",
    },
    "containers[].healthCheck": {
        "http": "`{endpoint, path, scheme}`. One of the three must be given",
        "tcp": "`{endpoint}`",
        "exec": "`{command: {shell} or {argv}}`",
        "gracePeriodSeconds": "",
        "intervalSeconds": "",
        "timeoutSeconds": "less than the interval",
        "maxConsecutiveFailures": "",
        "delaySeconds": "",
    },
    "scheduling": {
        "backoff": "`backoff` 1, `backoffFactor` 1.15, `maxLaunchDelay` 300",
        "upgrade": "`minimumHealthCapacity` 1, `maximumOverCapacity` 1",
        "placement": "`constraints`: `{fieldName, operator, value}`; `acceptedResourceRoles`",
        "killSelection": "",
        "unreachableStrategy": "as of an app",
    },
    "Group": {
        "id": "relative to the path of the request",
        "apps": "full definitions: the group's apps become exactly these; left out: they stay",
        "groups": "the same with the groups in it",
        "dependencies": "hold for all apps below",
        "enforceRole": "of top-level groups: apps below have the group's role",
        "scaleBy": "alone: so many times the instances of each app below, rounded up",
        "version": "alone: all below becomes what it was in that version of the root",
    },
}


def pages() -> dict[Path, str]:
    """The generated page."""
    parts = [_INTRODUCTION]
    for tables in (_APP, _POD, _GROUP):
        for at, (title, kind, struct) in enumerate(tables):
            parts.append(_table(title, kind, struct, level=2 if at == 0 else 3))
    return {PAGE: "\n".join(parts)}


def _table(title: str, kind: Object, struct: type[msgspec.Struct] | None, level: int) -> str:
    defaults = _defaults(struct) if struct is not None else {}
    heading = title if level == 2 else f"`{title}`"
    lines = [f"{'#' * level} {heading}\n", "| field | value | default | |", "|---|---|---|---|"]
    for name, one in kind.fields.items():
        shown = f"**`{name}`**" if name in kind.required else f"`{name}`"
        lines.append(f"| {shown} | {_words(one)} | {defaults.get(name, '')} | {_SENTENCES[title][name]} |")
    return "\n".join(lines) + "\n"


def _defaults(struct: type[msgspec.Struct]) -> dict[str, str]:
    found = {}
    for field in msgspec.structs.fields(struct):
        default: Any = field.default
        if isinstance(default, str | int | float) and default != "":
            found[field.encode_name] = f"`{msgspec.json.encode(default).decode()}`"
    return found


def _words(kind: Kind) -> str:
    if isinstance(kind, Listed):
        return f"array of {_words(kind.item)}"
    if isinstance(kind, Mapped):
        return f"map of {_words(kind.item)}"
    return kind.words.replace("|", "\\|")


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
