"""What is in doubt is asked of the account that it was sent to, and of no other."""

from decimal import Decimal
from pathlib import Path

import pytest
from planning_kit import planned

from manifest_runner.errors import NeedsPerson, ServiceUnreachable
from manifest_runner.ledger import enrolment, open_ledger, queries, writes
from manifest_runner.models import Job, Manifest
from manifest_runner.runner.options import RunOptions, Service
from manifest_runner.runner.run import carry_out
from manifest_runner.service import ApiKey, key_fingerprint

MINE, OTHER = ApiKey("canary-mine-0123456789"), ApiKey("canary-other-0123456789")
JOB = Job(external_task_id="welcome", image="a.png", sound_file="a.mp3", output="welcome.mp4")


@pytest.fixture
def ledger(tmp_path: Path):
    """A create call left with MINE, and its answer is missing."""
    with open_ledger(tmp_path / "ledger.sqlite3", account="test") as ledger:
        entry = enrolment.Enrolment(job=JOB, position=0, units_estimated=None)
        ledger.write_now(enrolment.enrol, "c", [entry])
        intent = writes.Intent(
            job=JOB,
            fingerprint="1:f",
            fingerprint_parts={},
            settle_seconds=0.1,
            units_estimated=None,
            units_reserved=Decimal(1),
            key_id=key_fingerprint(MINE),
            why="test",
        )
        ledger.write_now(writes.intend, intent)
        yield ledger


async def run_with(ledger, key: ApiKey, *, same_account: bool = False) -> None:
    records = {"welcome": ledger.read(queries.job, "welcome")}
    plan = planned([JOB], {}, records)
    manifest = Manifest(path=Path("c.yaml"), campaign="c", jobs=(JOB,))
    # Port 9 answers nobody: whoever gets as far as asking the service finds it unreachable.
    service = Service(base_url="http://127.0.0.1:9", credentials=key, key_id=key_fingerprint(key))
    await carry_out(
        manifest,
        plan,
        ledger=ledger,
        service=service,
        folder=ledger.path.parent / "out",
        options=RunOptions(same_account=same_account),
    )


async def test_another_key_is_refused_before_anything_is_asked(ledger):
    with pytest.raises(NeedsPerson, match="sent with another key") as refused:
        await run_with(ledger, OTHER)
    assert "--same-account" in refused.value.mend
    assert not isinstance(refused.value, ServiceUnreachable)
    assert key_fingerprint(MINE) != key_fingerprint(OTHER)


@pytest.mark.parametrize(("key", "same_account"), [(MINE, False), (OTHER, True)])
async def test_the_same_key_or_a_persons_word_will_do(ledger, monkeypatch, key, same_account):
    monkeypatch.setattr("manifest_runner.runner.run.HELLO_TRIES", 1)
    with pytest.raises(ServiceUnreachable):
        await run_with(ledger, key, same_account=same_account)
