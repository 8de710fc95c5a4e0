"""People's spreadsheets: a workbook's rows as the texts that a person sees in them, and what is strange about them."""

from manifest_runner.sheets.marks import CellFault, column_name, column_of
from manifest_runner.sheets.read import ENDINGS, Grid, SheetError, is_workbook, read_grid

__all__ = [
    "ENDINGS",
    "CellFault",
    "Grid",
    "SheetError",
    "column_name",
    "column_of",
    "is_workbook",
    "read_grid",
]
