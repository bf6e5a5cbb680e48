"""The protocol's promise: what one end sends the other end gets, and nothing else gets through."""

import contextlib
import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imperal_sdk.wire import (
    FRAME_BYTES_MAX,
    Answer,
    Ask,
    CallContext,
    Cancel,
    Connection,
    Fault,
    Frame,
    FrameTooLargeError,
    Invoke,
    LlmView,
    Part,
    Problem,
    ProtocolError,
    Ready,
    Refusal,
    Return,
    Role,
)
from imperal_sdk.wire.connection import UnsendableError

PEER = {Role.HOST: Role.ISOLATE, Role.ISOLATE: Role.HOST}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
json_objects = st.dictionaries(st.text(), json_values, max_size=4)
ids = st.integers(0, 2**63 - 1)
contexts = st.builds(
    CallContext,
    imperal_id=st.text(),
    email=st.text(),
    tenant_id=st.text(),
    role=st.text(),
    scopes=st.lists(st.text(), max_size=3),
    llm=st.builds(LlmView, is_byollm=st.booleans(), provider=st.text(), model=st.text()),
    now=st.floats(0, 4e9),
    config=json_objects,
)
frames_of: dict[Role, st.SearchStrategy[Frame]] = {
    Role.HOST: st.one_of(
        st.builds(Invoke, call_id=st.text(), function=st.text(), arguments=json_objects, context=contexts),
        st.builds(Part, ask_id=ids, items=st.lists(json_objects, max_size=3)),
        st.builds(Answer, ask_id=ids, payload=json_objects),
        st.builds(Refusal, ask_id=ids, code=st.text(), message=st.text()),
    ),
    Role.ISOLATE: st.one_of(
        st.builds(Ready, manifest=json_objects),
        st.builds(Ask, call_id=st.text(), ask_id=ids, capability=st.text(), payload=json_objects),
        st.builds(Cancel, call_id=st.text(), ask_id=ids),
        st.builds(Return, call_id=st.text(), result=json_objects),
        st.builds(
            Fault,
            code=st.text(),
            message=st.text(),
            call_id=st.none() | st.text(),
            problems=st.lists(st.builds(Problem, field=st.text(), message=st.text()), max_size=3),
        ),
    ),
}

CONTEXT = CallContext("u", "u@example.com", "t", "user", ["*"], LlmView(False, "openai", "m"), 0.0, {})
ONE_OF_EACH: dict[Role, tuple[Frame, ...]] = {
    Role.HOST: (
        Invoke("c", "f", {}, CONTEXT),
        Part(1, [{}]),
        Answer(1, {}),
        Refusal(1, "request.forbidden", "no"),
    ),
    Role.ISOLATE: (
        Ready({}),
        Ask("c", 1, "llm.complete", {}),
        Cancel("c", 1),
        Return("c", {}),
        Fault("extension.raised", "why"),
    ),
}
EVERY_FRAME = [(role, frame) for role, frames in ONE_OF_EACH.items() for frame in frames]
RETURN: dict[str, Any] = {"type": "return", "call_id": "c", "result": {}}


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


@given(data=st.data(), role=st.sampled_from(Role))
def test_frames_arrive_whole_and_in_order_however_the_bytes_are_cut(data: st.DataObject, role: Role) -> None:
    sent = data.draw(st.lists(frames_of[role], min_size=1, max_size=4))
    sender, receiver = Connection(role), Connection(PEER[role])
    stream = b"".join(sender.send(frame) for frame in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))

    received: list[Frame] = []
    for start, end in itertools.pairwise([0, *cuts, len(stream)]):
        received += receiver.receive(stream[start:end])

    assert received == sent


def test_a_byte_at_a_time_is_a_chunking_too() -> None:
    receiver = Connection(Role.HOST)
    stream = Connection(Role.ISOLATE).send(Return("c", {"text": "grün"}))

    for index in range(len(stream) - 1):
        assert receiver.receive(stream[index : index + 1]) == []
    assert receiver.receive(stream[-1:]) == [Return("c", {"text": "grün"})]


