"""Holds: together with what is spent they never exceed the budget, whatever happens at once."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imperal_host.billing.account import Account, Hold
from imperal_host.errors import BudgetExhaustedError
from imperal_host.identity import Principal, TenantId, UserId
from tests.host.conftest import principal, turns_of_the_loop


class Book:
    """A ledger whose answers take a while: what is spent may change before they arrive."""

    def __init__(self, turns: int = 0) -> None:
        self.spent: Counter[tuple[str, str]] = Counter()
        self.turns = turns
        self.asked = 0

    async def spent_nano_usd(self, tenant: TenantId, user: UserId) -> int:
        self.asked += 1
        answer = self.spent[tenant, user]
        await turns_of_the_loop(self.turns)
        return answer

    def post(self, who: Principal, nano_usd: int) -> None:
        self.spent[who.tenant, who.user] += nano_usd


class BrokenBook:
    async def spent_nano_usd(self, tenant: TenantId, user: UserId) -> int:
        raise LookupError("the database is gone")


ADA = principal()


async def test_a_hold_takes_room_until_it_is_released() -> None:
    account = Account(Book(), 100)
    hold = await account.hold(ADA, 60)
    with pytest.raises(BudgetExhaustedError):
        await account.hold(ADA, 41)
    exact = await account.hold(ADA, 40)
    account.release(hold)
    account.release(exact)
    assert (await account.hold(ADA, 100)).nano_usd == 100


async def test_what_is_spent_counts() -> None:
    book = Book()
    book.post(ADA, 70)
    with pytest.raises(BudgetExhaustedError, match="70 of the budget of 100"):
        await Account(book, 100).hold(ADA, 31)


async def test_a_refused_hold_holds_nothing() -> None:
    account = Account(Book(), 100)
    for _ in range(3):
        with pytest.raises(BudgetExhaustedError):
            await account.hold(ADA, 101)
    await account.hold(ADA, 100)


async def test_a_hold_of_nothing_is_given_even_when_nothing_is_left() -> None:
    """An own key is never held against a budget."""
    book = Book()
    book.post(ADA, 100)
    assert (await Account(book, 100).hold(ADA, 0)).nano_usd == 0


async def test_a_hold_of_nothing_is_given_even_when_too_much_was_spent() -> None:
    """A call may cost more than it was expected to, or the admin lowers the budget."""
    book = Book()
    book.post(ADA, 101)
    assert (await Account(book, 100).hold(ADA, 0)).nano_usd == 0


async def test_a_hold_ends_once() -> None:
    account = Account(Book(), 100)
    hold = await account.hold(ADA, 60)
    account.release(hold)
    with pytest.raises(KeyError):
        account.release(hold)
    with pytest.raises(KeyError):
        account.release(Hold(ADA, 60))


async def test_equal_holds_are_two_holds() -> None:
    account = Account(Book(), 100)
    first, second = await account.hold(ADA, 50), await account.hold(ADA, 50)
    account.release(first)
    account.release(second)


async def test_users_and_tenants_have_budgets_of_their_own() -> None:
    account = Account(Book(), 100)
    for who in (principal("acme", "ada"), principal("acme", "eve"), principal("globex", "ada")):
        await account.hold(who, 100)
        with pytest.raises(BudgetExhaustedError):
            await account.hold(who, 1)


async def test_without_a_budget_everything_is_given_and_nobody_is_asked() -> None:
    book = Book()
    account = Account(book, None)
    for _ in range(3):
        await account.hold(ADA, 10**15)
    assert book.asked == 0


async def test_a_budget_of_zero_allows_nothing_that_costs() -> None:
    with pytest.raises(BudgetExhaustedError):
        await Account(Book(), 0).hold(ADA, 1)


async def test_a_book_that_cannot_be_read_grants_nothing_and_holds_nothing() -> None:
    account = Account(BrokenBook(), 100)
    for _ in range(2):
        with pytest.raises(LookupError):
            await account.hold(ADA, 1)
    assert account._held.total() == 0


async def test_a_cancelled_question_holds_nothing() -> None:
    account = Account(Book(turns=1_000), 100)
    asking = asyncio.ensure_future(account.hold(ADA, 100))
    await turns_of_the_loop(3)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await account.hold(ADA, 100)).nano_usd == 100


async def test_calls_at_once_do_not_see_the_same_money() -> None:
    account = Account(Book(turns=3), 100)
    outcomes = await asyncio.gather(*(account.hold(ADA, 30) for _ in range(20)), return_exceptions=True)
    given_ = [outcome for outcome in outcomes if isinstance(outcome, Hold)]
    assert len(given_) == 3
    assert all(isinstance(outcome, Hold | BudgetExhaustedError) for outcome in outcomes)


async def test_a_hold_that_is_posted_while_another_asks_is_not_lost_between_the_two() -> None:
    """The answer was given before the post, and is looked at after the release."""
    book = Book(turns=5)
    account = Account(book, 100)
    first = await account.hold(ADA, 60)
    asking = asyncio.ensure_future(account.hold(ADA, 60))
    await turns_of_the_loop(2)
    book.post(ADA, 60)
    account.release(first)
    with pytest.raises(BudgetExhaustedError):
        await asking


@settings(max_examples=200, deadline=None)
@given(
    budget=st.integers(0, 300),
    calls=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100), st.integers(0, 8)), max_size=12),
    turns=st.integers(0, 6),
)
async def test_what_is_spent_never_exceeds_the_budget(
    budget: int, calls: list[tuple[int, int, int]], turns: int
) -> None:
    book = Book(turns)
    account = Account(book, budget)

    async def call(most: int, percent: int, lasts: int) -> None:
        try:
            hold = await account.hold(ADA, most)
        except BudgetExhaustedError:
            return
        await turns_of_the_loop(lasts)
        book.post(ADA, most * percent // 100)
        account.release(hold)

    await asyncio.gather(*(call(*each) for each in calls))
    assert book.spent.total() <= budget
    assert account._held.total() == 0
