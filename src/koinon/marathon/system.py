"""What Marathon tells about itself: `/v2/info`, `/config`, `/logging`, `/help`."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from koinon import __version__
from koinon.marathon.flags import MarathonFlags
from koinon.service.system import own_routes, to_page

#: The release of Marathon whose API we speak.
MARATHON_VERSION = "1.10.0"

#: There is no other page yet: it says what there is instead. Its links work behind proxies with a path of their own, too.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Marathon</title>
<h1>Marathon</h1>
<p>This is Marathon's REST API. It has no web interface yet. To look around:
<ul>
<li><a href="../v2/apps">/v2/apps</a>, <a href="../v2/groups">/v2/groups</a>, <a href="../v2/pods/::status">/v2/pods</a>:
what is to run, and what runs of it
<li><a href="../v2/tasks">/v2/tasks</a>: where it runs
<li><a href="../v2/deployments">/v2/deployments</a>: what is being changed
<li><a href="../v2/queue">/v2/queue</a>: what waits, and for what
<li><a href="../v2/info">/v2/info</a>, <a href="../v2/leader">/v2/leader</a>, <a href="../metrics">/metrics</a>: this
service itself
</ul>
<p>On the command line:
<pre style="overflow-x: auto">
koinon app list             what there is
koinon app show /ID         one app or pod
koinon deploy FILE --wait   make it what a file says
koinon why /ID              why it is as it is
</pre>
</html>
"""


def about(
    flags: MarathonFlags,
    *,
    port: int,
    hostname: str,
    leader: str | None,
    elected: bool,
    framework_id: str | None,
    leader_ui_url: str | None,
    webui_url: str,
) -> dict[str, Any]:
    """What `/v2/info` answers. Times are milliseconds, but `failover_timeout`, which is seconds."""
    found: dict[str, Any] = {
        "name": "marathon",
        "version": MARATHON_VERSION,
        "buildref": f"koinon-{__version__}",
        "elected": elected,
        "leader": leader,
        "frameworkId": framework_id,
        "marathon_config": {
            "access_control_allow_origin": list(flags.access_control_allow_origin or ()) or None,
            "checkpoint": flags.checkpoint,
            "decline_offer_duration": _ms(flags.decline_offer_duration),
            "default_network_name": flags.default_network_name,
            "env_vars_prefix": flags.env_vars_prefix,
            "executor": flags.executor,
            "failover_timeout": round(flags.failover_timeout),
            "features": sorted(flags.enable_features),
            "framework_name": flags.framework_name,
            "ha": flags.ha,
            "hostname": hostname,
            "launch_token": flags.launch_tokens,
            "launch_token_refresh_interval": _ms(flags.launch_token_refresh_interval),
            "leader_proxy_connection_timeout_ms": _ms(flags.leader_proxy_connection_timeout),
            "leader_proxy_read_timeout_ms": _ms(flags.leader_proxy_read_timeout),
            "local_port_max": flags.local_port_max,
            "local_port_min": flags.local_port_min,
            "maintenance_mode": flags.maintenance_mode,
            "master": str(flags.master),
            "max_instances_per_offer": flags.max_instances_per_offer,
            "mesos_bridge_name": flags.mesos_bridge_name,
            "mesos_leader_ui_url": leader_ui_url,
            "mesos_role": flags.mesos_role,
            "mesos_user": flags.mesos_user,
            "min_revive_offers_interval": _ms(flags.min_revive_offers_interval),
            "new_group_enforce_role": flags.new_group_enforce_role,
            "offer_matching_timeout": _ms(flags.offer_matching_timeout),
            "on_elected_prepare_timeout": _ms(flags.on_elected_prepare_timeout),
            "reconciliation_initial_delay": _ms(flags.reconciliation_initial_delay),
            "reconciliation_interval": _ms(flags.reconciliation_interval),
            "scale_apps_initial_delay": _ms(flags.scale_apps_initial_delay),
            "scale_apps_interval": _ms(flags.scale_apps_interval),
            "store_cache": flags.store_cache,
            "task_launch_confirm_timeout": _ms(flags.task_launch_confirm_timeout),
            "task_launch_timeout": _ms(flags.task_launch_timeout),
            "task_lost_expunge_initial_delay": _ms(flags.task_lost_expunge_initial_delay),
            "task_lost_expunge_interval": _ms(flags.task_lost_expunge_interval),
            "webui_url": webui_url,
        },
        "zookeeper_config": {
            "zk": None if flags.zk is None else str(flags.zk),
            "zk_compression": flags.zk_compression,
            "zk_compression_threshold": flags.zk_compression_threshold,
            "zk_connection_timeout": _ms(flags.zk_connection_timeout),
            "zk_max_node_size": flags.zk_max_node_size,
            "zk_max_versions": flags.zk_max_versions,
            "zk_session_timeout": _ms(flags.zk_session_timeout),
            "zk_timeout": _ms(flags.zk_timeout),
        },
        "http_config": {"http_port": port},
    }
    return {
        name: _without_none(value) if isinstance(value, dict) else value
        for name, value in _without_none(found).items()
    }


def system_routes(flags: MarathonFlags) -> list[web.RouteDef]:
    """Handlers for the paths of this module but `/v2/info`."""
    return [*own_routes(flags, _PAGE), web.get("/help", to_page)]


def _ms(duration_s: float) -> int:
    return round(duration_s * 1000)


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
