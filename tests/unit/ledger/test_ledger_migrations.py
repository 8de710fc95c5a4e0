"""Files of other ages, and files that are no ledger."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from manifest_runner.errors import LedgerError, LedgerMismatch
from manifest_runner.ledger import limits, open_for_reading, queries, schema, speeches
from manifest_runner.ledger.connection import open_for_writing
from manifest_runner.models import JobState

VERSIONS = Path(__file__).parent / "versions"


def make(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return path


def shape(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name")
    return [tuple(" ".join(str(part).split()) for part in row) for row in rows]


def test_every_released_version_has_a_fixture():
    assert {path.stem for path in VERSIONS.glob("*.sql")} == {
        str(number) for number in range(1, schema.CURRENT_VERSION + 1)
    }


@pytest.mark.parametrize("fixture", sorted(VERSIONS.glob("*.sql")), ids=lambda path: f"version {path.stem}")
def test_an_old_ledger_is_brought_up_to_date_with_all_it_holds(fixture, ledger_path, tmp_path):
    make(ledger_path, fixture.read_text(encoding="utf-8"))
    with closing(open_for_writing(ledger_path)) as connection:
        assert schema.version_of(connection) == schema.CURRENT_VERSION
        assert queries.account(connection) == "kling:api-singapore.klingai.com"
        assert {job.external_task_id: job.state for job in queries.jobs(connection, "spring")} == {
            "welcome-en": JobState.DONE,
            "welcome-de": JobState.SUBMITTING,
        }
        retried = queries.job(connection, "welcome-de")
        assert [attempt.attempt_id for attempt in retried.attempts] == ["welcome-de", "welcome-de-r2"]
        assert str(queries.job(connection, "welcome-en").attempt.units_deducted) == "4.4"
        assert len(queries.events_of(connection, "welcome-en")) == 2
        assert speeches.speech(connection, "k1").calls_lost == 1
        with closing(open_for_writing(tmp_path / "fresh.sqlite3")) as fresh:
            assert shape(connection) == shape(fresh)


def test_what_version_1_did_not_know_is_filled_in_carefully(ledger_path):
    make(ledger_path, (VERSIONS / "1.sql").read_text(encoding="utf-8"))
    with closing(open_for_writing(ledger_path)) as connection:
        for record in queries.jobs(connection, "spring"):
            assert (record.listed, record.line, record.changed) == (True, None, ())
            assert {attempt.key_id for attempt in record.attempts} == {None}
        spoken = speeches.speech(connection, "k1")
        assert (spoken.external_task_id, spoken.call_units) == (None, Decimal("0.05"))
        assert queries.spend(connection, "spring").reserved == Decimal("9.6") * 2 + Decimal("0.05")


def test_all_that_version_2_holds_is_read(ledger_path):
    make(ledger_path, (VERSIONS / "2.sql").read_text(encoding="utf-8"))
    with open_for_reading(ledger_path) as connection:
        done, retried = queries.job(connection, "welcome-en"), queries.job(connection, "welcome-de")
        assert (done.listed, done.line, done.changed) == (True, 7, ("prompt",))
        assert (retried.listed, retried.line, retried.changed) == (False, None, ())
        assert [attempt.key_id for attempt in retried.attempts] == [None, "5d41402abc4b2a76"]
        spoken = speeches.speech(connection, "k1")
        assert (spoken.external_task_id, spoken.units_reserved) == ("welcome-en", Decimal("0.06"))
        assert queries.ledger_id(connection) == "0123456789abcdef"


def test_version_4_knows_how_the_clocks_stood(ledger_path):
    make(ledger_path, (VERSIONS / "4.sql").read_text(encoding="utf-8"))
    with open_for_reading(ledger_path) as connection:
        done, retried = queries.job(connection, "welcome-en"), queries.job(connection, "welcome-de")
        assert [one.clock_skew for one in retried.attempts] == [None, timedelta(seconds=-3599.75)]
        assert [one.earlier_parts for one in retried.attempts] == [None, {"prompt": "old"}]
        assert (done.attempt.attempt_id, retried.attempt.attempt_id) == ("welcome-en", "welcome-de-r2")


def test_version_5_knows_what_was_done_to_the_media(ledger_path):
    make(ledger_path, (VERSIONS / "5.sql").read_text(encoding="utf-8"))
    with closing(open_for_writing(ledger_path)) as connection:
        job = queries.job(connection, "welcome-en")
        assert (job.attempt.fitted, job.captions_file) == ({"image": "turned upright"}, "welcome-en.srt")
        assert queries.job(connection, "welcome-de").attempt.fitted == {}


def test_version_6_knows_the_limit_over_time(ledger_path):
    make(ledger_path, (VERSIONS / "6.sql").read_text(encoding="utf-8"))
    with closing(open_for_writing(ledger_path)) as connection:
        assert [(one.limit, one.used, one.why) for one in limits.limits_of(connection, "spring")] == [
            (5, 0, "the run began"),
            (3, 3, "the account refused more"),
        ]
        (spoken,) = speeches.speeches_for(connection, ["welcome-en"])
        assert spoken.key == "k1"


def test_an_older_version_has_no_limits(ledger_path):
    make(ledger_path, (VERSIONS / "5.sql").read_text(encoding="utf-8"))
    with open_for_reading(ledger_path) as connection:
        assert limits.limits_of(connection, "spring") == ()
        assert limits.limit_span(connection, "spring") is None


def test_a_ledger_that_was_being_made_when_its_maker_was_killed_is_made_anew(ledger_path):
    """Nothing of it lies at the ledger's own name before it is whole."""
    ledger_path.parent.mkdir()
    for suffix in ("", "-journal", "-wal"):
        Path(f"{ledger_path}.new{suffix}").write_bytes(b"half a ledger")
    open_for_writing(ledger_path).close()
    assert [path.name for path in ledger_path.parent.iterdir()] == [ledger_path.name]


