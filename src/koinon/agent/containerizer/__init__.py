"""Containerizers: the ways to run a container, behind one interface (`base.Containerizer`)."""
