"""A channel whose other end is the test: a peer that asks too much, or never reads, cannot make the host grow."""

import asyncio
import signal
from collections.abc import Awaitable

import pytest

from imperal_host.errors import (
    DeadlineError,
    ExtensionLimitError,
    ExtensionRaisedError,
    ExtensionStoppedError,
    InvalidError,
    TooLargeError,
)
from imperal_host.runtime import channel as channel_module
from imperal_host.runtime.asking import ASKS_AT_ONCE_MAX
from imperal_host.runtime.process import Cause
from imperal_host.runtime.zygote import Ending
from imperal_sdk.wire import Answer, Confined, Connection, Fault, Frame, Invoke, Refusal, Return, Role
from tests.host.runtime.peer import READY, Gate, Open, asks, call, connected, kill, linked, until, works


async def stalls(doing: Awaitable[None]) -> asyncio.Future[None]:
    """The sending of what the host does not take."""
    sending = asyncio.ensure_future(doing)
    await asyncio.wait({sending}, timeout=0.2)
    assert not sending.done(), "the host took it all"
    return sending


# -- room


async def test_asks_over_the_room_wait_in_the_socket_and_are_answered_in_the_end() -> None:
    async with connected() as (channel, peer):
        broker = Gate()
        calling = call(channel, broker)
        await peer.take_call()
        sending = await stalls(peer.send(*asks(200, size=100_000)))
        assert broker.asked == ASKS_AT_ONCE_MAX
        broker.opened.set()
        answers = [await peer.next() for _ in range(200)]
        assert {answer.ask_id for answer in answers if isinstance(answer, Answer)} == set(range(200))
        await sending
        await peer.send(Return("1", {"done": True}))
        assert (await calling, broker.asked) == ({"done": True}, 200)


async def test_a_full_room_ends_with_its_call_at_the_deadline() -> None:
    async with connected() as (channel, peer):
        broker = Gate()
        calling = call(channel, broker, seconds=2.0)
        sending = await stalls(peer.send(*asks(200, size=100_000)))
        with pytest.raises(DeadlineError, match=r"^f did not answer within 2 s and was stopped$"):
            await calling
        assert (channel.alive, broker.given_up) == (False, ASKS_AT_ONCE_MAX)
        await asyncio.wait({sending})
        assert isinstance(sending.exception(), ConnectionError)


async def test_asks_left_behind_by_a_call_with_a_full_room_are_refused_and_the_next_call_works() -> None:
    async with connected() as (channel, peer):
        broker = Gate()
        first = call(channel, broker)
        await peer.take_call()
        await peer.send(*asks(ASKS_AT_ONCE_MAX - 1), Return("1", {"first": True}), *asks(50, first=100))
        assert await first == {"first": True}
        assert broker.given_up == ASKS_AT_ONCE_MAX - 1
        for _ in range(50):
            assert isinstance(await peer.next(), Refusal)
        await works(channel, peer)


async def test_a_peer_that_never_reads_holds_up_itself_alone() -> None:
    async with connected() as (channel, peer):
        broker = Open({"much": "x" * (1 << 20)})
        calling = call(channel, broker, seconds=1)
        sending = await stalls(peer.send(*asks(900, size=1_000)))
        assert broker.asked < 100
        assert channel._transport.get_write_buffer_size() < (ASKS_AT_ONCE_MAX + 2) << 20
        with pytest.raises(DeadlineError):
            await calling
        await asyncio.wait({sending})
        sending.exception()


# -- several calls


async def test_calls_are_answered_in_any_order_each_with_its_own_broker() -> None:
    async with connected() as (channel, peer):
        brokers = {number: Open({"of": number}) for number in (1, 2, 3)}
        calls = {number: call(channel, broker, number) for number, broker in brokers.items()}
        assert {await peer.take_call() for _ in calls} == {"1", "2", "3"}
        for number in (3, 1, 2):
            await peer.send(*asks(1, call=number, first=number))
            assert await peer.next() == Answer(number, {"of": number})
            await peer.send(Return(str(number), {"number": number}))
            assert await calls[number] == {"number": number}
        assert [broker.asked for broker in brokers.values()] == [1, 1, 1]


async def test_the_deadline_of_one_call_stops_the_others_and_says_so() -> None:
    async with connected() as (channel, peer):
        slow = call(channel, Open(), 1, seconds=0.2, function="slow")
        other = call(channel, Open(), 2, function="other")
        await peer.take_call()
        with pytest.raises(DeadlineError, match=r"^slow did not answer within 0.2 s and was stopped$"):
            await slow
        says = "^the extension stopped: another call of yours, of slow, did not answer within 0.2 s$"
        with pytest.raises(ExtensionStoppedError, match=says):
            await other
        with pytest.raises(ExtensionStoppedError, match=says):
            await call(channel, Open(), 3)


