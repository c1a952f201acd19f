"""The master: pure core, HTTP edge, agent channel, registry, views."""
