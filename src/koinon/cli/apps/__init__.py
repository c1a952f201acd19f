"""Services: `koinon app …`, `koinon plan`, `koinon deploy`. They ask Marathon, over its public API.

client     HTTP to a Marathon, and which one        documents  files with apps, groups and pods
listing    what there is, as tables                 progress   a deployment, watched to its end
command    `koinon app …`                           plan, deploy
"""
