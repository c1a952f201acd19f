"""Quota: guarantees and limits of roles."""

from __future__ import annotations

from koinon.mesos import v1
from koinon.mesos.v1.base import V1Message


class QuotaInfo(V1Message, kw_only=True):
    role: str | None = None
    principal: str | None = None
    guarantee: list[v1.Resource] = []


class QuotaRequest(V1Message, kw_only=True):
    force: bool | None = None
    role: str | None = None
    guarantee: list[v1.Resource] = []


class QuotaConfig(V1Message, kw_only=True):
    role: str
    guarantees: dict[str, v1.Value.Scalar] = {}
    limits: dict[str, v1.Value.Scalar] = {}


class QuotaStatus(V1Message, kw_only=True):
    infos: list[QuotaInfo] = []
    configs: list[QuotaConfig] = []
