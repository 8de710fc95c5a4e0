from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifest_runner.errors import GarbledReply
from manifest_runner.models import ServiceStatus, quantity_from
from manifest_runner.service import replies
from manifest_runner.service.cleaning import id_from, message_from, moment_from, url_from
from manifest_runner.service.listing import Listing
from manifest_runner.service.replies import ResourcePack, Video

FULL_TASK = {
    "task_id": "850000000000000001",
    "task_status": "succeed",
    "task_status_msg": "fine",
    "task_info": {"external_task_id": "007"},
    "task_result": {
        "videos": [
            {
                "id": "v1",
                "url": "https://a.example/v.mp4",
                "watermark_url": "https://a.example/w.mp4",
                "duration": "11.3",
            }
        ]
    },
    "watermark_info": {"enabled": True},
    "final_unit_deduction": "4.4",
    "created_at": 1722769557708,
    "updated_at": 1722769557709,
    "final_balance_deduction": {"quota": "4.4", "list_price": 0.62},
}


def envelope(data: object, **more: object) -> replies.Envelope:
    return replies.parse_envelope(
        json.dumps({"code": 0, "message": "ok", "request_id": "r1", "data": data, **more}).encode(),
        200,
        where="Here",
    )


def task(**changes: object) -> replies.Task:
    fields = {name: value for name, value in (FULL_TASK | changes).items() if value is not ...}
    return replies.task_from(envelope(fields))


def test_a_whole_task() -> None:
    parsed = task()
    assert parsed.task_id == "850000000000000001"
    assert parsed.status is ServiceStatus.SUCCEED
    assert (parsed.status_text, parsed.status_message) == ("succeed", "fine")
    assert parsed.external_task_id == "007"
    assert parsed.videos == (
        Video(
            id="v1",
            url="https://a.example/v.mp4",
            watermark_url="https://a.example/w.mp4",
            seconds=Decimal("11.3"),
        ),
    )
    assert parsed.watermark_enabled is True
    assert parsed.units == Decimal("4.4")
    assert parsed.created_at == datetime(2024, 8, 4, 11, 5, 57, 708000, tzinfo=UTC)
    assert parsed.updated_at == datetime(2024, 8, 4, 11, 5, 57, 709000, tzinfo=UTC)
    assert parsed.request_id == "r1"
    assert parsed.extra == {"final_balance_deduction": {"quota": "4.4", "list_price": Decimal("0.62")}}


def test_a_task_of_nothing_but_its_id() -> None:
    parsed = replies.task_from(envelope({"task_id": "1"}))
    assert parsed == replies.Task(task_id="1", status=ServiceStatus.UNKNOWN, status_text="", request_id="r1")


@pytest.mark.parametrize("field", [name for name in FULL_TASK if name != "task_id"])
@pytest.mark.parametrize(
    "value", [..., None, [], {}, 5, "", True, [None], {"videos": 3}, {"videos": [None, 1]}]
)
def test_no_field_can_break_a_task(field: str, value: object) -> None:
    assert task(**{field: value}).task_id == "850000000000000001"


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("850000000000000001", "850000000000000001"),
        (850000000000000001, "850000000000000001"),
        (9007199254740993, "9007199254740993"),
        (10**60, "1" + "0" * 60),
        ("007", "007"),
    ],
)
def test_task_ids_are_text_to_the_last_digit(sent: object, text: str) -> None:
    assert task(task_id=sent).task_id == text


@pytest.mark.parametrize(
    "sent",
    [
        *(..., None, "", True, 8.5e17, {}, [], "a\nb", "\ud800", "x" * 257),
        *(".", "..", "../costs", "a/..", "a/./b", "..\\b", " ", " 1", "1 ", "***", "a***b"),
    ],
)
def test_a_success_without_a_usable_task_id_is_garbled(sent: object) -> None:
    with pytest.raises(GarbledReply, match=r"Here: .* a task with an id \(request r1\)"):
        task(task_id=sent)


