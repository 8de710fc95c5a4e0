from __future__ import annotations

import pytest

from manifest_runner.service import CODES, Decision, decision_for, meaning_of, mend_for

SHEET = [
    (0, 200, Decision.DONE),
    (1000, 401, Decision.STOP_RUN),
    (1001, 401, Decision.STOP_RUN),
    (1002, 401, Decision.STOP_RUN),
    (1003, 401, Decision.CHECK_CLOCK),
    (1004, 401, Decision.RENEW_TOKEN),
    (1100, 429, Decision.STOP_RUN),
    (1101, 429, Decision.PAUSE_CAMPAIGN),
    (1102, 429, Decision.PAUSE_CAMPAIGN),
    (1103, 403, Decision.STOP_RUN),
    (1200, 400, Decision.FAIL_JOB),
    (1201, 400, Decision.FAIL_JOB),
    (1202, 404, Decision.STOP_RUN),
    (1203, 404, Decision.NOT_THERE),
    (1300, 400, Decision.FAIL_JOB),
    (1301, 400, Decision.FAIL_JOB),
    (1302, 429, Decision.SLOW_DOWN),
    (1303, 429, Decision.HOLD_BACK),
    (1304, 429, Decision.STOP_RUN),
    (5000, 500, Decision.TRY_AGAIN),
    (5001, 503, Decision.TRY_AGAIN),
    (5002, 504, Decision.TRY_AGAIN),
]


@pytest.mark.parametrize(("code", "status", "decision"), SHEET)
def test_every_row_of_the_sheet(code: int, status: int, decision: Decision) -> None:
    assert decision_for(code, status) is decision
    assert status in CODES[code].http_statuses
    assert meaning_of(code)
    assert mend_for(code) or code == 0


def test_the_table_has_the_sheets_rows_and_no_others() -> None:
    assert sorted(CODES) == [row[0] for row in SHEET]


def test_a_missing_thing_is_an_answer_to_a_look_up_and_a_refusal_of_a_create() -> None:
    assert decision_for(1203, 404) is Decision.NOT_THERE
    assert decision_for(1203, 404, creating=True) is Decision.FAIL_JOB
    assert decision_for(1200, 400, creating=True) is Decision.FAIL_JOB


@pytest.mark.parametrize("status", [302, 400, 404, 500, 502])
def test_success_has_to_be_said_twice(status: int) -> None:
    assert decision_for(0, status) is Decision.TRY_AGAIN
    assert decision_for(0, 201) is Decision.DONE


@pytest.mark.parametrize(
    ("code", "status", "decision"),
    [
        (1099, 401, Decision.STOP_RUN),
        (1105, 429, Decision.PAUSE_CAMPAIGN),
        (1204, 400, Decision.FAIL_JOB),
        (1299, 500, Decision.TRY_AGAIN),
        (1305, 429, Decision.SLOW_DOWN),
        (1306, 403, Decision.STOP_RUN),
        (1307, 400, Decision.FAIL_JOB),
        (1308, 200, Decision.FAIL_JOB),
        (5003, 200, Decision.TRY_AGAIN),
        (5999, 400, Decision.TRY_AGAIN),
        (9999, 502, Decision.TRY_AGAIN),
        (9999, 401, Decision.STOP_RUN),
        (9999, 422, Decision.FAIL_JOB),
        (9999, 200, Decision.STOP_RUN),
        (-1, 200, Decision.STOP_RUN),
    ],
)
def test_codes_that_the_sheet_does_not_have(code: int, status: int, decision: Decision) -> None:
    assert decision_for(code, status) is decision
    assert "documentation" in meaning_of(code)
    assert mend_for(code)
