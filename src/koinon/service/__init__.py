"""What a service on the cluster needs besides its core: shared by Marathon and Chronos.

A *service* is a framework that people talk to over HTTP. Several processes of it stand for election; one *leads*, with a
core, a store and a subscription to the master, the others *stand by* and pass on each request to it.

    exits           how a process ends, and with what status
    flags           the flags that services share, and their conventions
    leadership      standing by → preparing → leading; the store that goes with it
    large           commits that are too large for ZooKeeper, in pieces
    driver          the SDK's scheduler, driven so that tasks outlive us
    loop            core events in, effects out
    http            the port: listens, stops gracefully
    gate            what happens to every request: authentication, CORS, limits, compression
    proxy           passes requests on to the leader
    authentication  who asks
    answers         JSON, and errors as JSON
    lists           long answers, in pieces
    system          flags, level of the log, a page
    metrics         numbers, as JSON and for Prometheus
    process         all of that, put together
"""
