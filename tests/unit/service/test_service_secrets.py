"""No key, token or signed address in a message, a repr, a log or an exception's chain."""

from __future__ import annotations

import asyncio
import gc
import json
import logging

import httpx
import pytest
from service_stand_in import StandIn, drop, envelope, raw, refusal, stay_silent, task

from manifest_runner.errors import GarbledReply, RequestPhase, ServiceError, TransportFault
from manifest_runner.http_logs import quiet_http_logs
from manifest_runner.service import ApiKey, AvatarClient, CreateRequest, KeyPair, Timeouts, open_result
from manifest_runner.service.auth import BLOTTED, TokenSource
from manifest_runner.service.faults import transport_fault
from manifest_runner.service.strict_json import parse_json

pytestmark = pytest.mark.usefixtures("engine")

NOT_SENT, MAYBE_SENT = RequestPhase.NOT_SENT, RequestPhase.MAYBE_SENT
KEY = "hush-api-key-0123456789"
REQUEST = CreateRequest(external_task_id="job-1", image=b"img", audio_id="9")


@pytest.fixture
def http_loggers():
    loggers = [logging.getLogger(name) for name in ("httpx", "httpcore", "aiohttp")]
    before = [(logger.level, list(logger.filters)) for logger in loggers]
    for logger in loggers:  # as they are in a fresh process
        logger.setLevel(logging.NOTSET)
        logger.filters.clear()
    yield loggers
    for logger, (level, filters) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.filters[:] = filters


def leads_to_a_request(error: BaseException) -> bool:
    """Whether anything that hangs on the exception (not its frames) reaches httpx's request and its headers."""
    seen, queue = set(), [error]
    while queue:
        found = queue.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, httpx.Request | httpx.Headers):
            return True
        queue += [
            link for link in (getattr(found, "__cause__", None), getattr(found, "__context__", None)) if link
        ]
        queue += list(vars(found).values()) if hasattr(found, "__dict__") else []
    return False


@pytest.mark.parametrize(
    "step",
    [
        drop,
        stay_silent(5),
        refusal(1002, 401, f"Authorization 'Bearer {KEY}' is invalid"),
        refusal(1000, 401, "x" * 490 + KEY),
        refusal(1004, 401, f"expired {KEY}"),
    ],
)
async def test_no_failure_shows_the_key(step, caplog: pytest.LogCaptureFixture, http_loggers) -> None:
    caplog.set_level(logging.DEBUG)
    async with (
        StandIn(step) as server,
        AvatarClient(server.base_url, ApiKey(KEY), timeouts=Timeouts(create_seconds=0.3)) as client,
    ):
        with pytest.raises(ServiceError) as caught:
            await client.create(REQUEST)
        shown = f"{caught.value} {caught.value!r} {vars(caught.value)} {client!r} {caplog.text}"
    assert "hush" not in shown
    assert not leads_to_a_request(caught.value)
    assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"
    gc.collect()


def test_an_illegal_header_is_not_quoted() -> None:
    fault = transport_fault(
        httpx.LocalProtocolError(f"Illegal header value b'Bearer {KEY}\\n'"), "Listing tasks"
    )
    assert "hush" not in str(fault)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://cdn.example/v.mp4?sig=hush", "https://cdn.example/v.mp4?..."),
        ("https://cdn.example/v.mp4#hush", "https://cdn.example/v.mp4?..."),
        ("https://me:hush@cdn.example/v.mp4", "https://cdn.example/v.mp4"),
        ("http://a/b?hush@c/d?e", "http://a/b?..."),
        ("https://cdn.example/plain", "https://cdn.example/plain"),
    ],
)
def test_logged_addresses_lose_their_queries(
    url, shown, caplog: pytest.LogCaptureFixture, http_loggers
) -> None:
    quiet_http_logs()
    caplog.set_level(logging.INFO)
    logging.getLogger("httpx").info(
        'HTTP Request: %s %s "%s %d %s"', "GET", httpx.URL(url), "HTTP/1.1", 200, "OK"
    )
    assert caplog.messages == [f'HTTP Request: GET {shown} "HTTP/1.1 200 OK"']