@pytest.mark.parametrize(("role", "frame"), EVERY_FRAME)
def test_an_end_does_not_take_frames_of_its_own_side(role: Role, frame: Frame) -> None:
    stream = Connection(role).send(frame)

    with pytest.raises(ProtocolError):
        Connection(role).receive(stream)


@pytest.mark.parametrize(("role", "frame"), EVERY_FRAME)
def test_an_end_does_not_send_frames_of_the_other_side(role: Role, frame: Frame) -> None:
    with pytest.raises(AssertionError):
        Connection(PEER[role]).send(frame)


@pytest.mark.parametrize("size", [FRAME_BYTES_MAX + 1, 2**31, 2**32 - 1])
def test_an_over_long_frame_is_refused_by_its_length_alone(size: int) -> None:
    with pytest.raises(ProtocolError, match="over the limit"):
        Connection(Role.HOST).receive(size.to_bytes(4, "big"))


def test_the_longest_frame_passes_and_one_byte_more_does_not() -> None:
    sender, receiver = Connection(Role.ISOLATE), Connection(Role.HOST)
    overhead = len(sender.send(Return("c", {"text": "x" * 70_000}))) - 4 - 70_000
    longest = Return("c", {"text": "x" * (FRAME_BYTES_MAX - overhead)})

    stream = sender.send(longest)
    assert len(stream) == 4 + FRAME_BYTES_MAX
    assert receiver.receive(stream) == [longest]
    with pytest.raises(FrameTooLargeError):
        sender.send(Return("c", {"text": "x" * (FRAME_BYTES_MAX - overhead + 1)}))


def test_a_frame_that_is_too_large_to_send_leaves_the_connection_usable() -> None:
    sender, receiver = Connection(Role.ISOLATE), Connection(Role.HOST)

    with pytest.raises(FrameTooLargeError, match=r"limit of 4,194,304 bytes"):
        sender.send(Return("c", {"text": "x" * FRAME_BYTES_MAX}))
    assert receiver.receive(sender.send(Return("c", {}))) == [Return("c", {})]


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(object(), id="an object"),
        pytest.param(10**5000, id="an integer of thousands of digits"),
        pytest.param({(1, 2): 1}, id="a key that is no name"),
        pytest.param("\ud800", id="half a character"),
        pytest.param(nested(100_000), id="too deep"),
        pytest.param(1j, id="a complex number"),
    ],
)
def test_a_value_with_no_wire_form_is_one_error_of_ours_and_leaves_the_connection_usable(value: object) -> None:
    sender, receiver = Connection(Role.ISOLATE), Connection(Role.HOST)

    with pytest.raises(UnsendableError) as raised:
        sender.send(Return("c", {"it": value}))
    assert str(raised.value).isascii()
    assert receiver.receive(sender.send(Return("c", {}))) == [Return("c", {})]


@given(data=st.binary(max_size=200), role=st.sampled_from(Role))
@example(data=b"\x00\x00\x00\x00", role=Role.HOST)
def test_bytes_that_mean_nothing_raise_a_protocol_error_or_wait(data: bytes, role: Role) -> None:
    with contextlib.suppress(ProtocolError):
        assert Connection(role).receive(data) == []


@given(body=st.binary(max_size=200), role=st.sampled_from(Role))
@example(body=b"", role=Role.HOST)
@example(body=b"{", role=Role.ISOLATE)
@example(body=b'{"type":"return"}' * 2, role=Role.HOST)
def test_a_framed_body_that_is_no_frame_is_a_protocol_error(body: bytes, role: Role) -> None:
    with pytest.raises(ProtocolError):
        Connection(role).receive(framed(body))


