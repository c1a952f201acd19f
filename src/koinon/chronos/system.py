"""What Chronos tells about itself, and what can be set while it runs: `/config`, `/logging`, `/ui/`."""

from __future__ import annotations

from aiohttp import web

from koinon.chronos.flags import ChronosFlags
from koinon.service.system import own_routes

#: There is no other page yet: it says what there is instead. Its links work behind proxies with a path of their own, too.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Chronos</title>
<h1>Chronos</h1>
<p>This is Chronos's REST API. It has no web interface yet. To look around:
<ul>
<li><a href="../v1/scheduler/jobs">/v1/scheduler/jobs</a>, <a href="../v1/scheduler/jobs/summary">…/summary</a>:
what is to run, and when
<li><a href="../v1/history/runs">/v1/history/runs</a>: what has run, and how it went
<li><a href="../v1/scheduler/graph/dot">/v1/scheduler/graph/dot</a>: which job runs after which
<li><a href="../v1/scheduler/stats/median">/v1/scheduler/stats/median</a>: how long jobs take
<li><a href="../leader">/leader</a>, <a href="../metrics">/metrics</a>: this service itself
</ul>
<p>On the command line:
<pre style="overflow-x: auto">
koinon job list             what there is
koinon job add FILE         make it what a file says
koinon job show NAME        one job
koinon job history NAME     what has become of its runs
koinon job logs NAME        what the latest one wrote
koinon why NAME             what it waits for
</pre>
</html>
"""


def system_routes(flags: ChronosFlags) -> list[web.RouteDef]:
    """Handlers for the paths of this module."""
    return own_routes(flags, _PAGE)
