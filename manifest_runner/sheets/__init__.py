"""People's spreadsheets: a workbook's rows as the texts that a person sees in them, and what is strange about them."""

from manifest_runner.sheets.errors import SheetError
from manifest_runner.sheets.marks import CellFault, column_name, column_of
from manifest_runner.sheets.read import ENDINGS, Grid, is_workbook, read_grid
from manifest_runner.sheets.xlsx_copy import Value, copy_with

__all__ = [
    "ENDINGS",
    "CellFault",
    "Grid",
    "SheetError",
    "Value",
    "column_name",
    "column_of",
    "copy_with",
    "is_workbook",
    "read_grid",
]
