"""What stops the reading of a workbook."""

from __future__ import annotations


class SheetError(Exception):
    """`what` is wrong with the file or its sheet, and the `mend`. `about_sheet`: it is about which sheet is meant."""

    def __init__(self, what: str, mend: str, *, about_sheet: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend
        self.about_sheet = about_sheet


def damaged() -> SheetError:
    return SheetError("The workbook is damaged.", "Open it in the spreadsheet program and save it again.")


def locked() -> SheetError:
    return SheetError("The workbook is protected by a password.", "Save a copy without one, and name that.")
