"""Whose a task is that the service has under one of our ids: the clocks of then count, not those of now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from manifest_runner.models import ServiceStatus
from manifest_runner.runner.ours import made_by
from manifest_runner.service import Task

INTENT = datetime(2026, 11, 2, 12, tzinfo=UTC)  # by this computer's clock
HOUR = timedelta(hours=1)
NONE = timedelta(0)


@pytest.mark.parametrize(
    ("then", "now", "made", "ours"),
    [
        pytest.param(NONE, NONE, INTENT, True, id="the clocks agree"),
        pytest.param(
            -HOUR, NONE, INTENT - HOUR, True, id="our clock was an hour ahead, and was set right since"
        ),
        pytest.param(-HOUR, NONE, INTENT - 2 * HOUR, False, id="the same, and the task was there before us"),
        pytest.param(
            HOUR, NONE, INTENT + HOUR, True, id="our clock was an hour behind, and was set right since"
        ),
        pytest.param(HOUR, NONE, INTENT, False, id="the same, and the task was there an hour before us"),
        pytest.param(None, -HOUR, INTENT - HOUR, True, id="not measured then: today's figure stands in"),
        pytest.param(
            None, None, INTENT - timedelta(minutes=1), True, id="never measured: minutes of tolerance"
        ),
        pytest.param(None, None, INTENT - HOUR, False, id="never measured, an hour too early"),
    ],
)
def test_a_task_is_measured_by_the_clocks_of_its_intent(then, now, made, ours):
    attempt = SimpleNamespace(intent_at=INTENT, clock_skew=then)
    task = Task(task_id="1", status=ServiceStatus.SUBMITTED, status_text="submitted", created_at=made)
    assert made_by(attempt, task, now) is ours
