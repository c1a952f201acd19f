"""What Marathon stores and shows: apps, pods, groups, instances, deployments.

All types are frozen. Their fields are named in JSON as the API names them (`rename="camel"`); optional ones are None
when unset. What a request may leave out has been filled in when one of these exists.
"""

from koinon.marathon.model import ids, versions
from koinon.marathon.model.app import App
from koinon.marathon.model.pod import Pod
from koinon.marathon.model.records import Deployment, Instance, TaskFailure
from koinon.marathon.model.root import Group, Root

__all__ = ["App", "Deployment", "Group", "Instance", "Pod", "Root", "TaskFailure", "ids", "versions"]
