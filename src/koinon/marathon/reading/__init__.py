"""JSON bodies → the types of `koinon.marathon.model`, with all problems at once."""

from koinon.marathon.model.problems import Invalid, Problem
from koinon.marathon.reading.apps import app, updated
from koinon.marathon.reading.groups import (
    ScaleBy,
    Structure,
    ToVersion,
    group_patch,
    group_request,
    version_asked,
)
from koinon.marathon.reading.pods import pod
from koinon.marathon.reading.tree import default_role, tree_problems

__all__ = [
    "Invalid",
    "Problem",
    "ScaleBy",
    "Structure",
    "ToVersion",
    "app",
    "default_role",
    "group_patch",
    "group_request",
    "pod",
    "tree_problems",
    "updated",
    "version_asked",
]