@given(frame=frames_of[Role.ISOLATE], data=st.data())
def test_a_damaged_frame_never_raises_anything_but_a_protocol_error(frame: Frame, data: st.DataObject) -> None:
    body = bytearray(Connection(Role.ISOLATE).send(frame)[4:])
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        received = Connection(Role.HOST).receive(framed(bytes(body)))
    except ProtocolError:
        return
    assert len(received) == 1  # the damage hit a value, not the form


@given(frame=frames_of[Role.ISOLATE], data=st.data())
def test_a_truncated_body_is_a_protocol_error(frame: Frame, data: st.DataObject) -> None:
    body = Connection(Role.ISOLATE).send(frame)[4:]

    with pytest.raises(ProtocolError):
        Connection(Role.HOST).receive(framed(body[: data.draw(st.integers(0, len(body) - 1))]))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({**RETURN, "type": "evaluate"}, id="an unknown tag"),
        pytest.param({"call_id": "c", "result": {}}, id="no tag"),
        pytest.param({**RETURN, "type": 3}, id="a tag that is no string"),
        pytest.param({**RETURN, "tenant_id": "someone else's"}, id="an unknown field"),
        pytest.param({"type": "return", "call_id": "c"}, id="a missing field"),
        pytest.param({**RETURN, "call_id": 7}, id="a field of the wrong type"),
        pytest.param({**RETURN, "result": [1, 2]}, id="a list for an object"),
        pytest.param(
            {"type": "fault", "code": "c", "message": "m", "problems": [{"field": "f", "message": "m", "user": "u"}]},
            id="an unknown field further in",
        ),
        pytest.param(["return", "c", {}], id="a list for a frame"),
        pytest.param("return", id="a string for a frame"),
        pytest.param(None, id="nothing for a frame"),
    ],
)
def test_a_frame_of_another_form_is_refused(body: object) -> None:
    assert Connection(Role.HOST).receive(framed(msgspec.json.encode(RETURN))) == [Return("c", {})]

    with pytest.raises(ProtocolError):
        Connection(Role.HOST).receive(framed(msgspec.json.encode(body)))


@pytest.mark.parametrize("field", ["tenant_id", "user", "imperal_id", "extension", "key", "api_key", "scopes"])
@pytest.mark.parametrize("frame", ONE_OF_EACH[Role.ISOLATE])
def test_no_frame_of_an_isolate_can_name_whom_it_works_for(frame: Frame, field: str) -> None:
    body = {**msgspec.to_builtins(frame), field: "someone else's"}

    with pytest.raises(ProtocolError, match=field):
        Connection(Role.HOST).receive(framed(msgspec.json.encode(body)))


@pytest.mark.parametrize("opening", [b"[", b'{"k":'], ids=["lists", "maps"])
def test_nesting_deep_enough_to_break_the_decoder_is_a_protocol_error(opening: bytes) -> None:
    deep = b'{"type":"return","call_id":"c","result":{"v":' + opening * 100_000

    with pytest.raises(ProtocolError):
        Connection(Role.HOST).receive(framed(deep))


def test_a_small_message_that_would_become_large_in_memory_is_refused() -> None:
    many = b'{"type":"return","call_id":"c","result":{"v":[' + b"[]," * 1_000_000 + b"[]]}}"
    assert len(many) < FRAME_BYTES_MAX

    with pytest.raises(ProtocolError, match="500,000 values"):
        Connection(Role.HOST).receive(framed(many))


def test_every_member_name_that_arrives_is_a_string() -> None:
    received = Connection(Role.HOST).receive(Connection(Role.ISOLATE).send(Return("c", {"v": {1: {2: 3}}})))
    assert received == [Return("c", {"v": {"1": {"2": 3}}})]


def test_after_a_protocol_error_nothing_more_is_received() -> None:
    receiver = Connection(Role.HOST)
    good = Connection(Role.ISOLATE).send(Return("c", {}))
    with pytest.raises(ProtocolError):
        receiver.receive(framed(b"\xc1"))

    with pytest.raises(ProtocolError):
        receiver.receive(good)
