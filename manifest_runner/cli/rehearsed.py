"""The end of a rehearsal: its reports, its page, and what the real run would cost."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from manifest_runner.cli.costing import (
    BAD_MEDIA,
    cost_lines,
    count,
    forecast_of,
    is_unknown_here,
    units_range,
)
from manifest_runner.cli.looking import advance
from manifest_runner.cli.stage import ACCOUNT, Stage, records_of
from manifest_runner.cli.telling import tell_problems, tell_stop
from manifest_runner.cli.terminal import say
from manifest_runner.errors import MediaError, NeedsPerson
from manifest_runner.models import Job, JobState, Problem, utc_now, utc_text

if TYPE_CHECKING:
    from manifest_runner.ledger import JobRecord, Ledger
    from manifest_runner.media import JobMedia, Preflight
    from manifest_runner.report.cards import Card, Material
    from manifest_runner.runner.conduct import Outcome

PROBLEMS_SHOWN = 20


def tell_rehearsal(stage: Stage, found: Preflight, ledger: Ledger, outcome: Outcome, *, as_json: bool) -> int:
    """Write the reports and the page, say what they show, and return the exit code."""
    from manifest_runner.report.cards import Fate
    from manifest_runner.runner.rehearsal import usable_of
    from manifest_runner.runner.survey import plan_of_everything

    tell_stop(outcome)
    records = records_of(ledger, stage.manifest.campaign)
    usable = usable_of(stage.manifest.jobs, found)
    plan = plan_of_everything(usable, found)  # of a run whose ledger knows nothing: the real one is not asked
    money = cost_lines(
        forecast_of(plan, records, stage.manifest, stage.campaign.out),
        stage.manifest.budget_units,
        unusable=len(stage.manifest.jobs) - len(plan),
    )
    page: Path | None = None
    cards: list[Card] = []
    try:
        _write_reports(stage, found, ledger, as_json=as_json)
        cards = _cards(stage, found, records, quiet=as_json)
        page = _write_page(stage, cards, money)
    except NeedsPerson as error:  # the same full disk, perhaps, that the run met: both are told
        outcome.stopped = outcome.stopped or error
        say(f"! {error}", err=True)
    for line in [*_count_lines(cards, outcome.create_calls), *_problem_lines(cards), *money]:
        say(line, err=as_json)
    if page is not None:
        say(f"The page with every preview, for a browser: {page}", err=as_json)
    tell_problems(outcome)
    if outcome.stopped is not None:
        return outcome.stopped.exit_code
    return 0 if all(card.fate is Fate.THERE for card in cards) and not outcome.problems else 3


def _write_reports(stage: Stage, found: Preflight, ledger: Ledger, *, as_json: bool) -> None:
    """report.json and report.csv of the rehearsal, and problems.csv where media can't be used."""
    from manifest_runner.media import DEFAULT_RATES
    from manifest_runner.report import collect, write_json, write_reports
    from manifest_runner.report.problems import forget_problems, write_problems

    with ledger.read(
        collect,
        stage.manifest.campaign,
        rates=DEFAULT_RATES,
        manifest_name=stage.manifest.path.name,
        service=ACCOUNT,
    ) as report:
        if as_json:
            write_json(report, sys.stdout)
        write_reports(report, stage.campaign.out)
    if found.problems:
        write_problems(found.problems, stage.manifest.jobs, stage.campaign.out)
    else:
        forget_problems(stage.campaign.out)


def _cards(
    stage: Stage,
    found: Preflight,
    records: Mapping[str, JobRecord],
    *,
    quiet: bool,
) -> list[Card]:
    from manifest_runner.report.cards import card_of

    problems, warnings = _by_job(found.problems), _by_job(found.warnings)
    posters = _posters(stage, records, quiet=quiet)
    cards = []
    for number, job in enumerate(stage.manifest.jobs, start=1):
        key = job.external_task_id
        record = records.get(key)
        material = _material(job, found.of(job), problems.get(key, ()), stage.manifest.folder)
        material = replace(material, notes=[*_notes(job, record), *map(str, warnings.get(key, ()))])
        cards.append(card_of(number, job, record, material, folder=stage.campaign.out, posters=posters))
    return cards


def _by_job(problems: Sequence[Problem]) -> dict[str, list[Problem]]:
    of: dict[str, list[Problem]] = {}
    for problem in problems:
        of.setdefault(problem.job or "", []).append(problem)
    return of