@pytest.mark.parametrize("data", [None, [], "x", 3, {}])
def test_a_success_without_a_task_is_garbled(data: object) -> None:
    with pytest.raises(GarbledReply):
        replies.task_from(envelope(data))


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("submitted", ServiceStatus.SUBMITTED),
        ("processing", ServiceStatus.PROCESSING),
        ("failed", ServiceStatus.FAILED),
        ("succeeded", ServiceStatus.UNKNOWN),
        ("SUCCEED", ServiceStatus.UNKNOWN),
    ],
)
def test_status_words(word: str, status: ServiceStatus) -> None:
    parsed = task(task_status=word)
    assert (parsed.status, parsed.status_text) == (status, word)


@pytest.mark.parametrize(
    ("sent", "units"),
    [
        ("4.4", Decimal("4.4")),
        (" 4.40 ", Decimal("4.40")),
        (0, Decimal(0)),
        (12, Decimal(12)),
        ("0.05", Decimal("0.05")),
        ("4.4000000000000004", Decimal("4.4000000000000004")),
        ("NaN", None),
        ("Infinity", None),
        ("-1", None),
        (-1, None),
        ("free", None),
        ("", None),
        (None, None),
        (True, None),
        (["4.4"], None),
        ("1e999999", None),
        ("1e-999999", None),
        ("1" * 14, None),
    ],
)
def test_units(sent: object, units: Decimal | None) -> None:
    assert task(final_unit_deduction=sent).units == units


def test_units_sent_as_a_json_number_stay_exact() -> None:
    raw = b'{"code":0,"data":{"task_id":1,"final_unit_deduction":4.400000000000000000001}}'
    parsed = replies.task_from(replies.parse_envelope(raw, 200))
    assert parsed.units == Decimal("4.400000000000000000001")


@pytest.mark.parametrize(
    ("sent", "moment"),
    [
        (1722769557708, datetime(2024, 8, 4, 11, 5, 57, 708000, tzinfo=UTC)),
        ("1722769557708", datetime(2024, 8, 4, 11, 5, 57, 708000, tzinfo=UTC)),
        (Decimal("1722769557708.0"), datetime(2024, 8, 4, 11, 5, 57, 708000, tzinfo=UTC)),
        (1722769557, None),
        (-1, None),
        (0, None),
        (10**30, None),
        (Decimal("1e400"), None),
        (True, None),
        ("now", None),
        (None, None),
    ],
)
def test_moments(sent: object, moment: datetime | None) -> None:
    assert moment_from(sent) == moment


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"  \n",
        b"<html><body>502 Bad Gateway</body></html>",
        b'{"code":0,"data":{"task_id":"1"',
        b"null",
        b"[]",
        b"17",
        b"{}",
        b'{"code":null}',
        b'{"code":true}',
        b'{"code":0.0}',
        b'{"code":"zero"}',
        b'{"code":-1}',
        b'{"code":1000000}',
        b'{"code":"1000000"}',
        b'{"code":1000000000000000000000000000000}',
        b'{"code":0,"data":NaN}',
        b'{"code":0,"data":-Infinity}',
        b'{"code":0,"code":1200}',
        b'{"code":0,"data":{"task_id":"1","task_id":"2"}}',
        b'{"code":0,"data":' + b"[" * 200_000,
        b'{"code":0,"data":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
        b'{"code":0,"data":' + b"9" * 10_000 + b"}",
        b'{"code":0,"data":1e99999999999999999999}',
        b'{"code":0,"data":0.' + b"3" * 500 + b"}",
        b'{"code":0,"message":"\xff\xfe"}',
        '{"code":0}'.encode("utf-16"),
    ],
)
def test_what_is_no_envelope_is_garbled(raw: bytes) -> None:
    with pytest.raises(GarbledReply) as caught:
        replies.parse_envelope(raw, 502, retry_after=7.0)
    assert (caught.value.http_status, caught.value.retry_after) == (502, 7.0)
    assert len(str(caught.value)) < 200
    assert caught.value.__context__ is None


