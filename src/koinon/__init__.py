"""Koinon: a cluster manager that speaks the APIs of Apache Mesos, Marathon and Chronos."""

__version__ = "0.1.0"

#: The release of Apache Mesos whose API we speak; clients parse it as three numbers.
MESOS_VERSION = "1.11.0"
