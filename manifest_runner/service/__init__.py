"""The Avatar API: who we are to it, its calls, its replies, and what its answers prove."""

from manifest_runner.service.auth import (
    ApiKey,
    Credentials,
    KeyPair,
    TokenSource,
    credentials_from,
    key_fingerprint,
)
from manifest_runner.service.base_url import DEFAULT_BASE_URL, account_identity, check_base_url
from manifest_runner.service.client import AvatarClient
from manifest_runner.service.codes import CODES, Code, Decision, decision_for, meaning_of, mend_for
from manifest_runner.service.doubt import (
    MAY_EXIST_ALREADY,
    Judgement,
    Verdict,
    is_ours,
    judge_create,
    proves_nothing_made,
    speaks_of_a_duplicate,
)
from manifest_runner.service.download import LARGEST_RESULT, Downloads, ResultStream, open_result
from manifest_runner.service.replies import Envelope, ResourcePack, SpokenAudio, Task, TaskPage, Video
from manifest_runner.service.requests import CreateRequest, SpeechRequest
from manifest_runner.service.retry import next_delay, repeat_safely
from manifest_runner.service.timeouts import Timeouts

__all__ = [
    "CODES",
    "DEFAULT_BASE_URL",
    "LARGEST_RESULT",
    "MAY_EXIST_ALREADY",
    "ApiKey",
    "AvatarClient",
    "Code",
    "CreateRequest",
    "Credentials",
    "Decision",
    "Downloads",
    "Envelope",
    "Judgement",
    "KeyPair",
    "ResourcePack",
    "ResultStream",
    "SpeechRequest",
    "SpokenAudio",
    "Task",
    "TaskPage",
    "Timeouts",
    "TokenSource",
    "Verdict",
    "Video",
    "account_identity",
    "check_base_url",
    "credentials_from",
    "decision_for",
    "is_ours",
    "judge_create",
    "key_fingerprint",
    "meaning_of",
    "mend_for",
    "next_delay",
    "open_result",
    "proves_nothing_made",
    "repeat_safely",
    "speaks_of_a_duplicate",
]