async def test_a_caller_that_gives_up_alone_ends_the_isolate() -> None:
    async with connected() as (channel, peer):
        broker = Gate()
        calling = call(channel, broker)
        await peer.take_call()
        await peer.send(*asks(1))
        await until(lambda: broker.asked == 1)
        calling.cancel()
        await asyncio.wait({calling})
        assert (calling.cancelled(), channel.alive, broker.given_up) == (True, False, 1)


async def test_a_caller_that_gives_up_beside_another_call_leaves_that_one_alone() -> None:
    async with connected() as (channel, peer):
        broker = Gate()
        leaving, staying = call(channel, broker, 1), call(channel, Open({"yes": 1}), 2)
        assert [await peer.take_call(), await peer.take_call()] == ["1", "2"]
        await peer.send(*asks(1))
        await until(lambda: broker.asked == 1)
        leaving.cancel()
        await asyncio.wait({leaving})
        assert (channel.alive, broker.given_up) == (True, 1)
        await peer.send(*asks(1, call=1, first=5), *asks(1, call=2, first=6))
        replies = [await peer.next(), await peer.next()]
        assert {type(reply): reply.ask_id for reply in replies if isinstance(reply, Answer | Refusal)} == {
            Refusal: 5,
            Answer: 6,
        }
        await peer.send(Return("1", {"unheard": True}), Return("2", {"heard": True}))
        assert await staying == {"heard": True}
        await works(channel, peer)


async def test_a_call_that_was_given_up_still_has_its_deadline() -> None:
    async with connected() as (channel, peer):
        leaving, staying = call(channel, Open(), 1, seconds=0.3, function="endless"), call(channel, Open(), 2)
        await peer.take_call()
        leaving.cancel()
        with pytest.raises(ExtensionStoppedError, match=r"another call of yours, of endless, did not answer"):
            await staying
        assert not channel.alive


# -- what breaks the protocol


async def test_asking_outside_of_a_call_without_end_breaks_the_protocol() -> None:
    async with connected() as (channel, peer):
        await peer.send(*asks(100))
        for _ in range(100):
            refusal = await peer.next()
            assert isinstance(refusal, Refusal)
            assert (refusal.code, refusal.message) == ("request.forbidden", "the call is over")
        assert channel.alive
        await peer.send(*asks(1))
        await until(lambda: not channel.alive)
        with pytest.raises(ExtensionStoppedError, match="more than 100 requests outside of a call"):
            await call(channel, Open())


async def test_asks_of_one_call_are_counted() -> None:
    async with connected(asks_per_call_max=3) as (channel, peer):
        for number in (1, 2):  # for each call anew
            calling = call(channel, Open(), number)
            await peer.take_call()
            await peer.send(*asks(3, call=number))
            for _ in range(3):
                assert isinstance(await peer.next(), Answer)
            await peer.send(Return(str(number), {}))
            await calling
        calling = call(channel, Open(), 3)
        await peer.send(*asks(4, call=3))
        with pytest.raises(ExtensionStoppedError, match="it broke the protocol: more than 3 requests in one call"):
            await calling


async def test_the_bytes_of_one_call_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "_CALL_BYTES_MAX", 2 << 20)
    async with connected() as (channel, peer):
        for number in (1, 2, 3):  # for each call anew
            calling = call(channel, Open(), number)
            await peer.take_call()
            await peer.send(Return(str(number), {"x": "x" * (1 << 20)}))
            await calling
        calling = call(channel, Open(), 4)
        await peer.take_call()
        sending = asyncio.create_task(peer.send(*asks(30, call=4, size=100_000)))
        with pytest.raises(ExtensionStoppedError, match="it broke the protocol: more than 2 MiB in one call"):
            await calling
        await asyncio.wait({sending})
        assert isinstance(sending.exception(), ConnectionError)


async def test_a_message_that_does_not_end_ends_the_isolate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "_FRAME_SECONDS_MAX", 0.2)
    async with connected() as (channel, peer):
        calling = call(channel, Open())
        await peer.take_call()
        await peer.send_bytes(b"\0\0\0\x50{")
        with pytest.raises(ExtensionStoppedError, match=r"a message that did not end within 0\.2 s"):
            await calling


async def test_a_message_that_comes_in_pieces_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "_FRAME_SECONDS_MAX", 0.4)
    async with connected() as (channel, peer):
        broker = Gate()
        calling = call(channel, broker)
        await peer.take_call()
        for piece in (b"\0\0\0\x2b", b'{"type":"return",', b'"call_id":"1",', b'"result":{}}'):
            await asyncio.sleep(0.05)
            await peer.send_bytes(piece)
        assert await calling == {}
        # A whole message that the host is too busy to take is no fault of the peer's.
        calling = call(channel, broker, 2)
        await peer.take_call()
        await peer.send(*asks(ASKS_AT_ONCE_MAX + 5, call=2))
        await asyncio.sleep(0.6)
        assert channel.alive
        broker.opened.set()
        for _ in range(ASKS_AT_ONCE_MAX + 5):
            assert isinstance(await peer.next(), Answer)
        await peer.send(Return("2", {}))
        await calling


