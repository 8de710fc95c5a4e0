"""What is set for a whole campaign: by the command line, by the manifest's top level, by default, in this order."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from manifest_runner.manifest.identity import slug
from manifest_runner.manifest.layout import Layout
from manifest_runner.models import ServiceName, ServiceSettings, Units, units_text

DEFAULT_OUTPUT = "{external_task_id}.mp4"
DEFAULT_CONCURRENCY = 5
AUTO: Literal["auto"] = "auto"
"""As many tasks at once as the account turns out to take."""
_AS_USUAL = Layout()


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the command line says about a campaign; None where it says nothing. It wins over the manifest."""

    campaign: str | None = None
    service: ServiceName | None = None
    base_url: str | None = None
    concurrency: int | Literal["auto"] | None = None
    budget_units: Units | None = None
    output: str | None = None
    layout: Layout = _AS_USUAL

    def as_manifest(self) -> dict[str, Any]:
        """The settings in the shape of a manifest's top level, so that the schema's rules hold for them too."""
        budget = None
        if self.budget_units is not None:
            budget = (
                units_text(self.budget_units) if self.budget_units.is_finite() else str(self.budget_units)
            )
        fields: dict[str, Any] = {
            "campaign": self.campaign,
            "concurrency": self.concurrency,
            "budget_units": budget,
            "output": self.output,
        }
        if self.base_url is not None:
            fields["service"] = {"name": str(self.service or ServiceName.KLING), "base_url": self.base_url}
        return {name: value for name, value in fields.items() if value is not None}


def campaign_name(path: Path, head: dict[str, Any], settings: Settings) -> str:
    """The campaign's name; a manifest that gives none is named after its file."""
    return settings.campaign or head.get("campaign") or slug(path.stem)


def service_settings(head: dict[str, Any], settings: Settings) -> ServiceSettings:
    """Which service, and where. An address in the file goes with the service named there, and with no other."""
    written = head.get("service", ServiceName.KLING.value)
    name, base_url = (
        (written["name"], written.get("base_url")) if isinstance(written, dict) else (written, None)
    )
    if settings.service is not None and settings.service != name:
        return ServiceSettings(name=settings.service, base_url=settings.base_url)
    return ServiceSettings(name=ServiceName(name), base_url=settings.base_url or base_url)


def concurrency(head: dict[str, Any], settings: Settings) -> int | None:
    """The most tasks at once; None for AUTO."""
    chosen: int | str = settings.concurrency or head.get("concurrency", DEFAULT_CONCURRENCY)
    return None if chosen == AUTO else int(chosen)


def budget_units(head: dict[str, Any], settings: Settings) -> Units | None:
    if settings.budget_units is not None:
        return settings.budget_units
    return Decimal(head["budget_units"]) if "budget_units" in head else None