@given(st.binary(max_size=200))
def test_any_bytes_are_an_envelope_or_garbled(raw: bytes) -> None:
    with contextlib.suppress(GarbledReply):
        replies.parse_envelope(raw, 200)


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*FULL_TASK, "videos", "audios", "id", "url", "duration"]), inner, max_size=6
        )
    ),
    max_leaves=20,
)


@given(_json)
def test_any_data_is_read_or_garbled(data: object) -> None:
    sent = envelope(data)
    page_from = partial(Listing().page_from, page_size=2)
    for read in (replies.task_from, page_from, replies.audio_from, replies.account_envelope_from):
        with contextlib.suppress(GarbledReply):
            read(sent)


@pytest.mark.parametrize(("sent", "code"), [(0, 0), (999_999, 999_999), ("0", 0), ("999999", 999_999)])
def test_codes_have_up_to_six_digits(sent: object, code: int) -> None:
    assert replies.parse_envelope(json.dumps({"code": sent}).encode(), 400).code == code


@pytest.mark.parametrize("sent", ["...", "a.b", "a/b", "..a", "a..", "-1", "%2e%2e", "x" * 256])
def test_ids_that_a_path_can_hold_are_taken(sent: str) -> None:
    assert id_from(sent) == sent


@pytest.mark.parametrize(
    ("sent", "told"),
    [("job-1", "job-1"), (7, "7"), ("..", ".."), ("a\nb", "a b"), ("", None), (None, None), ([], None)],
)
def test_another_jobs_id_is_told_also_where_it_can_be_none(sent: object, told: str | None) -> None:
    assert task(task_info={"external_task_id": sent}).external_task_id == told


def test_a_code_may_be_digits_in_text_and_a_byte_order_mark_may_come_first() -> None:
    parsed = replies.parse_envelope(b'\xef\xbb\xbf{"code":"1200","request_id":77}', 400)
    assert (parsed.code, parsed.request_id, parsed.message, parsed.data) == (1200, "77", None, None)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("plain", "plain"),
        ("a\x1b[31mred\x07\r\nnext", "a [31mred next"),
        ("right\u202eto left\u200b", "right to left"),
        ("half \ud83d pair", "half pair"),
        ("x" * 501, "x" * 497 + "..."),
        ("内容违规", "内容违规"),
        (" \n ", None),
        ("", None),
        (5, None),
        (None, None),
    ],
)
def test_words_of_the_service_are_cleaned(sent: object, shown: str | None) -> None:
    assert message_from(sent) == shown


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("https://a.example/v.mp4?sig=1", True),
        ("javascript:alert(1)", True),  # whether it may be fetched is decided there
        ("https://a.example/\n", False),
        ("https://a.example/é", False),
        ("", False),
        ("x" * 8193, False),
        (7, False),
    ],
)
def test_addresses_are_kept_as_sent_or_not_at_all(sent: object, kept: bool) -> None:
    assert url_from(sent) == (sent if kept else None)


def test_ids_and_quantities_take_no_truth_values_for_numbers() -> None:
    assert id_from(True) is None
    assert quantity_from(False) is None


def test_a_page_leaves_out_what_is_no_task_and_still_counts_it() -> None:
    page = Listing().page_from(envelope([{"task_id": 1}, None, "x", [], {}, {"task_id": "2"}]), page_size=6)
    assert [entry.task_id for entry in page.tasks] == ["1", "2"]
    assert page.listed == 6
    assert page.request_id == "r1"


def test_a_list_that_is_null_is_empty_and_one_that_is_none_is_garbled() -> None:
    assert Listing().page_from(envelope(None), page_size=9) == replies.TaskPage(
        tasks=(), listed=0, request_id="r1"
    )
    with pytest.raises(GarbledReply, match="a list of tasks"):
        Listing().page_from(envelope({"task_id": 1}), page_size=9)


