"""Marathon: long-running services on the cluster, started, scaled, upgraded and kept alive.

A framework like any other: it speaks to masters through the SDK. Its core is pure (`koinon.marathon.core`); what people
ask for and what is stored are the types of `koinon.marathon.model`.
"""
