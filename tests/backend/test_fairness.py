"""A client that is sent a whole history leaves turns for everybody else."""

from contextlib import AsyncExitStack

import pytest

from iris_exporter.backend.graphql.socket import GraphQLSocket
from iris_exporter.backend.send_queue import MAX_TAKEN
from iris_exporter.backend.wire import Frame
from tests.backend.clients import Bench, bench
from tests.backend.graphql.test_serving import connected, stream
from tests.backend.test_subscriptions import open_socket, subscribe

EVENTS = 1000
"""Fewer than the buffers of a loopback socket hold: nothing but the backend itself lets others come between."""


def has_more_to_send(it: Bench) -> bool:
    return any(not each.empty for each in it.backend.service.connections)


@pytest.mark.parametrize("form", ["json", "protobuf", "sse", "graphql", "graphql-sse"])
async def test_others_are_answered_while_a_history_is_replayed(form: str) -> None:
    async with bench() as it, open_socket(it) as other, AsyncExitStack() as stack:
        it.happen(EVENTS)
        await other.subscribe(channels=["metrics"])
        await other.until("update")
        after = it.position(0)
        # Both are in the backend's sockets before it can read either.
        if form == "graphql":
            client = await stack.enter_async_context(connected(it))
            await client.subscribe(f'(after: "{after}")')
        elif form == "graphql-sse":
            headers = {"Accept": "text/event-stream"}
            body = {"query": stream(f'(after: "{after}")')}
            await stack.enter_async_context(it.http.post(it.backend.url + "/api/graphql", json=body, headers=headers))
        else:
            await stack.enter_async_context(subscribe(it, form, after=after))
        await other.send({"type": "ping"})
        await other.until("pong")
        assert has_more_to_send(it)


async def test_operations_of_one_socket_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    take = GraphQLSocket.take

    def counted(socket: GraphQLSocket) -> list[Frame]:
        frames = take(socket)
        taken.append(len(frames))
        return frames

    monkeypatch.setattr(GraphQLSocket, "take", counted)
    async with bench() as it, connected(it) as client:
        it.happen(EVENTS)
        for number in range(5):
            await client.subscribe(f'(after: "{it.position(0)}", channels: [events])', f"{number}")
        seen = [(await client.next())["id"] for _ in range(5 * (EVENTS + 1))]
    assert max(taken) < 2 * MAX_TAKEN, "as much as one alone, whatever their number"
    ends = [max(index for index, found in enumerate(seen) if found == f"{number}") for number in range(5)]
    assert min(ends) > 4 * EVENTS, "none of them has all of it before the others have most of it"


async def test_a_history_over_graphql_is_whole() -> None:
    async with bench() as it, connected(it) as client:
        made = it.happen(EVENTS)
        await client.subscribe(f'(after: "{it.position(0)}", channels: [events])')
        assert (await client.message())["resume"]["replayed"] == EVENTS
        found = [await client.message() for _ in range(EVENTS)]
        assert [each["event"]["id"] for each in found] == made
