"""What people ask for, as changes of all definitions: pure functions `(root, …) -> Root`.

In the root that they answer, what has not changed is the same object as before; what has changed still carries its old
`version` and `version_info` (new things: none), because versions (`stamp`) and service ports (`assign`) are given when it
is deployed. Each function checks the whole before it answers, and raises a `Refused` (404, 409, 422) with nothing changed.
"""

from koinon.marathon.core.changes.apps import (
    create_app,
    create_pod,
    delete_app,
    delete_pod,
    patch_app,
    patch_apps,
    put_app,
    put_apps,
    put_pod,
    rollback_app,
    scale_app,
    scale_down,
)
from koinon.marathon.core.changes.groups import (
    create_group,
    delete_group,
    group_id,
    patch_group,
    put_group,
    rollback_group,
    scale_group,
)
from koinon.marathon.core.changes.service_ports import assign
from koinon.marathon.core.changes.stamping import stamp
from koinon.marathon.reading import ScaleBy, Structure, ToVersion, group_request, version_asked

__all__ = [
    "ScaleBy",
    "Structure",
    "ToVersion",
    "assign",
    "create_app",
    "create_group",
    "create_pod",
    "delete_app",
    "delete_group",
    "delete_pod",
    "group_id",
    "group_request",
    "patch_app",
    "patch_apps",
    "patch_group",
    "put_app",
    "put_apps",
    "put_group",
    "put_pod",
    "rollback_app",
    "rollback_group",
    "scale_app",
    "scale_down",
    "scale_group",
    "stamp",
    "version_asked",
]
