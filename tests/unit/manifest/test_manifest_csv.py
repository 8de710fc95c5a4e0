"""The CSV reader: strict, with true line numbers, and wary of columns that were meant to be fields."""

import pytest

from manifest_runner.errors import ManifestError
from manifest_runner.manifest.csv_places import cells_in
from manifest_runner.manifest.csv_rows import find_delimiter, read_csv, split_tags
from manifest_runner.manifest.headings import Heading, read_headings
from manifest_runner.models import Location, Problem


def jobs_of(text: str) -> list[dict[str, object]]:
    source, problems = read_csv(text, "rows.csv")
    assert not problems
    return list(source.data["jobs"])


def headings_of(cells: list[str]) -> tuple[list[Heading], list[Problem]]:
    places = (
        Location(file="rows.csv", line=cell.line, column=cell.column)
        for cell in cells_in(",".join(cells), 1, ",")
    )
    return read_headings(cells, places=places)


def stopped(text: str) -> str:
    with pytest.raises(ManifestError) as caught:
        read_csv(text, "rows.csv")
    return str(caught.value)


def test_fields_nested_fields_and_vars_find_their_places() -> None:
    text = "image,speech.text,watermark_info.enabled,tags,First name\na.png,Hi,true,x|y,Ana\n"
    assert jobs_of(text) == [
        {
            "image": "a.png",
            "speech": {"text": "Hi"},
            "watermark_info": {"enabled": True},
            "tags": ["x", "y"],
            "vars": {"First name": "Ana"},
        }
    ]


def test_cells_stay_the_text_they_are() -> None:
    text = "external_task_id,a,b,c\n007,NA,1e5, spaced \n"
    assert jobs_of(text) == [{"external_task_id": "007", "vars": {"a": "NA", "b": "1e5", "c": " spaced "}}]


def test_an_empty_cell_is_not_given_and_its_column_is_remembered() -> None:
    source, _ = read_csv("image,city\na.png,\n,Rome\n", "rows.csv")
    assert list(source.data["jobs"]) == [{"image": "a.png"}, {"vars": {"city": "Rome"}}]
    assert source.var_columns == {"city"}


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [
        ("image,prompt", ","),
        ("image;prompt", ";"),
        ("image\tprompt", "\t"),
        ('image;"a,b,c,d"', ";"),
        ('"x;y";image', ";"),
        ("image;a,b,c;prompt", ";"),
        ("image", ","),
        ('"image', ","),
        ("", ","),
    ],
)
def test_the_delimiter_is_the_one_the_header_fits(header: str, delimiter: str) -> None:
    assert find_delimiter(header + "\n") == delimiter


@pytest.mark.parametrize(
    ("cell", "tags"), [("a|b", ["a", "b"]), ("a, b", ["a", "b"]), ("a, b | c", ["a, b", "c"]), (" , ", [])]
)
def test_tags_are_split_at_bars_or_else_at_commas(cell: str, tags: list[str]) -> None:
    assert split_tags(cell) == tags


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_lines_are_true_across_quoted_breaks_and_blank_lines(ending: str) -> None:
    lines = ["image,prompt", "", 'a.png,"one', "", 'two"', "   ", "b.png,three", ",", "c.png,four"]
    source, problems = read_csv(ending.join(lines), "rows.csv")
    assert not problems
    assert list(source.lines) == [3, 7, 9]
    assert source.data["jobs"][0]["prompt"] == f"one{ending}{ending}two"
    assert str(source.where(("jobs", 1, "prompt"))) == "rows.csv:7 (column prompt)"