async def test_real_calls_log_no_query_and_no_header(caplog: pytest.LogCaptureFixture, http_loggers) -> None:
    """Nobody has to remember to quiet the logs: the client does it."""
    caplog.set_level(logging.DEBUG)
    async with StandIn(envelope([task()])) as server, AvatarClient(server.base_url, ApiKey(KEY)) as client:
        await client.list_tasks()
    assert "/image2video?..." in caplog.text
    assert "pageNum" not in caplog.text
    assert "hush" not in caplog.text


async def test_a_download_alone_logs_no_signature(caplog: pytest.LogCaptureFixture, http_loggers) -> None:
    caplog.set_level(logging.DEBUG)
    async with StandIn(raw(200, b"video")) as server:
        url = f"{server.base_url}/v.mp4?sig=hush"
        async with open_result(url, base_url=server.base_url) as result:
            assert [chunk async for chunk in result.chunks] == [b"video"]
    assert "/v.mp4?..." in caplog.text
    assert "hush" not in caplog.text


PAIR = KeyPair("hush-access-key-01", 'hush-"secret\\/-0123456789-0123456789')


def echo_everywhere(quote) -> object:
    """An answer that repeats, in every text of it, what `quote` makes of the token that was sent."""

    async def step(seen, writer) -> None:
        said = quote(seen.headers["authorization"])
        video = {"id": said, "url": f"https://a.example/v?t={said}", "watermark_url": said}
        fields = task(
            task_status=said,
            task_status_msg=f"failed with {said}",
            task_result={"videos": [video]},
            final_balance_deduction={said: [said]},
        )
        body = {"code": 0, "message": said, "request_id": said, "data": fields}
        as_sent = json.dumps(body)
        hidden = as_sent.replace("hush", "h\\u0075sh").replace("eyJ", "\\u0065yJ").replace("/", "\\/")
        await raw(200, hidden.encode())(seen, writer)

    return step


@pytest.mark.parametrize("credentials", [ApiKey(KEY), PAIR], ids=["key", "pair"])
@pytest.mark.parametrize(
    "quote",
    [
        pytest.param(lambda header: header, id="the header"),
        pytest.param(lambda _: f"{KEY} {PAIR.access_key} {PAIR.secret_key}", id="the keys"),
    ],
)
async def test_no_field_of_an_answer_keeps_a_key(credentials, quote) -> None:
    async with (
        StandIn(echo_everywhere(quote)) as server,
        AvatarClient(server.base_url, credentials) as client,
    ):
        found = await client.create(REQUEST)
        sent = server.seen[0].headers["authorization"].removeprefix("Bearer ")
    shown = f"{found!r} {found.extra}"
    mine = [KEY] if isinstance(credentials, ApiKey) else [sent, PAIR.access_key, PAIR.secret_key]
    assert not [secret for secret in mine if secret in shown]
    assert found.task_id == "850000000000000001"
    assert found.request_id is None
    assert "***" in (found.status_message or "")


@pytest.mark.parametrize("quoted", [KEY, f"task-{KEY}"])
async def test_an_id_that_quotes_the_key_is_none(quoted: str) -> None:
    async with (
        StandIn(envelope(task(quoted))) as server,
        AvatarClient(server.base_url, ApiKey(KEY)) as client,
    ):
        with pytest.raises(GarbledReply, match="a task with an id") as caught:
            await client.create(REQUEST)
    assert "hush" not in str(caught.value)


async def test_a_key_of_digits_is_found_among_numbers() -> None:
    answer = envelope(task(1234567890123, final_unit_deduction=1234567890123.5))
    async with (
        StandIn(answer) as server,
        AvatarClient(server.base_url, ApiKey("1234567890123")) as client,
    ):
        with pytest.raises(GarbledReply):
            await client.create(REQUEST)