async def test_a_message_is_timed_from_its_own_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "_FRAME_SECONDS_MAX", 0.4)
    async with connected() as (channel, peer):
        calling = call(channel, Open())
        await peer.take_call()
        whole = b"".join(Connection(Role.ISOLATE).send(frame) for frame in [*asks(6), Return("1", {})])
        size = len(whole) // 7
        for begin in range(0, len(whole), size):  # never a moment with nothing begun, until all is said
            await peer.send_bytes(whole[begin : begin + size])
            await asyncio.sleep(0.1)
        assert await calling == {}


@pytest.mark.parametrize("frame", [Return("7", {}), Fault("x", "y", "7"), Fault("x", "y"), Confined(), READY], ids=repr)
async def test_an_answer_to_no_call_breaks_the_protocol(frame: Frame) -> None:
    async with connected() as (channel, peer):
        calling = call(channel, Open())
        await peer.take_call()
        await peer.send(frame)
        with pytest.raises(ExtensionStoppedError, match="it broke the protocol: an answer to no call"):
            await calling


async def test_a_second_answer_to_a_call_breaks_the_protocol() -> None:
    async with connected() as (channel, peer):
        calling = call(channel, Open())
        await peer.take_call()
        await peer.send(Return("1", {"first": True}), Return("1", {"second": True}))
        assert await calling == {"first": True}
        await until(lambda: not channel.alive)


# -- answers, and what cannot be sent


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("extension.raised", "x" * 5_000, "1"), ExtensionRaisedError),
        (Fault("extension.limit", "memory", "1"), ExtensionLimitError),
    ],
)
async def test_a_fault_is_the_calls_and_the_isolate_goes_on(fault: Fault, kind: type[Exception]) -> None:
    async with connected() as (channel, peer):
        calling = call(channel, Open())
        await peer.take_call()
        await peer.send(fault)
        with pytest.raises(kind) as caught:
            await calling
        assert len(str(caught.value)) <= 2_000
        await works(channel, peer)


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ({"text": "\ud800"}, "host.error", "cannot be sent"),
        ({"text": "x" * (5 << 20)}, "request.too_large", "over the limit"),
    ],
    ids=["half a character", "5 MiB"],
)
async def test_an_answer_of_the_hosts_that_cannot_be_sent_is_a_refusal(
    answer: dict[str, str], code: str, says: str
) -> None:
    async with connected() as (channel, peer):
        calling = call(channel, Open(answer))
        await peer.take_call()
        await peer.send(*asks(1))
        refusal = await peer.next()
        assert isinstance(refusal, Refusal)
        assert (refusal.code, says in refusal.message) == (code, True)
        await peer.send(Return("1", {}))
        await calling


async def test_arguments_that_cannot_be_sent_are_the_callers_and_nothing_is_sent() -> None:
    async with connected() as (channel, peer):
        with pytest.raises(InvalidError, match="the arguments cannot be sent: "):
            await call(channel, Open(), text="\ud800")
        with pytest.raises(TooLargeError, match="the arguments are too large: "):
            await call(channel, Open(), text="x" * (5 << 20))
        await works(channel, peer)


# -- the end


async def test_the_end_is_seen_before_its_cause_is_known() -> None:
    async with connected() as (channel, peer):
        assert channel.alive
        peer.close()
        assert not channel.alive, "at once, by the kernel's word"
        kill(channel.pid)
        with pytest.raises(ExtensionStoppedError, match="the extension stopped: it was killed"):
            await call(channel, Open())


async def test_all_calls_of_a_process_that_ends_are_told_why() -> None:
    async with connected() as (channel, peer):
        calls = [call(channel, Open(), number) for number in range(3)]
        assert isinstance(await peer.next(), Invoke)
        kill(channel.pid)
        peer.close()
        for calling in calls:
            with pytest.raises(ExtensionStoppedError, match="the extension stopped: it was killed"):
                await calling


async def test_one_who_closes_twice_waits_for_the_same_end() -> None:
    async with connected() as (channel, _):
        await asyncio.gather(channel.aclose(), channel.aclose())
        await channel.aclose()
        assert not channel.alive


@pytest.mark.parametrize(
    ("ending", "says", "is_limit"),
    [
        (Ending(signal.SIGKILL, 5.01), "it used up its 5 s of processor time (5.0 s)", True),
        (Ending(signal.SIGKILL, 4.95), "it used up its 5 s of processor time (5.0 s)", True),
        (Ending(signal.SIGKILL, 3.0, 9 << 20), "it was killed; at most 9 MiB of memory were in use", False),
        (Ending(signal.SIGSYS), "it made a forbidden system call", False),
        (Ending(3 << 8), "it exited with status 3", False),
        (Ending(-1), "it ended with its zygote", False),
        (Ending(signal.SIGRTMIN + 5), f"it ended on signal {signal.SIGRTMIN + 5}", False),
    ],
)
async def test_every_ending_has_a_cause_in_words(ending: Ending, says: str, is_limit: bool) -> None:
    async with linked() as link:
        assert link.process._cause(ending, was_out_of_memory=False) == Cause(says, is_limit)