def test_rows_of_the_wrong_width_are_all_named_and_the_others_read() -> None:
    source, problems = read_csv("image,prompt\na.png\nb.png,x\nc.png,x,y\n", "rows.csv")
    assert [str(problem) for problem in problems] == [
        "rows.csv:2 (column prompt): The row has 1 cell, the header has 2. Cells are missing.",
        "rows.csv:4:9: The row has 3 cells, the header has 2. A text that holds the delimiter must stand in quotes.",
    ]
    assert len(source.data["jobs"]) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('image\n"a.png\nb.png\n', "rows.csv:2:1: A quote is opened here and never closed."),
        ('image,prompt\n"a\nb","c\n""d""\n', "rows.csv:3:4: A quote is opened here and never closed."),
        ('image,prompt\nx,"a"b\n', "rows.csv:2:3: A quoted cell goes on after its closing quote."),
        ('image,prompt\nx,"a\ny,"b"\n', "rows.csv:2:3: A quoted cell goes on after its closing quote."),
        ("image\n" + "x" * 131_073, "rows.csv:2:1: A cell is over 128 KiB."),
        ("h" * 131_073 + "\n", "rows.csv:1:1: A cell is over 128 KiB."),
        ('image,prompt\nx,"say ""hi"" y\n', "rows.csv:2:3: A quote is opened here and never closed."),
        ("\n\n", "rows.csv:1:1: The file is empty."),
    ],
)
def test_what_stops_the_reading_says_where(text: str, said: str) -> None:
    assert said in stopped(text)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_cells_are_found_again_across_quoted_breaks(ending: str) -> None:
    record = ending.join(['a,"b ""c""', "", 'd",e,"', '",f'])
    assert [(cell.line, cell.column, cell.quoted) for cell in cells_in(record + ending, 7, ",")] == [
        (7, 1, False),
        (7, 3, True),
        (9, 4, False),
        (9, 6, True),
        (10, 3, False),
    ]
    _, problems = read_csv(f"image,prompt{ending}{record}", "rows.csv")
    assert str(problems[0]).startswith("rows.csv:4:4: The row has 5 cells, the header has 2.")


def test_a_long_cell_is_told_where_it_begins_and_not_where_a_quoted_one_of_the_limit_does() -> None:
    most = "x" * 131_070 + '""'
    assert f"rows.csv:2:{len(most) + 4}: A cell is over 128 KiB." in stopped(
        f'image,prompt\n"{most}",{"y" * 131_073}\n'
    )
    assert jobs_of(f'image\n"{most}"\n')


def test_a_bare_quote_inside_a_cell_is_a_quote() -> None:
    assert jobs_of('image,size\na.png,5" wide\n')[0]["vars"] == {"size": '5" wide'}


@pytest.mark.parametrize(
    ("heading", "meant"),
    [
        ("promt", "prompt"),
        ("pormpt", "prompt"),
        ("images", "image"),
        ("outptu", "output"),
        ("sond file", "sound_file"),
    ],
)
def test_a_heading_that_is_nearly_a_field_is_no_silent_var(heading: str, meant: str) -> None:
    _, problems = headings_of([heading])
    assert f"did you mean `{meant}`?" in problems[0].what


@pytest.mark.parametrize(
    "heading",
    ["first_name", "age", "note", "code", "city", "Name", "language", "row", "campaign", "customer_id"],
)
def test_a_column_of_ones_own_is_a_var(heading: str) -> None:
    headings, problems = headings_of([heading])
    assert not problems
    assert headings[0].path == ("vars", heading)


@pytest.mark.parametrize(
    "heading", ["id", "ID", "Id", "task_id", "Task ID", "job-id", "jobId", "external_id", "row_id"]
)
def test_a_column_of_ids_under_another_name_is_no_silent_var(heading: str) -> None:
    text = f"{heading},image,sound_file,prompt\na,a.png,a.mp3,{{{heading}}}\n"
    assert jobs_of(text)[0]["external_task_id"] == "a"
    assert jobs_of(f"external_task_id,{text}".replace("\na", "\nx,a"))[0]["vars"] == {heading: "a"}


