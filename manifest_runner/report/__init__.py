"""The ledger as reports: report.json for programs, report.csv for spreadsheets, a few lines for the terminal.

Reads the ledger only, never the manifest or the service: a report can be made again at any time.
"""

from manifest_runner.report.collect import CampaignReport, collect
from manifest_runner.report.json_file import head_value, job_value, write_json
from manifest_runner.report.lines import JobLine
from manifest_runner.report.summary import summary_lines
from manifest_runner.report.tally import FailureGroup, ModeTotals, Totals
from manifest_runner.report.write import ReportFiles, write_reports

__all__ = [
    "CampaignReport",
    "FailureGroup",
    "JobLine",
    "ModeTotals",
    "ReportFiles",
    "Totals",
    "collect",
    "head_value",
    "job_value",
    "summary_lines",
    "write_json",
    "write_reports",
]
