"""The client against real sockets: what goes out, what comes back, and what each misfortune turns into."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest
from service_stand_in import (
    StandIn,
    date_header,
    drip,
    drop,
    envelope,
    head,
    raw,
    refusal,
    reset,
    stay_silent,
    task,
)

from manifest_runner.errors import GarbledReply, RequestPhase, ServiceRefused, TransportFault, UsageError
from manifest_runner.models import ServiceStatus
from manifest_runner.service import (
    ApiKey,
    AvatarClient,
    CreateRequest,
    KeyPair,
    SpeechRequest,
    Timeouts,
    Verdict,
    judge_create,
)
from manifest_runner.service.connections import Engine

pytestmark = pytest.mark.usefixtures("engine")

SECRET = "hush-secret-0123456789-0123456789-01"
PAIR = KeyPair("hush-access-0123456789", SECRET)
REQUEST = CreateRequest(external_task_id="job-1", image=b"img", sound_file=b"sound")
SPEECH = SpeechRequest(text="Hello", voice_id="v", voice_language="en")
LONG_AGO, NOW = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)


def client_for(server: StandIn, credentials=PAIR, **options) -> AvatarClient:
    return AvatarClient(server.base_url, credentials, **options)


async def outcome_of_create(server: StandIn, seconds: float = 5.0, credentials=PAIR):
    async with client_for(server, credentials, timeouts=Timeouts(create_seconds=seconds)) as client:
        try:
            return await client.create(REQUEST)
        except (ServiceRefused, GarbledReply, TransportFault) as error:
            return error


async def test_create_sends_the_documented_request() -> None:
    async with StandIn(envelope(task())) as server, client_for(server) as client:
        made = await client.create(REQUEST)
    assert (made.task_id, made.external_task_id) == ("850000000000000001", "job-1")
    assert (made.status, made.request_id) == (ServiceStatus.SUBMITTED, "req-1")
    (seen,) = server.seen
    assert (seen.method, seen.target) == ("POST", "/v1/videos/avatar/image2video")
    assert seen.body == b"".join(REQUEST.chunks())
    assert seen.headers["content-length"] == str(REQUEST.body_bytes)
    assert "transfer-encoding" not in seen.headers
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["accept-encoding"] == "identity"
    kind, _, token = seen.headers["authorization"].partition(" ")
    assert kind == "Bearer"
    assert jwt.decode(token, SECRET, algorithms=["HS256"])["iss"] == "hush-access-0123456789"


async def test_an_api_key_goes_out_as_it_is() -> None:
    async with StandIn(envelope([])) as server, client_for(server, ApiKey("api-1")) as client:
        await client.list_tasks()
    assert server.seen[0].headers["authorization"] == "Bearer api-1"


async def test_a_path_in_the_base_url_is_kept() -> None:
    async with StandIn(envelope([])) as server, AvatarClient(server.base_url + "/gateway/", PAIR) as client:
        await client.list_tasks()
    assert server.seen[0].target.startswith("/gateway/v1/videos/")


async def test_nothing_is_opened_before_the_first_call() -> None:
    async with StandIn(envelope([])) as server:
        async with client_for(server):
            pass
        with pytest.raises(RuntimeError, match="async with"):
            await client_for(server).list_tasks()
    assert server.connections == 0


async def test_paid_calls_never_ride_on_a_used_connection_and_look_ups_do(engine: Engine) -> None:
    async with StandIn(envelope(task())) as server, client_for(server) as client:
        for _ in range(2):
            await client.get("job-1")
        for _ in range(2):
            await client.create(REQUEST)
        await client.get("job-1")
    first, second, paid, paid_again, last = (seen.connection for seen in server.seen)
    assert len({first, paid, paid_again}) == 3
    if engine is Engine.AIOHTTP:
        assert first == second == last
    else:  # httpx's own transport keeps none
        assert len({first, second, last}) == 3


@pytest.mark.parametrize(
    ("any_id", "target"),
    [
        ("850000000000000001", "850000000000000001"),
        ("spring/x", "spring%2Fx"),
        ("a?b#c&d=e", "a%3Fb%23c%26d%3De"),
        ("100%25", "100%2525"),
        ("mit leer", "mit%20leer"),
        ("größe", "gr%C3%B6%C3%9Fe"),
        ("...", "..."),
        ("a\\b", "a%5Cb"),
    ],
)
async def test_ids_are_one_segment_of_the_path(any_id: str, target: str) -> None:
    async with StandIn(envelope(task(external=any_id))) as server, client_for(server) as client:
        found = await client.get(any_id)
    assert found is not None
    assert server.seen[0].target == f"/v1/videos/avatar/image2video/{target}"


@pytest.mark.parametrize("any_id", ["", ".", "..", "a/../b", "..\\b", " ", "a ", "a\nb", "a\x00", "\ud800"])
async def test_ids_that_no_path_can_hold_are_refused_before_sending(any_id: str) -> None:
    async with StandIn(envelope(task())) as server, client_for(server) as client:
        with pytest.raises(UsageError):
            await client.get(any_id)
    assert server.seen == []


async def test_only_the_services_own_word_means_not_there() -> None:
    async with StandIn(refusal(1203, 404)) as server, client_for(server) as client:
        assert await client.get("job-1") is None


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (raw(404, b"<html>Not Found</html>"), GarbledReply),
        (raw(404, b""), GarbledReply),
        (raw(404, b'{"error": "not found"}'), GarbledReply),
        (refusal(1203, 200), ServiceRefused),
        (refusal(1203, 503), ServiceRefused),
        (refusal(1202, 404), ServiceRefused),
        (refusal(9404, 404), ServiceRefused),
        (refusal(5000, 500), ServiceRefused),
        (envelope(None), GarbledReply),
        (envelope({}), GarbledReply),
        (envelope(task(), status=404), GarbledReply),
        (envelope(task(external="job-2")), GarbledReply),
    ],
)
async def test_everything_else_is_not_taken_for_not_there(step, kind) -> None:
    async with StandIn(step) as server, client_for(server) as client:
        with pytest.raises(kind):
            await client.get("job-1")


async def test_a_look_up_by_task_id_or_without_an_echo_is_fine() -> None:
    async with (
        StandIn(envelope(task()), envelope(task(external=None))) as server,
        client_for(server) as client,
    ):
        assert (await client.get("850000000000000001")).external_task_id == "job-1"
        assert (await client.get("job-1")).external_task_id is None


async def test_a_page_of_tasks() -> None:
    async with StandIn(envelope([task(), task("2", None), "x"])) as server, client_for(server) as client:
        page = await client.list_tasks(3, 500)
    assert server.seen[0].target == "/v1/videos/avatar/image2video?pageNum=3&pageSize=500"
    assert [entry.task_id for entry in page.tasks] == ["850000000000000001", "2"]
    assert page.listed == 3


async def test_a_create_is_accepted_without_an_echo_of_its_id() -> None:
    async with StandIn(envelope(task(external=None))) as server:
        made = await outcome_of_create(server)
    assert (made.task_id, made.external_task_id) == ("850000000000000001", None)


async def test_a_page_is_cut_at_the_size_that_was_asked_for() -> None:
    many = envelope([task(str(number), None) for number in range(90)])
    async with StandIn(many) as server, client_for(server) as client:
        page = await client.list_tasks(1, 30)
    assert [entry.task_id for entry in page.tasks] == [str(number) for number in range(30)]
    assert page.listed == 90


@pytest.mark.parametrize(("size", "fits"), [(1, False), (30, False), (40, True)])
async def test_a_page_may_have_so_many_bytes_for_each_of_its_tasks(size: int, fits: bool) -> None:
    big = envelope([task(x="x" * 350_000)])
    async with StandIn(big) as server, client_for(server) as client:
        if fits:
            assert (await client.list_tasks(1, size)).listed == 1
            return
        with pytest.raises(GarbledReply, match=f"longer than {65536 + size * 8192} bytes"):
            await client.list_tasks(1, size)


@pytest.mark.parametrize(("page", "size"), [(0, 1), (1001, 1), (1, 0), (1, 501), (-1, 30)])
async def test_pages_beyond_the_documented_bounds_are_not_asked_for(page: int, size: int) -> None:
    async with StandIn(envelope([])) as server, client_for(server) as client:
        with pytest.raises(UsageError, match="page"):
            await client.list_tasks(page, size)
    assert server.seen == []


async def test_text_to_speech() -> None:
    answer = envelope(
        {"task_result": {"audios": [{"id": "aud-1", "duration": "2.5"}]}, "final_unit_deduction": "0.05"}
    )
    async with StandIn(answer) as server, client_for(server) as client:
        audio = await client.text_to_speech(SPEECH)
    assert (audio.audio_id, str(audio.units)) == ("aud-1", "0.05")
    assert (server.seen[0].method, server.seen[0].target) == ("POST", "/v1/audio/tts")
    assert server.seen[0].json["voice_speed"] == 1.0


async def test_resource_packs_are_asked_for_at_most_once_a_second() -> None:
    answer = envelope({"code": 0, "resource_pack_subscribe_infos": [{"resource_pack_name": "A-5Con-B"}]})
    async with StandIn(answer) as server, client_for(server) as client:
        started = time.monotonic()
        first, second = await asyncio.gather(*(client.resource_packs(LONG_AGO, NOW) for _ in range(2)))
        took = time.monotonic() - started
    assert first == second
    assert first[0].slots == 5
    assert took >= 1.0
    assert server.seen[0].target == "/account/costs?start_time=1790812800000&end_time=1793491200000"


async def test_a_refusal_in_the_accounts_inner_envelope_is_one() -> None:
    answer = envelope({"code": 1102, "msg": "Account balance not enough"})
    async with StandIn(answer) as server, client_for(server) as client:
        with pytest.raises(ServiceRefused, match="Account balance not enough") as caught:
            await client.resource_packs(LONG_AGO, NOW)
    assert caught.value.code == 1102


async def test_a_refusal_says_what_where_and_what_to_do() -> None:
    step = refusal(1303, 429, "parallel task over resource pack limit", Retry_After="3")
    async with StandIn(step) as server:
        error = await outcome_of_create(server)
    assert isinstance(error, ServiceRefused)
    assert (error.code, error.http_status, error.request_id, error.retry_after) == (1303, 429, "req-1", 3.0)
    assert error.what == "The service refuses: all of the account's slots are taken (code 1303, HTTP 429)."
    assert error.said == "parallel task over resource pack limit"
    assert str(error) == f"{error.what} It says: {error.said} Nothing to do: it is tried again."


async def test_a_refusal_without_words_leaves_no_gap() -> None:
    async with StandIn(refusal(1200, 400, " \n")) as server:
        error = await outcome_of_create(server)
    assert error.said is None
    assert str(error) == f"{error.what} {error.mend}"


async def test_what_the_service_says_is_one_line_of_bounded_length() -> None:
    async with StandIn(refusal(1200, 400, "a\r\nb\x1b[2J" + "x" * 9000)) as server:
        error = await outcome_of_create(server)
    assert error.said.startswith("a b [2Jx")
    assert len(error.said) == 500


async def test_an_expired_token_is_renewed_and_a_look_up_made_once_more() -> None:
    async with StandIn(refusal(1004, 401), envelope([task()])) as server, client_for(server) as client:
        assert (await client.list_tasks()).listed == 1
    assert len(server.seen) == 2


@pytest.mark.parametrize("code", [1003, 1004])
@pytest.mark.parametrize("speech", [False, True], ids=["create", "speech"])
async def test_a_paid_call_is_one_post_and_the_new_token_waits_for_the_next(code: int, speech: bool) -> None:
    behind = date_header(datetime.now(UTC) - timedelta(minutes=20))
    made = {"task_result": {"audios": [{"id": "a"}]}} if speech else task()
    async with (
        StandIn(refusal(code, 401, Date=behind), envelope(made)) as server,
        client_for(server) as client,
    ):
        paid = client.text_to_speech(SPEECH) if speech else client.create(REQUEST)
        with pytest.raises(ServiceRefused) as caught:
            await paid
        assert caught.value.renewed
        assert judge_create(caught.value).verdict is Verdict.NOT_CREATED
        assert len(server.seen) == 1
        await (client.text_to_speech(SPEECH) if speech else client.create(REQUEST))
    first, second = (unverified(seen) for seen in server.seen)
    assert -1203 <= second["nbf"] - first["nbf"] <= -1197


async def test_a_renewed_token_that_is_refused_gives_no_more_hope() -> None:
    async with StandIn(refusal(1004, 401)) as server, client_for(server) as client:
        hopes = []
        for _ in range(3):
            with pytest.raises(ServiceRefused) as caught:
                await client.create(REQUEST)
            hopes.append(caught.value.renewed)
    assert hopes == [True, False, False]


async def test_a_renewed_token_that_was_accepted_may_be_renewed_again() -> None:
    steps = (refusal(1004, 401), envelope([]), refusal(1004, 401), envelope([]))
    async with StandIn(*steps) as server, client_for(server) as client:
        await client.list_tasks()
        await client.list_tasks()
    assert len(server.seen) == 4


async def test_paid_calls_refused_together_renew_the_token_once() -> None:
    behind = date_header(datetime.now(UTC) - timedelta(minutes=20))
    async with StandIn(refusal(1003, 401, Date=behind)) as server, client_for(server) as client:
        ends = await asyncio.gather(*(client.create(REQUEST) for _ in range(5)), return_exceptions=True)
        assert [end.renewed for end in ends] == [True] * 5
        assert client._tokens.generation == 1
        with pytest.raises(ServiceRefused) as caught:
            await client.create(REQUEST)
    assert not caught.value.renewed
    assert len(server.seen) == 6


async def test_a_token_that_is_not_valid_yet_is_made_by_the_services_clock() -> None:
    behind = date_header(datetime.now(UTC) - timedelta(minutes=20))
    steps = (refusal(1003, 401, Date=behind), envelope([], Date=behind))
    async with StandIn(*steps) as server, client_for(server) as client:
        await client.list_tasks()
        assert client.clock_skew is not None
        assert abs(client.clock_skew - timedelta(minutes=-20)) < timedelta(seconds=2)
    first, second = (unverified(seen) for seen in server.seen)
    assert -1203 <= second["nbf"] - first["nbf"] <= -1197


def unverified(seen) -> dict[str, int]:
    return jwt.decode(seen.headers["authorization"][7:], options={"verify_signature": False})


async def test_without_a_date_the_token_is_made_five_minutes_earlier() -> None:
    async with StandIn(refusal(1003, 401), envelope([])) as server, client_for(server) as client:
        await client.list_tasks()
    first, second = (unverified(seen) for seen in server.seen)
    assert -301 <= second["nbf"] - first["nbf"] <= -299


@pytest.mark.parametrize("code", [1003, 1004])
async def test_a_token_refused_twice_is_reported_with_the_skew(code: int) -> None:
    async def an_hour_ahead(seen, writer) -> None:
        # As it answers, however long a busy machine took to ask.
        now = date_header(datetime.now(UTC) + timedelta(hours=1))
        await refusal(code, 401, Date=now)(seen, writer)

    async with StandIn(an_hour_ahead) as server, client_for(server) as client:
        with pytest.raises(ServiceRefused) as caught:
            await client.list_tasks()
    assert len(server.seen) == 2
    assert (caught.value.code, caught.value.renewed) == (code, False)
    assert "+3600 s" in caught.value.mend or "+3601 s" in caught.value.mend


@pytest.mark.parametrize(
    ("step", "credentials"),
    [
        pytest.param(refusal(1004, 200), PAIR, id="not proven: HTTP says it went well"),
        pytest.param(refusal(1004, 500), PAIR, id="not proven: HTTP says it broke"),
        pytest.param(refusal(1004, 401), ApiKey("api-key-0123456789"), id="an API key stays what it is"),
        pytest.param(refusal(1000, 401), PAIR, id="another token would meet the same"),
    ],
)
async def test_no_call_is_made_again_without_proof_and_hope(step, credentials) -> None:
    async with StandIn(step) as server, client_for(server, credentials) as client:
        with pytest.raises(ServiceRefused) as caught:
            await client.list_tasks()
    assert not caught.value.renewed
    assert len(server.seen) == 1


async def test_a_late_refusal_of_the_token_leaves_no_time_for_another_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def late(seen, writer) -> None:
        await asyncio.sleep(0.6)
        await refusal(1004, 401)(seen, writer)

    monkeypatch.setattr(Timeouts, "read_bound", 1.0)
    async with StandIn(late, envelope([])) as server, client_for(server) as client:
        with pytest.raises(ServiceRefused) as caught:
            await client.list_tasks()
    assert (caught.value.code, caught.value.renewed, len(server.seen)) == (1004, True, 1)


NO_ENVELOPE = {
    "html": raw(502, b"<html>Bad Gateway</html>", Content_Type="text/html"),
    "empty": raw(200),
    "cut json": raw(200, b'{"code":0,"data":{"task_id":"8500'),
    "no task id": envelope({"task_status": "submitted"}),
    "another job's task": envelope(task(external="job-2")),
    "a task of an id that is none": envelope(task(external="..")),
    "a task id that climbs": envelope(task("..")),
    "a refusal of an absurd code": refusal(10**30, 400),
    "a refusal of a code below zero": refusal(-1200, 400),
    "code 0 with 500": envelope(task(), status=500),
    "code 0 with 400": envelope(task(), status=400),
    "redirect": raw(302, b"", Location="http://127.0.0.1:1/"),
    "see other": raw(303, json.dumps({"code": 0, "data": task()}).encode(), Location="/x"),
    "permanent redirect": raw(308, b"", Location="https://evil.example/"),
    "packed": raw(200, b"\x1f\x8b", Content_Encoding="gzip"),
    "endless": raw(200, b" " * (1024 * 1024 + 1)),
    "not found": raw(404, b"nope"),
}


@pytest.mark.parametrize("step", NO_ENVELOPE.values(), ids=NO_ENVELOPE.keys())
async def test_an_answer_that_is_none_leaves_a_create_in_doubt_after_one_post(step) -> None:
    async with StandIn(step) as server:
        error = await outcome_of_create(server)
    assert isinstance(error, GarbledReply)
    assert str(error).startswith("Creating a task: ")
    assert judge_create(error).verdict is Verdict.IN_DOUBT
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "location", ["http://[::bad", "http://a:99999999/", "", "//", "mailto:x", "http://\x80/"]
)
async def test_wherever_a_redirect_points_the_create_is_in_doubt(location: str) -> None:
    async def redirect(seen, writer) -> None:
        writer.write(
            head(302, {"Content-Length": "0"})[:-2] + f"Location: {location}\r\n\r\n".encode("latin-1")
        )
        await writer.drain()

    async with StandIn(redirect) as server:
        error = await outcome_of_create(server)
    assert judge_create(error).verdict is Verdict.IN_DOUBT
    assert len(server.seen) == 1


async def test_a_garbled_answer_still_tells_how_long_to_wait() -> None:
    async with StandIn(raw(503, b"busy", Retry_After="9")) as server:
        error = await outcome_of_create(server)
    assert error.retry_after == 9.0


BROKEN = {
    "dropped": drop,
    "reset": reset,
    "silence": stay_silent(10),
    "no http": drip(b"SSH-2.0-OpenSSH_9\r\n\r\n", 10),
    "short body": drip(head(200, {"Content-Length": "900"}) + b'{"code":0', 10),
    "dripping head": drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", 0.05),
    "dripping body": drip(head(200, {"Content-Length": "900000"}), 0.05, b" "),
    "endless 100 Continue": drip(b"", 0.05, b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("step", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_answer_leaves_a_create_in_doubt_within_its_bound(step) -> None:
    async with StandIn(step) as server:
        started = time.monotonic()
        error = await outcome_of_create(server, seconds=1.0)
        took = time.monotonic() - started
    assert isinstance(error, TransportFault)
    assert error.phase is RequestPhase.MAYBE_SENT
    assert judge_create(error).verdict is Verdict.IN_DOUBT
    assert took < 8
    assert len(server.seen) == 1


async def fault_at(base_url: str) -> TransportFault:
    async with AvatarClient(base_url, PAIR, timeouts=Timeouts(create_seconds=4)) as client:
        with pytest.raises(TransportFault) as caught:
            await client.create(REQUEST)
    return caught.value


async def test_a_closed_port_proves_that_nothing_was_sent() -> None:
    async with StandIn(drop) as server:
        gone = server.base_url
    fault = await fault_at(gone)
    assert fault.phase is RequestPhase.NOT_SENT
    assert "no connection could be made" in str(fault)


async def test_a_host_that_is_none_is_told_without_numbers() -> None:
    fault = await fault_at("https://no.such.host.invalid")
    assert fault.phase is RequestPhase.NOT_SENT
    assert "no connection could be made (" in str(fault)
    assert "Errno" not in str(fault)


async def test_a_failed_tls_handshake_proves_that_nothing_was_sent() -> None:
    async with StandIn(drop) as server:
        fault = await fault_at(f"https://127.0.0.1:{server.port}")
    assert fault.phase is RequestPhase.NOT_SENT
    assert server.seen == []


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def use(address: str) -> None:
        monkeypatch.setenv("HTTPS_PROXY", address)
        monkeypatch.setenv("HTTP_PROXY", address)

    return use


@pytest.mark.parametrize(
    ("step", "phase"),
    [(raw(403), RequestPhase.NOT_SENT), (raw(407), RequestPhase.NOT_SENT), (drop, RequestPhase.MAYBE_SENT)],
)
async def test_a_proxy_that_refuses_is_proof_and_one_that_breaks_is_none(proxied, step, phase) -> None:
    async with StandIn(step) as proxy:
        proxied(proxy.base_url)
        fault = await fault_at("https://service.invalid")
    assert fault.phase is phase
    assert (proxy.seen[0].method, proxy.seen[0].target) == ("CONNECT", "service.invalid:443")
    assert "authorization" not in proxy.seen[0].headers


async def test_this_machines_own_addresses_are_reached_without_a_proxy(proxied) -> None:
    async with StandIn(raw(403)) as proxy, StandIn(envelope([])) as server:
        proxied(proxy.base_url)
        async with client_for(server) as client:
            await client.list_tasks()
    assert proxy.connections == 0


@pytest.mark.parametrize("address", ["socks9://user:hush@127.0.0.1:1", "gopher://hush:1"])
async def test_a_proxy_setting_that_can_not_work_is_named_without_its_password(proxied, address: str) -> None:
    proxied(address)
    with pytest.raises(UsageError, match="HTTPS_PROXY") as caught:
        async with AvatarClient("https://service.invalid", PAIR):
            pass
    assert "hush" not in str(caught.value)


async def test_calls_that_run_into_their_bound_leave_the_pool_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Timeouts, "read_bound", 0.2)
    good = envelope([task()])

    async def by_page(seen, writer) -> None:
        bad = drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", 0.02) if "pageNum=9&" in seen.target else good
        await bad(seen, writer)

    async with StandIn(by_page) as server, client_for(server, connections=3) as client:
        ends = await asyncio.gather(*(client.list_tasks(9) for _ in range(12)), return_exceptions=True)
        stopped = [asyncio.create_task(client.list_tasks(9)) for _ in range(12)]
        await asyncio.sleep(0.05)
        for waiting in stopped:
            waiting.cancel()
        await asyncio.wait(stopped)
        pages = await asyncio.gather(*(client.list_tasks(1) for _ in range(3)))
    assert all(isinstance(end, TransportFault) for end in ends)
    assert [page.listed for page in pages] == [1, 1, 1]


async def test_a_keep_alive_connection_closed_by_the_service_is_replaced() -> None:
    async def once(seen, writer) -> None:
        await envelope([task()])(seen, writer)
        writer.close()

    async with StandIn(once) as server, client_for(server) as client:
        await client.list_tasks()
        await asyncio.sleep(0.05)
        await client.list_tasks()
    assert len(server.seen) == server.connections == 2


@pytest.mark.parametrize(
    "step",
    [
        raw(502, b"<html>", Date=date_header(datetime.now(UTC) - timedelta(hours=1))),
        envelope([], Date=date_header(datetime.now(UTC) - timedelta(hours=1)), Age="3600"),
        envelope([], Date="yesterday"),
        envelope([]),
    ],
)
async def test_only_the_services_own_fresh_date_measures_its_clock(step) -> None:
    async with StandIn(step) as server, client_for(server) as client:
        with contextlib.suppress(GarbledReply):
            await client.list_tasks()
        assert client.clock_skew is None


async def test_a_transport_can_stand_in_for_the_network() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps({"code": 0, "data": task()}).encode()))

    transport = httpx.MockTransport(answer)
    async with AvatarClient("https://service.invalid", PAIR, transport=transport) as client:
        assert (await client.create(REQUEST)).task_id == "850000000000000001"
        assert (await client.get("job-1")).task_id == "850000000000000001"