@pytest.mark.parametrize(
    ("heading", "field"),
    [
        ("text", "speech.text"),
        ("Text", "speech.text"),
        ("voice_id", "speech.voice_id"),
        ("Voice ID", "speech.voice_id"),
        ("voice_language", "speech.voice_language"),
        ("voice_speed", "speech.voice_speed"),
        ("watermark", "watermark_info.enabled"),
        ("audio", "sound_file"),
        ("picture", "image"),
        ("Mode", "mode"),
        ("soundfile", "sound_file"),
        ("Sound File", "sound_file"),
        ("audio-id", "audio_id"),
        ("callbackurl", "callback_url"),
        ("Output", "output"),
    ],
)
def test_a_likely_guess_at_a_field_is_no_silent_var_unless_it_is_used_as_one(
    heading: str, field: str
) -> None:
    text = f"external_task_id,prompt,{heading}\na,Hi,x\n"
    source, _ = read_csv(text, "rows.csv")
    assert source.columns[tuple(field.split("."))] == heading
    assert f"`{heading}` as {field}" in source.notes[0]
    if heading.casefold() != field:  # else it is the same heading twice
        assert jobs_of(f"{field},{text}".replace("\na", "\ny,a"))[0]["vars"] == {heading: "x"}
    assert jobs_of(text.replace("Hi", f"Hi {{ {heading} }}"))[0]["vars"] == {heading: "x"}
    source, _ = read_csv(text, "rows.csv", templates=["plain", f"{{{heading}}}.mp4"])
    assert source.data["jobs"][0]["vars"] == {heading: "x"}


def test_all_slips_in_a_header_are_told_at_once() -> None:
    said = stopped("id,images,text,audio,promt\n")
    assert [name for name in ("(column images)", "(column text)", "(column promt)") if name in said] == [
        "(column images)",
        "(column text)",
        "(column promt)",
    ]


def test_of_a_sheet_that_is_wrong_throughout_only_the_beginning_is_read() -> None:
    bad = "a\n" * 1000
    with pytest.raises(ManifestError) as caught:
        read_csv("image,prompt\n" + bad + '"never closed', "rows.csv")
    assert len(caught.value.problems) == 1000
    assert caught.value.problems[-1].location.line == 1001


def test_of_a_header_that_is_wrong_throughout_only_the_beginning_is_read() -> None:
    _, problems = headings_of(["image", *[""] * 300_000])
    assert len(problems) == 1000
    assert str(problems[-1].location) == "rows.csv:1:1006"


def test_a_near_miss_is_fine_beside_the_field_itself() -> None:
    headings, problems = headings_of(["image", "images"])
    assert not problems
    assert headings[1].path == ("vars", "images")


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["city", "city"], "`city` is the heading of column 1 and of column 2."),
        (["mode", "MODE"], "`MODE` is the heading of column 1 and of column 2."),
        (["image", " "], "Column 2 has no heading."),
        (["speech"], "`speech` is no field. The columns are `speech.text`"),
        (["watermark_info.enable"], "`watermark_info.enable` is no field."),
        (["vars"], "`vars` can't be a column."),
    ],
)
def test_headers_that_can_not_be_used(cells: list[str], said: str) -> None:
    _, problems = headings_of(cells)
    assert len(problems) == 1
    assert said in str(problems[0])


def test_vars_that_differ_in_case_are_two() -> None:
    _, problems = headings_of(["city", "City"])
    assert not problems


def test_a_header_below_blank_lines_and_breaks_has_its_own_place() -> None:
    assert "rows.csv:4:8: Column 2 has no heading." in stopped('\n\n"my\nimage",,prompt\n')
    source, _ = read_csv("\n\nimage,prompt\n", "rows.csv")
    assert str(source.where(("jobs",))) == "rows.csv:3"


def test_a_sheet_has_a_thousand_columns_and_no_more() -> None:
    def sheet(columns: int) -> str:
        own = [f'"zq\n{number}"' if number == 5 else f"zq{number}" for number in range(columns - 1)]
        return f"image,{','.join(own)}\na.png{',x' * (columns - 1)}\n"

    assert len(jobs_of(sheet(1000))[0]["vars"]) == 999  # type: ignore[arg-type]
    said = stopped(sheet(100_000))
    assert "rows.csv:2:" in said
    assert "The sheet has 100,000 columns" in said
    assert said.startswith("1 problem")