def test_speech() -> None:
    audio = replies.audio_from(
        envelope(
            {
                "task_id": 5,
                "task_result": {
                    "audios": [{}, {"id": 9, "url": "https://a.example/s.mp3", "duration": 3.25}]
                },
                "final_unit_deduction": "0.05",
                "created_at": 1722769557708,
            }
        )
    )
    assert (audio.audio_id, audio.task_id, audio.url) == ("9", "5", "https://a.example/s.mp3")
    assert (audio.seconds, audio.units, audio.request_id) == (Decimal("3.25"), Decimal("0.05"), "r1")
    assert audio.created_at == datetime(2024, 8, 4, 11, 5, 57, 708000, tzinfo=UTC)


@pytest.mark.parametrize(
    "data", [None, {}, {"task_result": {"audios": []}}, {"task_result": {"audios": [{"id": ""}]}}]
)
def test_speech_without_an_id_is_garbled(data: object) -> None:
    with pytest.raises(GarbledReply, match="an audio with an id"):
        replies.audio_from(envelope(data))


def account(**fields: object) -> replies.Envelope:
    return replies.account_envelope_from(envelope(fields))


def test_resource_packs() -> None:
    pack = {
        "resource_pack_name": "Trial-Video-100Units-5Con-1Months",
        "resource_pack_id": 12,
        "resource_pack_type": "decreasing_total",
        "total_quantity": 100,
        "remaining_quantity": "87.6",
        "purchase_time": 1722769557708,
        "effective_time": 1722769557708,
        "invalid_time": "never",
        "status": "online",
    }
    moment = datetime(2024, 8, 4, 11, 5, 57, 708000, tzinfo=UTC)
    packs = replies.packs_from(account(code=0, msg="ok", resource_pack_subscribe_infos=[pack, None]))
    assert packs == (
        ResourcePack(
            name="Trial-Video-100Units-5Con-1Months",
            pack_id="12",
            pack_type="decreasing_total",
            status="online",
            total=Decimal(100),
            remaining=Decimal("87.6"),
            purchased_at=moment,
            effective_at=moment,
            invalid_at=None,
            slots=5,
        ),
    )


@pytest.mark.parametrize(
    ("name", "slots"),
    [
        ("20con", 20),
        ("A-10CON", 10),
        ("A-5Contracts", None),
        ("A-x5Con-b", None),
        ("A-99999Con", None),
        (None, None),
    ],
)
def test_the_slots_in_a_packs_name(name: object, slots: int | None) -> None:
    (pack,) = replies.packs_from(account(resource_pack_subscribe_infos=[{"resource_pack_name": name}]))
    assert pack.slots == slots


def test_the_accounts_inner_code_counts() -> None:
    inner = account(code=1102, msg="Account balance not enough")
    assert (inner.code, inner.message) == (1102, "Account balance not enough")
    assert replies.packs_from(account()) == ()


@pytest.mark.parametrize("data", [None, [], {"code": "x"}])
def test_an_account_answer_without_an_account_is_garbled(data: object) -> None:
    with pytest.raises(GarbledReply):
        replies.account_envelope_from(envelope(data))


def test_an_entry_is_read_anew_only_when_it_says_something_else() -> None:
    listing = Listing()
    first = listing.page_from(
        envelope([{"task_id": "1"}, {"task_id": "2", "task_status": "submitted"}]), page_size=9
    )
    again = listing.page_from(
        envelope([{"task_id": "2", "task_status": "succeed"}, {"task_id": "1"}]), page_size=9
    )
    assert [task.status for task in again.tasks] == [ServiceStatus.SUCCEED, ServiceStatus.UNKNOWN]
    assert again.tasks[1] is first.tasks[0]
    last = listing.page_from(
        envelope([{"task_id": "3", "task_info": {"external_task_id": "1"}}]), page_size=9
    )
    assert [task.task_id for task in last.tasks] == ["3"]
    assert len(listing._before) == 1, "only the last page is kept"
