"""Keeps addresses with signatures in them out of the logs of the HTTP library."""

from __future__ import annotations

import logging
import re

_QUERY = re.compile(r"(https?://[^\s\"'?#]*)[?#][^\s\"']*")
_USER = re.compile(r"(https?://)[^\s\"'/@]*@")


class _NoQueries(logging.Filter):
    """Cuts the query and any user part off each URL in a record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _USER.sub(r"\1", _QUERY.sub(r"\1?...", record.getMessage()))
        record.args = None
        return True


def quiet_http_logs() -> None:
    """httpx logs each URL in full at INFO, httpcore headers of replies at DEBUG; aiohttp warns of what it could not
    read, and quotes it. Every client is made after this; calling again changes nothing."""
    httpx_logger = logging.getLogger("httpx")
    if not any(isinstance(present, _NoQueries) for present in httpx_logger.filters):
        httpx_logger.addFilter(_NoQueries())
    logging.getLogger("httpcore").setLevel(logging.WARNING)
    logging.getLogger("aiohttp").setLevel(logging.ERROR)
