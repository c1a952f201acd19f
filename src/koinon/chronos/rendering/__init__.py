"""The types of `koinon.chronos.model` → what the API answers, under both prefixes."""

from koinon.chronos.rendering.graph import csv, dot
from koinon.chronos.rendering.jobs import moment, render_job
from koinon.chronos.rendering.listing import Listing, Search
from koinon.chronos.rendering.refusals import refusal
from koinon.chronos.rendering.runs import render_run
from koinon.chronos.rendering.stats import job_stat, times
from koinon.chronos.rendering.summary import IDLE, Activity, Summary, status

__all__ = [
    "IDLE",
    "Activity",
    "Listing",
    "Search",
    "Summary",
    "csv",
    "dot",
    "job_stat",
    "moment",
    "refusal",
    "render_job",
    "render_run",
    "status",
    "times",
]