def test_no_rollback_journal_ever_lies_beside_a_ledger(ledger_path, monkeypatch):
    seen = []

    def connect(path: Path, **options: object) -> sqlite3.Connection:
        connection = real(path, **options)
        connection.set_trace_callback(lambda _: seen.append(Path(f"{ledger_path}-journal").exists()))
        return connection

    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", connect)
    open_for_writing(ledger_path).close()
    assert seen
    assert not any(seen)


def test_pages_that_do_not_fit_together_are_refused_before_anything_is_sent(ledger_path, steps_on):
    with closing(open_for_writing(ledger_path)) as connection:
        steps_on(connection).enrol(*(f"job-{number}" for number in range(200)))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'jobs'").fetchone()[0]
    whole = bytearray(ledger_path.read_bytes())
    whole[(root - 1) * 4096 + 8 : (root - 1) * 4096 + 200] = b"\xff" * 192
    ledger_path.write_bytes(whole)
    with pytest.raises(LedgerError, match="damaged") as caught:
        open_for_writing(ledger_path)
    assert "backup" in caught.value.mend
    assert "adopt MANIFEST --all" in caught.value.mend
    assert ledger_path.read_bytes() == bytes(whole)


def test_a_ledger_keeps_an_id_that_no_other_has(ledger_path, tmp_path):
    def id_of(path: Path) -> str:
        with closing(open_for_writing(path)) as connection:
            return queries.ledger_id(connection)

    assert len(id_of(ledger_path)) == 16
    assert id_of(ledger_path) == id_of(ledger_path)
    assert id_of(ledger_path) != id_of(tmp_path / "other.sqlite3")


def test_a_fresh_ledger_records_its_migrations(connection):
    rows = connection.execute("SELECT version FROM migrations ORDER BY version").fetchall()
    assert [row["version"] for row in rows] == list(range(1, schema.CURRENT_VERSION + 1))


def test_opening_again_migrates_nothing(ledger_path):
    for _ in range(2):
        with closing(open_for_writing(ledger_path)) as connection:
            count = connection.execute("SELECT count(*) FROM migrations").fetchone()[0]
            assert count == schema.CURRENT_VERSION


def test_the_next_step_runs_alone_and_is_recorded(ledger_path, monkeypatch):
    open_for_writing(ledger_path).close()
    monkeypatch.setattr(
        schema, "MIGRATIONS", (*schema.MIGRATIONS, "ALTER TABLE jobs ADD COLUMN note TEXT;\n")
    )
    monkeypatch.setattr(schema, "CURRENT_VERSION", schema.CURRENT_VERSION + 1)
    with closing(open_for_writing(ledger_path)) as connection:
        assert schema.version_of(connection) == schema.CURRENT_VERSION
        assert "note" in {row["name"] for row in connection.execute("PRAGMA table_info(jobs)")}


