"""Calls: is all there that their type demands? A call that is not well formed is refused with 400."""

from __future__ import annotations

from koinon.master.core.events import Refused
from koinon.mesos import v1
from koinon.mesos.v1.scheduler import Call

_Type = Call.Type

#: The field that a call of this type must carry.
_BODY = {
    _Type.SUBSCRIBE: "subscribe",
    _Type.ACCEPT: "accept",
    _Type.DECLINE: "decline",
    _Type.ACCEPT_INVERSE_OFFERS: "accept_inverse_offers",
    _Type.DECLINE_INVERSE_OFFERS: "decline_inverse_offers",
    _Type.KILL: "kill",
    _Type.SHUTDOWN: "shutdown",
    _Type.ACKNOWLEDGE: "acknowledge",
    _Type.ACKNOWLEDGE_OPERATION_STATUS: "acknowledge_operation_status",
    _Type.RECONCILE: "reconcile",
    _Type.RECONCILE_OPERATIONS: "reconcile_operations",
    _Type.MESSAGE: "message",
    _Type.REQUEST: "request",
    _Type.UPDATE_FRAMEWORK: "update_framework",
}

#: A uuid on the wire.
_UUID_BYTES = 16


def check_call(call: Call) -> None:
    """Raises Refused if the call lacks what its type demands."""
    if call.type is None:
        raise Refused(400, "The call has no known 'type'.")
    if call.type is _Type.UNKNOWN:
        raise Refused(501, "Calls of type UNKNOWN are not implemented.")
    body = _BODY.get(call.type)
    if body is not None and getattr(call, body) is None:
        raise Refused(400, f"A call of type {call.type.name} must have '{body}'.")
    if call.type is _Type.SUBSCRIBE:
        _check_subscribe(call)
    elif call.framework_id is None:
        raise Refused(400, f"A call of type {call.type.name} must have 'framework_id'.")
    elif call.acknowledge is not None and call.type is _Type.ACKNOWLEDGE:
        _check_uuid(call.acknowledge.uuid)
    elif call.update_framework is not None and call.type is _Type.UPDATE_FRAMEWORK:
        if call.update_framework.framework_info.id != call.framework_id:
            raise Refused(400, "'framework_info.id' must be the same as 'framework_id'.")
    elif (
        call.type is _Type.ACKNOWLEDGE_OPERATION_STATUS
        and (acknowledgement := call.acknowledge_operation_status) is not None
    ):
        _check_uuid(acknowledgement.uuid)
        if acknowledgement.agent_id is None:
            raise Refused(400, "A call of type ACKNOWLEDGE_OPERATION_STATUS must have 'agent_id'.")


def _check_subscribe(call: Call) -> None:
    assert call.subscribe is not None
    if _told(call.subscribe.framework_info.id) != _told(call.framework_id):
        raise Refused(
            400,
            "'framework_id' and 'framework_info.id' must be the same, or both absent for a new framework.",
        )


def _told(framework_id: v1.FrameworkID | None) -> str:
    """The id, which is absent or empty when the master is to choose one."""
    return "" if framework_id is None else framework_id.value


def _check_uuid(uuid: bytes) -> None:
    if len(uuid) != _UUID_BYTES:
        raise Refused(400, f"'uuid' must be {_UUID_BYTES} bytes long, not {len(uuid)}.")