async def test_an_answer_that_quotes_a_token_which_was_renewed_meanwhile_keeps_none_of_it() -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def late_echo(seen, writer) -> None:
        asked.set()
        await release.wait()
        await envelope(task(task_status_msg=seen.headers["authorization"]))(seen, writer)

    async def by_target(seen, writer) -> None:
        if "pageNum" not in seen.target:
            await late_echo(seen, writer)
        elif len(server.seen) == 2:
            await refusal(1003, 401)(seen, writer)
        else:
            await envelope([])(seen, writer)

    async with StandIn(by_target) as server, AvatarClient(server.base_url, PAIR) as client:
        slow = asyncio.create_task(client.get("job-1"))
        await asked.wait()
        await client.list_tasks()
        release.set()
        found = await slow
    assert found.status_message == "Bearer ***"


def test_quieting_twice_changes_nothing(http_loggers) -> None:
    quiet_http_logs()
    quiet_http_logs()
    names = [type(present).__name__ for present in logging.getLogger("httpx").filters]
    assert names.count("_NoQueries") == 1
    assert logging.getLogger("httpcore").level == logging.WARNING


@pytest.mark.parametrize(
    ("error", "words", "phase"),
    [
        (httpx.ConnectTimeout(""), "no connection came about in time", NOT_SENT),
        (httpx.PoolTimeout(""), "no connection was free in time", NOT_SENT),
        (httpx.ConnectError("[Errno -2] Name not known"), r"\(Name not known\)", NOT_SENT),
        (httpx.ConnectError(""), r"no connection could be made\.", NOT_SENT),
        (httpx.ProxyError("407 hush"), r"the proxy refused to connect\.", NOT_SENT),
        (httpx.ReadTimeout(""), "no answer came in time", MAYBE_SENT),
        (httpx.WriteTimeout(""), "no answer came in time", MAYBE_SENT),
        (httpx.ReadError(""), "the connection broke", MAYBE_SENT),
        (httpx.WriteError(""), "the connection broke", MAYBE_SENT),
        (httpx.CloseError(""), "the connection broke", MAYBE_SENT),
        (httpx.RemoteProtocolError(""), "the connection was closed", MAYBE_SENT),
        (httpx.LocalProtocolError("hush"), "could not be carried out", MAYBE_SENT),
        (httpx.InvalidURL("hush"), "could not be carried out", MAYBE_SENT),
        (httpx.UnsupportedProtocol("hush"), "could not be carried out", MAYBE_SENT),
        (httpx.DecodingError("hush"), "could not be carried out", MAYBE_SENT),
        (httpx.StreamConsumed(), "could not be carried out", MAYBE_SENT),
        (TimeoutError(), "the whole call took too long", MAYBE_SENT),
        (OSError("hush"), "could not be carried out", MAYBE_SENT),
    ],
)
def test_faults_are_told_in_plain_words_and_prove_only_what_is_sure(error, words, phase) -> None:
    fault = transport_fault(error, "Here")
    assert fault.phase is phase
    with pytest.raises(TransportFault, match=words):
        raise fault
    assert "hush" not in str(fault)


@pytest.mark.parametrize(
    "quoted", [KEY, "".join(f"\\u{ord(letter):04x}" for letter in KEY), KEY.replace("-", "\\u002d")]
)
def test_a_key_is_blotted_out_of_what_was_parsed_however_it_is_written(quoted: str) -> None:
    source = TokenSource(ApiKey(KEY))
    raw_reply = f'{{"message": "you sent {quoted}", "{quoted}": ["x", "{quoted}"]}}'.encode()
    value = parse_json(raw_reply, redact=lambda text: source.redact(text, KEY))
    assert KEY not in repr(value)
    assert repr(value).count(BLOTTED) == 3