def test_a_step_that_breaks_leaves_the_version_before_it(ledger_path, monkeypatch):
    open_for_writing(ledger_path).close()
    before = schema.CURRENT_VERSION
    broken = "CREATE TABLE half (one TEXT);\nALTER TABLE nothing ADD COLUMN note TEXT;\n"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
    monkeypatch.setattr(schema, "CURRENT_VERSION", before + 1)
    with pytest.raises(LedgerError, match="nothing"):
        open_for_writing(ledger_path)
    with closing(sqlite3.connect(ledger_path)) as connection:
        assert schema.version_of(connection) == before
        assert connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchone() is None


@pytest.mark.parametrize("opening", ["writing", "reading"])
def test_a_newer_ledger_is_refused_untouched(ledger_path, opening):
    open_for_writing(ledger_path).close()
    make(ledger_path, "PRAGMA user_version = 99;")
    before = ledger_path.read_bytes()
    with pytest.raises(LedgerMismatch, match="version 99") as caught:
        open_either(ledger_path, opening)
    assert caught.value.exit_code == 2
    assert "newer manifest-runner" in caught.value.mend
    assert ledger_path.read_bytes() == before


@pytest.mark.parametrize("opening", ["writing", "reading"])
def test_another_programs_database_is_refused_untouched(ledger_path, opening):
    make(ledger_path, "CREATE TABLE invoices (id INTEGER); INSERT INTO invoices VALUES (7);")
    before = ledger_path.read_bytes()
    with pytest.raises(LedgerMismatch, match="not made by manifest-runner") as caught:
        open_either(ledger_path, opening)
    assert "--ledger" in caught.value.mend
    assert ledger_path.read_bytes() == before


@pytest.mark.parametrize("opening", ["writing", "reading"])
def test_a_file_that_is_no_database(ledger_path, opening):
    ledger_path.parent.mkdir()
    ledger_path.write_text("campaign,units\nspring,12\n" * 200)
    with pytest.raises(LedgerError, match="not a database") as caught:
        open_either(ledger_path, opening)
    assert str(ledger_path) in str(caught.value)
    assert "backup" in caught.value.mend
    assert ledger_path.read_text().startswith("campaign,units")


@pytest.mark.parametrize("opening", ["writing", "reading"])
def test_a_truncated_ledger(ledger_path, steps_on, opening):
    with closing(open_for_writing(ledger_path)) as connection:
        steps_on(connection).enrol(*(f"job-{number}" for number in range(200)))
    whole = ledger_path.read_bytes()
    ledger_path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LedgerError, match="malformed") as caught:
        open_either(ledger_path, opening)
    assert "damaged" in caught.value.mend


def test_an_empty_file_becomes_a_ledger_when_it_is_written(ledger_path):
    ledger_path.parent.mkdir()
    ledger_path.touch()
    with open_for_reading(ledger_path) as connection:
        assert queries.campaigns(connection) == []
    assert ledger_path.stat().st_size == 0
    with closing(open_for_writing(ledger_path)) as connection:
        assert schema.version_of(connection) == schema.CURRENT_VERSION


@pytest.mark.parametrize("fixture", sorted(VERSIONS.glob("*.sql")), ids=lambda path: f"version {path.stem}")
def test_an_old_ledger_is_read_and_left_as_it_is(fixture, ledger_path):
    before = make(ledger_path, fixture.read_text(encoding="utf-8")).read_bytes()
    with open_for_reading(ledger_path) as connection:
        assert {job.external_task_id for job in queries.jobs(connection, "spring")} == {
            "welcome-en",
            "welcome-de",
        }
        assert queries.spend(connection, "spring").deducted > 0
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM jobs")
    assert ledger_path.read_bytes() == before


def test_an_old_ledger_that_is_in_use_is_read_with_what_is_not_in_the_file_yet(ledger_path):
    make(ledger_path, (VERSIONS / "1.sql").read_text(encoding="utf-8"))
    with closing(sqlite3.connect(ledger_path, isolation_level=None)) as older_program:
        older_program.execute("PRAGMA journal_mode = WAL")
        older_program.execute("UPDATE jobs SET why = 'only in the WAL' WHERE external_task_id = 'welcome-en'")
        before = ledger_path.read_bytes()
        with open_for_reading(ledger_path) as connection:
            assert schema.version_of(connection) == schema.CURRENT_VERSION
            assert queries.job(connection, "welcome-en").why == "only in the WAL"
        assert ledger_path.read_bytes() == before
        assert schema.version_of(older_program) == 1
        older_program.execute("UPDATE jobs SET why = 'it goes on'")  # nothing of ours is in its way


