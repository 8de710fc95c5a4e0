from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from manifest_runner.errors import GarbledReply, RequestPhase, ServiceError, ServiceRefused, TransportFault
from manifest_runner.models import ServiceStatus
from manifest_runner.service import CODES, Task, Verdict, is_ours, judge_create, proves_nothing_made

CREATED, NOT_CREATED, IN_DOUBT = Verdict.CREATED, Verdict.NOT_CREATED, Verdict.IN_DOUBT


def refused(code: int, status: int) -> ServiceRefused:
    return ServiceRefused("no", code=code, http_status=status)


def garbled(status: int) -> GarbledReply:
    return GarbledReply("html", http_status=status)


@pytest.mark.parametrize(
    ("outcome", "verdict", "why"),
    [
        (Task(task_id="1", status=ServiceStatus.SUBMITTED, status_text="submitted"), CREATED, "task 1"),
        (Task(task_id="2", status=ServiceStatus.FAILED, status_text="failed"), CREATED, "task 2"),
        (TransportFault("x", phase=RequestPhase.NOT_SENT), NOT_CREATED, "no connection"),
        (TransportFault("x", phase=RequestPhase.MAYBE_SENT), IN_DOUBT, "answer was lost"),
        (refused(1200, 400), NOT_CREATED, "refused it with code 1200"),
        (refused(1203, 404), NOT_CREATED, "refused it"),
        (refused(1303, 429), NOT_CREATED, "refused it"),
        (refused(1302, 429), NOT_CREATED, "refused it"),
        (refused(1102, 429), NOT_CREATED, "refused it"),
        (refused(1004, 401), NOT_CREATED, "refused it"),
        (refused(1301, 400), NOT_CREATED, "refused it"),
        (refused(1201, 400), IN_DOUBT, "exists already"),
        (refused(1200, 200), IN_DOUBT, "no documented way of turning a request away"),
        (refused(1303, 200), IN_DOUBT, "no documented way"),
        (refused(1000, 302), IN_DOUBT, "no documented way"),
        (refused(1200, 500), IN_DOUBT, "no documented way"),
        (refused(1302, 503), IN_DOUBT, "no documented way"),
        (refused(1299, 400), IN_DOUBT, "no documented way"),
        (refused(1399, 429), IN_DOUBT, "no documented way"),
        (refused(999, 400), IN_DOUBT, "no documented way"),
        (refused(1400, 400), IN_DOUBT, "no documented way"),
        (refused(5000, 400), IN_DOUBT, "no documented way"),
        (refused(5000, 500), IN_DOUBT, "no documented way"),
        (refused(5002, 504), IN_DOUBT, "no documented way"),
        (refused(-5, 400), IN_DOUBT, "no documented way"),
        (garbled(200), IN_DOUBT, "HTTP 200"),
        (garbled(302), IN_DOUBT, "HTTP 302"),
        (garbled(400), IN_DOUBT, "HTTP 400"),
        (garbled(404), IN_DOUBT, "HTTP 404"),
        (garbled(413), IN_DOUBT, "HTTP 413"),
        (garbled(502), IN_DOUBT, "HTTP 502"),
        (ServiceError("something new"), IN_DOUBT, "proves nothing"),
    ],
)
def test_what_an_outcome_proves(outcome, verdict, why) -> None:
    judgement = judge_create(outcome)
    assert judgement.verdict is verdict
    assert why in judgement.why


@pytest.mark.parametrize("code", sorted(set(CODES) - {0}))
@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 429, 499, 500, 503, 504])
def test_only_a_documented_refusal_with_a_4xx_is_proof(code: int, status: int) -> None:
    proven = judge_create(refused(code, status)).verdict is NOT_CREATED
    assert proven is (400 <= status < 500 and 1000 <= code <= 1304 and code != 1201)


@pytest.mark.parametrize(
    ("error", "proven"),
    [
        (TransportFault("x", phase=RequestPhase.NOT_SENT), True),
        (TransportFault("x", phase=RequestPhase.MAYBE_SENT), False),
        (refused(1102, 429), True),
        (refused(1200, 400), True),
        pytest.param(refused(1201, 400), True, id="an earlier call may have made it, this one did not"),
        (refused(1004, 401), True),
        (refused(1200, 200), False),
        (refused(1200, 500), False),
        (refused(1299, 400), False),
        (refused(9999, 403), False),
        (refused(0, 400), False),
        (refused(5000, 400), False),
        (garbled(404), False),
        (ServiceError("something new"), False),
    ],
)
def test_what_proves_that_a_paid_call_made_nothing(error: ServiceError, proven: bool) -> None:
    assert proves_nothing_made(error) is proven


INTENT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


def seconds(figure: float) -> timedelta:
    return timedelta(seconds=figure)


@pytest.mark.parametrize(
    ("made", "skew", "ours"),
    [
        pytest.param(None, seconds(0), False, id="no time told"),
        pytest.param(INTENT, seconds(0), True, id="the same moment"),
        pytest.param(INTENT + seconds(3600), seconds(0), True, id="later"),
        pytest.param(INTENT - seconds(5), seconds(0), True, id="within the tolerance of a measured clock"),
        pytest.param(INTENT - seconds(6), seconds(0), False, id="before it"),
        pytest.param(INTENT - seconds(120), None, True, id="within the tolerance of an unmeasured clock"),
        pytest.param(INTENT - seconds(121), None, False, id="before that too"),
        pytest.param(
            INTENT - seconds(600), seconds(-600), True, id="the service's clock is ten minutes behind"
        ),
        pytest.param(
            INTENT - seconds(606), seconds(-600), False, id="made before us by the service's own clock"
        ),
        pytest.param(
            INTENT + seconds(590), seconds(600), False, id="its clock is ahead: it was there before us"
        ),
        pytest.param(INTENT + seconds(600), seconds(600), True, id="its clock is ahead, and it is ours"),
    ],
)
def test_a_task_is_ours_when_it_was_made_after_our_intent(made, skew, ours) -> None:
    assert is_ours(made, INTENT, skew) is ours
