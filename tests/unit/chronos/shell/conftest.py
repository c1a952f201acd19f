"""Fixtures of these tests."""

from tests.unit.sdk.conftest import master

__all__ = ["master"]
