"""Bearer tokens: told once, stored as a hash, gone when revoked."""

import asyncio
from pathlib import Path

import pytest

from imperal_host.errors import InvalidError, NotFoundError, UnauthenticatedError
from imperal_host.identity import Principal, TenantId, UserId
from imperal_host.storage.database import Database
from imperal_host.tokens import Tokens
from tests.host.conftest import FixedClock, bytes_on_disk, principal, sql


@pytest.fixture
def tokens(database: Database, clock: FixedClock) -> Tokens:
    return Tokens(database, clock)


ADA = Principal(TenantId("acme"), UserId("ada"), "ada@example.org", "user", ("llm:read", "llm:write"))


async def test_a_token_stands_for_the_principal_it_was_made_for(tokens: Tokens) -> None:
    token = await tokens.create(ADA)
    other = await tokens.create(principal("globex", "ada"))
    assert await tokens.principal(token) == ADA
    assert (await tokens.principal(other)).tenant == "globex"


async def test_tokens_are_long_and_never_the_same(tokens: Tokens) -> None:
    made = [await tokens.create(ADA) for _ in range(20)]
    assert len(set(made)) == 20
    assert all(token.startswith("imp_") and len(token) >= 4 + 43 for token in made)


async def test_the_token_is_nowhere_on_the_disk(tokens: Tokens, database_file: Path) -> None:
    token = await tokens.create(ADA)
    on_disk = bytes_on_disk(database_file)
    assert b"ada@example.org" in on_disk
    for part in (token, token.removeprefix("imp_"), token[4:24]):
        assert part.encode() not in on_disk


@pytest.mark.parametrize("wrong", ["", "imp_", "imp_" + "A" * 43, "Bearer x", "\ud800", "\x00", "x" * 100_000])
async def test_an_unknown_token_is_not_authenticated_and_not_repeated(tokens: Tokens, wrong: str) -> None:
    await tokens.create(ADA)
    with pytest.raises(UnauthenticatedError) as refusal:
        await tokens.principal(wrong)
    assert len(wrong) < 9 or wrong not in str(refusal.value)


async def test_a_token_is_compared_whole(tokens: Tokens) -> None:
    token = await tokens.create(ADA)
    for near in (token[:-1], token + "A", token.swapcase(), " " + token):
        with pytest.raises(UnauthenticatedError):
            await tokens.principal(near)


async def test_a_revoked_token_is_refused_in_the_words_for_an_unknown_one(tokens: Tokens) -> None:
    token = await tokens.create(ADA)
    (info,) = await tokens.all()
    kept = await tokens.create(ADA)
    await tokens.revoke(info.id)
    with pytest.raises(UnauthenticatedError) as refusal:
        await tokens.principal(token)
    with pytest.raises(UnauthenticatedError) as unknown:
        await tokens.principal("imp_unknown")
    assert str(refusal.value) == str(unknown.value)
    assert await tokens.principal(kept) == ADA
    assert {each.id for each in await tokens.all() if each.revoked} == {info.id}


async def test_what_is_not_in_use_cannot_be_revoked(tokens: Tokens) -> None:
    await tokens.create(ADA)
    (info,) = await tokens.all()
    await tokens.revoke(info.id)
    for token_id in (info.id, "no-such-id"):
        with pytest.raises(NotFoundError, match="token list"):
            await tokens.revoke(token_id)


async def test_the_first_admin_is_made_once(tokens: Tokens) -> None:
    token = await tokens.create_first_admin()
    assert token is not None
    admin = await tokens.principal(token)
    assert admin.is_admin
    assert admin.scopes == ("*",)
    assert await tokens.create_first_admin() is None
    assert len(await tokens.all()) == 1


async def test_two_processes_that_start_at_once_make_one_first_admin(
    tokens: Tokens, database_file: Path, clock: FixedClock
) -> None:
    beside = Database.open(database_file)
    other = Tokens(beside, clock)
    made = await asyncio.gather(*(t.create_first_admin() for t in (tokens, other) * 5))
    assert sum(token is not None for token in made) == 1
    assert sql(database_file, "select count(*) from token") == [(1,)]
    beside.close()


async def test_a_revoked_first_admin_does_not_come_back_by_itself(tokens: Tokens) -> None:
    await tokens.create_first_admin()
    (admin,) = await tokens.all()
    await tokens.revoke(admin.id)
    assert await tokens.create_first_admin() is None


async def test_users_that_are_no_admins_do_not_stop_the_first_admin(tokens: Tokens) -> None:
    await tokens.create(ADA)
    assert await tokens.create_first_admin() is not None


@pytest.mark.parametrize("name", ["", "~platform", "a b", "a/b", "-a", ".a", "a\n", "ä", "a" * 129, "a\x00", "../x"])
async def test_names_that_could_be_taken_for_something_else_are_refused(tokens: Tokens, name: str) -> None:
    for bad, field in ((principal(name, "ada"), "tenant"), (principal("acme", name), "user")):
        with pytest.raises(InvalidError) as refusal:
            await tokens.create(bad)
        assert [problem.field for problem in refusal.value.problems] == [field]
    assert await tokens.all() == []


@pytest.mark.parametrize("name", ["a", "9", "ada@example.org", "a.b-c_d+e", "A" * 128])
async def test_ordinary_names_are_taken(tokens: Tokens, name: str) -> None:
    assert (await tokens.principal(await tokens.create(principal(name, name)))).user == name


@pytest.mark.parametrize("scopes", [("a b",), ("",), ("read\t*",)])
async def test_a_scope_never_comes_back_as_other_scopes(tokens: Tokens, scopes: tuple[str, ...]) -> None:
    """They are stored joined by spaces: one that holds a space would come back as two."""
    with pytest.raises(InvalidError) as refusal:
        await tokens.create(Principal(TenantId("acme"), UserId("ada"), scopes=scopes))
    assert [problem.field for problem in refusal.value.problems] == ["scopes"]