def _posters(stage: Stage, records: Mapping[str, JobRecord], *, quiet: bool) -> dict[str, str]:
    from tqdm import tqdm

    from manifest_runner.media import probe_video
    from manifest_runner.report.cards import place_of
    from manifest_runner.report.page import cannot_write
    from manifest_runner.report.posters import make_posters

    folder = stage.campaign.out
    named = [records[job.external_task_id] for job in stage.manifest.jobs if job.external_task_id in records]
    videos = {
        record.sha256: path
        for record in named
        if record.sha256 is not None and (path := place_of(record.file, folder)) is not None
    }
    with tqdm(total=len(videos), desc="Pictures", unit="row", disable=quiet or None, leave=False) as bar:
        try:
            return make_posters(videos, folder, progress=lambda count: advance(bar, count), check=probe_video)
        except OSError as error:
            raise cannot_write(folder, error) from error


def _material(job: Job, media: JobMedia | None, problems: Sequence[Problem], folder: Path) -> Material:
    """`media` are what a real run would send; None for a row that can't be sent."""
    from manifest_runner.media import DEFAULT_RATES
    from manifest_runner.report.cards import Material
    from manifest_runner.runner.step import costs_of

    sound, costs = job.sound_file, costs_of(job, media, DEFAULT_RATES) if media else None
    seen = all(_is_there(reference, folder) for reference in (job.image, sound) if reference)
    return Material(
        image=_called(job.image),
        sound=_called(sound) if sound else f"audio_id {job.audio_id}" if job.audio_id else None,
        units_estimated=units_range(costs.low, costs.high) if costs else None,
        fitting=media.fitting if media else {},
        output=job.output,
        problems=problems,
        code=BAD_MEDIA if problems and seen else None,
    )


def _notes(job: Job, record: JobRecord | None) -> list[str]:
    """Where the sandbox can't know what the service knows, and refuses what that may take."""
    if record is None or record.state is not JobState.REJECTED:
        return []
    if is_unknown_here(job, record):
        return [
            "An audio_id is known to the account that made it: the sandbox can't tell whether it is good."
        ]
    addresses = [one for one in (job.image, job.sound_file) if one and one.lower().startswith("http")]
    if addresses and record.attempt is not None and record.attempt.code == BAD_MEDIA:
        return ["Its media were asked for from this machine; the service asks for them from its own."]
    return []


def _called(reference: str) -> str:
    """How a page may name a picture or a recording: no Base64, and no query, which may carry a signature."""
    from manifest_runner.media import FileSource, parse_reference
    from manifest_runner.report.problems import public_name

    try:
        source = parse_reference(reference)
    except MediaError:
        return public_name(reference)
    return public_name(source.path) if isinstance(source, FileSource) else source.label.strip("'")


def _is_there(reference: str, folder: Path) -> bool:
    """Whether the service would get to see these media at all: what is not there can't be refused by it."""
    from manifest_runner.media import FileSource, parse_reference

    try:
        source = parse_reference(reference)
        return not isinstance(source, FileSource) or os.access(source.resolved(folder), os.R_OK)
    except (MediaError, ValueError):
        return False


def _write_page(stage: Stage, cards: Sequence[Card], money: Sequence[str]) -> Path:
    from manifest_runner.report.page import Page, write_page

    calls = sum(job.callback_url is not None for job in stage.manifest.jobs)
    rows = f"{calls} row{' names' if calls == 1 else 's name'}"
    page = Page(
        campaign=stage.manifest.campaign,
        manifest=stage.manifest.path.name,
        made_at=utc_text(utc_now())[:16].replace("T", " ") + " UTC",
        costs=money,
        notices=[f"{rows} a callback_url, which a rehearsal does not call."] if calls else [],
        cards=cards,
    )
    return write_page(page, stage.campaign.out)


def _count_lines(cards: Sequence[Card], sent: int) -> list[str]:
    from manifest_runner.report.cards import Fate
    from manifest_runner.report.page import counts

    there = sum(card.fate is Fate.THERE for card in cards)
    now = f"{count(sent, 'row')} sent to the sandbox now" if sent else "nothing was left to make"
    others = [f"{number:,} {words}" for fate, words, number in counts(cards) if fate is not Fate.THERE]
    lines = (
        [f"{count(there, 'preview')} of {count(len(cards), 'row')}; {now}. No unit was spent."]
        if cards
        else []
    )
    return [*lines, f"Without one: {', '.join(others)}."] if others else lines


def _problem_lines(cards: Sequence[Card]) -> list[str]:
    """The reasons, the commonest first, each with the first row that has it."""
    from manifest_runner.report.page import groups

    found = groups(cards)
    lines = [
        f"  {group.label}: {group.shown[0].place}: {group.shown[0].external_task_id}"
        f"{f' and {group.cards - 1:,} more' if group.cards > 1 else ''}: {group.reason}"
        for group in found[:PROBLEMS_SHOWN]
    ]
    more = sum(group.cards for group in found[PROBLEMS_SHOWN:])
    return [*lines, f"  and {count(more, 'more row')}"] if more else lines