@pytest.mark.parametrize("opening", ["writing", "reading"])
def test_an_old_ledger_with_a_part_missing_is_refused_untouched(ledger_path, opening):
    make(ledger_path, (VERSIONS / "1.sql").read_text(encoding="utf-8") + "\nDROP TABLE speeches;")
    with pytest.raises(LedgerError, match="no such table: speeches") as caught:
        open_either(ledger_path, opening)
    assert str(ledger_path) in caught.value.what
    with closing(sqlite3.connect(ledger_path)) as rows:
        assert schema.version_of(rows) == 1
        assert "listed" not in {row[1] for row in rows.execute("PRAGMA table_info(jobs)")}


@pytest.mark.parametrize("opening", ["writing", "reading"])
@pytest.mark.parametrize(
    "trap",
    [
        "DROP TABLE owner; CREATE VIEW owner AS SELECT 1 AS one, 'h' AS host, 1 AS pid, 't' AS since;",
        "CREATE TRIGGER t AFTER UPDATE ON jobs BEGIN DELETE FROM attempts; END;",
    ],
)
def test_a_file_that_would_run_something_of_its_own_is_refused(ledger_path, opening, trap):
    open_for_writing(ledger_path).close()
    make(ledger_path, trap)
    before = ledger_path.read_bytes()
    with pytest.raises(LedgerMismatch, match="views or triggers") as caught:
        open_either(ledger_path, opening)
    assert "--ledger" in caught.value.mend
    assert ledger_path.read_bytes() == before


def test_reading_where_no_ledger_is(tmp_path):
    with (
        pytest.raises(LedgerError, match="no ledger at") as caught,
        open_for_reading(tmp_path / "none.sqlite3"),
    ):
        pass
    assert "--ledger" in caught.value.mend
    assert caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("opening", ["writing", "reading"])
def test_another_file_named_as_the_ledger_is_left_alone(tmp_path, opening):
    sheet = tmp_path / "u.csv"
    sheet.write_text("external_task_id,image\n" * 40)
    before = sheet.read_bytes()
    with pytest.raises(LedgerError) as caught:
        open_either(sheet, opening)
    assert caught.value.mend.startswith("It is no ledger: name another file with --ledger.")
    assert sheet.read_bytes() == before


def test_a_folder_in_the_ledgers_place(tmp_path):
    with pytest.raises(LedgerError, match="unable to open") as caught:
        open_for_writing(tmp_path)
    assert "--ledger" in caught.value.mend


def test_a_file_in_the_folders_place(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="can't be opened"):
        open_for_writing(tmp_path / "file" / "ledger.sqlite3")


def test_a_path_with_characters_that_mean_something_in_a_url(tmp_path):
    path = tmp_path / "a?b#c %41" / "ledger.sqlite3"
    open_for_writing(path).close()
    with open_for_reading(path) as connection:
        assert queries.campaigns(connection) == []


def test_a_reader_cannot_write(ledger_path, connection):
    with pytest.raises(LedgerError, match="readonly"), open_for_reading(ledger_path) as reader:
        reader.execute("DELETE FROM jobs")


def test_an_error_about_another_file_is_not_blamed_on_the_ledger(ledger_path, connection):
    with pytest.raises(FileNotFoundError, match=r"portrait\.png"), open_for_reading(ledger_path):
        (ledger_path.parent / "portrait.png").read_bytes()


def open_either(path: Path, opening: str) -> None:
    if opening == "writing":
        open_for_writing(path).close()
    else:
        with open_for_reading(path):
            pass


@pytest.mark.parametrize("opening", ["writing", "reading"])
@pytest.mark.parametrize("suffix", ["-journal", "-wal", "-shm"])
def test_files_beside_it_that_lead_elsewhere_are_refused(ledger_path, tmp_path, opening, suffix):
    open_for_writing(ledger_path).close()
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    companion = Path(f"{ledger_path}{suffix}")
    if suffix == "-journal":
        companion.write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(504))
    else:
        companion.symlink_to(victim)
    with pytest.raises(LedgerError, match="none of its own files"):
        open_either(ledger_path, opening)
    assert victim.read_text() == "mine"
    assert companion.is_symlink() or companion.exists()
