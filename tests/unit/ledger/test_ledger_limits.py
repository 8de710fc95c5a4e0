"""The working limit over time."""

from manifest_runner.ledger.limits import LimitSpan, limit_changed, limit_span, limits_after, limits_of


def changed(connection, *limits, campaign="spring"):
    for limit, used in limits:
        limit_changed(connection, campaign, limit, used, "because")


def test_it_is_read_oldest_first_and_of_one_campaign(connection):
    changed(connection, (5, 0), (3, 3))
    changed(connection, (9, 0), campaign="autumn")
    changed(connection, (4, 3))
    assert [(one.limit, one.used, one.why) for one in limits_of(connection, "spring")] == [
        (5, 0, "because"),
        (3, 3, "because"),
        (4, 3, "because"),
    ]
    assert [one.limit for one in limits_of(connection, "autumn")] == [9]
    assert limits_of(connection, "winter") == ()


def test_of_very_many_the_newest_are_read(connection):
    changed(connection, *((limit, 0) for limit in range(1, 1100)))
    found = limits_of(connection, "spring")
    assert (len(found), found[0].limit, found[-1].limit) == (1000, 100, 1099)
    assert [one.limit for one in limits_of(connection, "spring", newest=2)] == [1098, 1099]


def test_what_was_added_since(connection):
    changed(connection, (5, 0), (3, 3))
    last = limits_of(connection, "spring")[-1]
    changed(connection, (9, 0), campaign="autumn")
    changed(connection, (4, 3), (5, 3))
    added = list(limits_after(connection, "spring", last.seq))
    assert [one.limit for one in added] == [4, 5]
    assert list(limits_after(connection, "spring", added[-1].seq)) == []


def test_the_span_counts_what_the_account_refused(connection):
    assert limit_span(connection, "spring") is None
    changed(connection, (8, 0), (5, 5), (6, 5), (7, 6), (4, 4))
    changed(connection, (1, 1), campaign="autumn")
    changed(connection, (12, 0), (11, 11))
    assert limit_span(connection, "spring") == LimitSpan(lowest=4, highest=12, lowered=3)


def test_a_run_that_begins_lower_was_refused_nothing(connection):
    changed(connection, (8, 0), (2, 0), (3, 2))
    assert limit_span(connection, "spring") == LimitSpan(lowest=2, highest=8, lowered=0)
