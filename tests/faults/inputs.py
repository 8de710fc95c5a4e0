"""Bad inputs: what is laid down, what has to be said of it and where. And odd ones that have to be taken as they are.

A mark stands in each text wherever a problem is to be told. They are taken out before the file is written, so that
the lines and columns asked for are counted here and not by the program. What can be told together stands together.
"""

from __future__ import annotations

import io
import struct
import wave
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

MARK = "▸"


@dataclass(frozen=True)
class Input:
    """A campaign that has to be refused. `text` is that of `file`, with a mark for each thing to be said.

    What is said of a sheet's column goes with its heading: `(heading, words)`. `place` is for what no mark can show.
    `manifest` is what is run, where that is not the file itself.
    """

    name: str
    text: str
    says: Sequence[str | tuple[str, str]]
    file: str = "c.yaml"
    place: str | None = None
    manifest: str | None = None
    beside: Mapping[str, bytes] = field(default_factory=dict)
    options: Sequence[str] = ()

    @property
    def files(self) -> dict[str, bytes]:
        # A byte that is no UTF-8 is written here as the half character that Python reads it as.
        return {**self.beside, self.file: self.text.replace(MARK, "").encode("utf-8", "surrogateescape")}

    def told(self) -> Iterator[tuple[str, str]]:
        """What the line that tells of a problem begins with, and words that it holds."""
        if self.place is not None:
            (words,) = self.says
            yield self.place, str(words)
            return
        before = ""
        *parts, _ = self.text.split(MARK)
        for part, said in zip(parts, self.says, strict=True):
            before += part
            line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
            if isinstance(said, str):
                yield f"{self.file}:{line}:{column}", said
            else:
                yield f"{self.file}:{line} (column {said[0]})", said[1]


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A campaign that has to be taken as it is written: `videos` are its ids, and where each goes."""

    name: str
    file: str
    content: bytes
    videos: Mapping[str, str]
    beside: Mapping[str, bytes] = field(default_factory=dict)


def job(name: str = "a", more: str = "", *, image: str = "face.png", sound: str = "voice.wav") -> str:
    return f"  - {{external_task_id: {name}, image: {image}, sound_file: {sound}{more}}}\n"


def jobs(*written: str, head: str = "") -> str:
    return f"version: 1\n{head}jobs:\n{''.join(written)}"


def sheet(*rows: str, more: str = "") -> str:
    return "".join(f"{row}\n" for row in (f"external_task_id,image,sound_file{more}", *rows))


def in_sheet(name: str, text: str, *says: str | tuple[str, str], **more: Any) -> Input:
    return Input(name, text, says, file="c.csv", **more)


def in_yaml(name: str, text: str, *says: str, **more: Any) -> Input:
    return Input(name, text, says, **more)


def wav(seconds: float, *, claimed: float | None = None) -> bytes:
    """A recording of 8 bits at 8 kHz; its header can claim another duration."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(1)
        writer.setframerate(8000)
        writer.writeframes(b"\x70\x90" * int(4000 * seconds))
    sound = file.getvalue()
    if claimed is None:
        return sound
    size = int(8000 * claimed)
    return sound[:4] + struct.pack("<I", size + 36) + sound[8:40] + struct.pack("<I", size) + sound[44:]


def png(colour: str = "tan") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (400, 400), colour).save(file, "PNG")
    return file.getvalue()


def png_claiming(side: int) -> bytes:
    """A few bytes with the header of a picture of any size."""

    def block(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = block(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + block(b"IDAT", zlib.compress(bytes(1000))) + block(b"IEND", b"")


MEDIA = {"face.png": png(), "voice.wav": wav(2.1)}
"""What lies beside every manifest."""

IDS = [
    in_yaml(
        "duplicate ids, and an empty one",
        jobs(
            job("a-1"),
            job('▸"a-1"'),
            job("▸a-1", ", output: other.mp4"),
            job("▸a-1-r2"),
            job('▸""'),
            "  - {image: face.png, audio_id: x}\n",
            "  - ▸{audio_id: x, image: face.png}\n",
        ),
        "The id `a-1` is already that of the job on line 3.",
        "The id `a-1` is already that of the job on line 3.",
        "is kept for attempt 2 of `a-1` on line 3.",
        "`external_task_id` must be 1 to 64 letters",
        "asks for the same video as the one on line 8, and neither has an id.",
    ),
    in_sheet(
        "duplicate ids in a sheet",
        sheet('a,face.png,voice.wav,"one\n\ntwo"', *["▸a,face.png,voice.wav,"] * 2, more=",prompt"),
        *[("external_task_id", "The id `a` is already that of the job on line 2.")] * 2,
    ),
]

COLUMNS = [
    in_sheet(
        "duplicate headers",
        'image,"my\nnote",▸ ,city,▸,▸city,▸Image\n',
        "Column 3 has no heading.",
        "Column 5 has no heading.",
        ("city", "is the heading of column 4 and of column 6."),
        ("Image", "is the heading of column 1 and of column 7."),
    ),
    in_sheet(
        "unknown columns",
        "\n▸▸▸external_task,image,promt,speech.txt,city\n",
        ("external_task", "`external_task` is no field: did you mean `external_task_id`?"),
        ("promt", "`promt` is no field: did you mean `prompt`?"),
        ("speech.txt", "`speech.txt` is no field."),
    ),
    in_yaml(
        "unknown fields",
        jobs(job("a", ", ▸promt: calm"), head="▸bugdet: 5\n▸api_key: x\n"),
        "`bugdet` is no field",
        "`api_key` is no field. Credentials never stand in a manifest",
        "`promt` is no field: did you mean `prompt`?",
    ),
]

WIDE = "A text that holds the delimiter must stand in quotes."
CELLS = [
    in_sheet(
        "wrong width, and an empty cell",
        sheet(
            "a,face.png,voice.wav,calm",
            "b,face.png,voice.wav,calm,▸warm",
            'c,face.png,"voice\n.wav",Hello,▸ you,x',
            "▸d,face.png",
            "▸e,,voice.wav,calm",
            more=",prompt",
        ),
        f"The row has 5 cells, the header has 4. {WIDE}",
        f"The row has 6 cells, the header has 4. {WIDE}",
        ("sound_file", "The row has 2 cells, the header has 4. Cells are missing."),
        ("image", "`image` is missing."),
    ),
    in_sheet(
        "unclosed quote",
        sheet('a,face.png,voice.wav,"x\ny"', 'b,▸"face.png,voice.wav,', *["c,d,e,"] * 50, more=",prompt"),
        "A quote is opened here and never closed.",
    ),
    in_sheet(
        "quote inside quotes",
        sheet("a,face.png,voice.wav,", 'b,face.png,voice.wav,▸"say "hi""', more=",prompt"),
        "A quoted cell goes on after its closing quote.",
    ),
    in_yaml("unclosed quote in YAML", jobs(job("a", ', prompt: ▸"calm'), job("b")), "Close the quote"),
    in_sheet(
        "a field over 128 KiB",
        sheet(f'a,"face.png",voice.wav,▸{"x" * 131_073}', more=",prompt"),
        "A cell is over 128 KiB.",
    ),
    in_sheet(
        "a field over 128 KiB, by an unclosed quote",
        sheet('a,face.png,"x",y', 'b,▸"face.png,voice.wav,', *["c,d,e,f"] * 20_000, more=",prompt"),
        "A cell is over 128 KiB. Close the quote that opens it",
    ),
    in_yaml(
        "a field over 128 KiB in YAML",
        jobs(job("a", f", prompt: ▸{'x' * 131_073}")),
        "`prompt` has 131,073 characters; at most 2,500 are allowed.",
    ),
]

SIGNS = [
    in_yaml("not UTF-8", "version: 1\ncampaign: caf▸\udce9\n", "Byte 24 (0xE9) is not UTF-8"),
    in_sheet("not UTF-8 in a sheet", sheet("ä,face.png,Jos▸\udce9.wav"), "(0xE9) is not UTF-8"),
    in_yaml(
        "UTF-16", MARK + "\udcff\udcfe" + "\0".join([*"version: 1\n", ""]), "The file is UTF-16, not UTF-8."
    ),
    in_sheet(
        "UTF-16 without its mark",
        "e" + MARK + "\0".join(["", *sheet("a,b,c")[1:], ""]),
        "The file holds a NUL character.",
    ),
    in_yaml("NUL", jobs(job(), "#▸\0\n"), "The file holds a NUL character."),
    in_yaml("NUL by an escape", jobs(job("a", r', prompt: ▸"a\0b"')), "The text holds a NUL character."),
    in_sheet("NUL in a sheet", sheet("a,face▸\0.png,voice.wav"), "The file holds a NUL character."),
]

BOMB = [f"  - &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 10)}]\n" for n in range(6)]
CHAIN = [f"- &a{n} [{MARK if n == 31 else ''}*a{n - 1}]\n" for n in range(1, 10_000)]
TWICE = "stands here twice; line"
DEEP = "Nested more than 32 levels deep."
TREES = [
    in_yaml(
        "duplicate YAML keys",
        jobs(
            job("a", ", ▸image: face.png"),
            job("b", ", vars: {x: 1, y: 2, ▸x: 3}"),
            head="? &k campaign\n: c\n▸campaign: d\n▸*k : e\n",
        ),
        f"`campaign` {TWICE} 2 has it too.",
        f"`campaign` {TWICE} 2 has it too.",
        f"`image` {TWICE} 7 has it too.",
        f"`x` {TWICE} 8 has it too.",
    ),
    in_yaml(
        "alias bomb", jobs(*BOMB, "  - [*a5, ▸*a5, *a5]\n"), "more than 2,000,000 values, aliases follow"
    ),
    in_yaml("self-reference", jobs("  - &a {vars: &b {x: [▸*a]}}\n"), "`*a` holds itself."),
    in_yaml("10,000 levels of lists", "- " * 32 + MARK + "- " * 9_968, DEEP),
    in_yaml("10,000 levels of aliases", "".join(["- &a0 [x]\n", *CHAIN]), DEEP),
    # Where in the line depends on how far libyaml looks ahead.
    in_yaml("10,000 brackets in a line", "[" * 10_000, DEEP, place="c.yaml:1"),
]

VOICE = "text: Hi, voice_id: v, voice_language: en"
SPEED = "must be a number"
NUMBERS = [
    in_yaml(
        "NaN and Infinity",
        jobs(
            f"  - {{image: face.png, speech: {{{VOICE}, voice_speed: ▸NaN}}}}\n",
            f"  - {{image: face.png, speech: {{{VOICE}, voice_speed: ▸+.inf}}}}\n",
            head="concurrency: ▸.nan\nbudget_units: ▸Infinity\n",
        ),
        "`concurrency` must be a whole number from 1 to 1000, or the word auto. This is `.nan`.",
        "`budget_units` must be a plain number of units",
        f"`speech.voice_speed` {SPEED}, and this is `NaN`.",
        f"`speech.voice_speed` {SPEED}, and this is `+.inf`.",
    ),
    in_sheet(
        "NaN and Infinity in a sheet",
        "image,speech.text,speech.voice_id,speech.voice_language,speech.voice_speed\n"
        "▸face.png,1,v,en,NaN\n▸face.png,2,v,en,-Infinity\n▸face.png,3,v,en,1e999\n",
        *[
            ("speech.voice_speed", f"{SPEED}, and this is `{number}`.")
            for number in ("NaN", "-Infinity", "1e999")
        ],
    ),
    *(
        in_yaml(
            f"{number} on the command line",
            jobs(job()),
            f"'{number}' is no number of units",
            place="Error: Invalid value for '--budget-units'",
            options=("--budget-units", number),
        )
        for number in ("NaN", "+Infinity")
    ),
]

RELATIVE = "`output` must be a relative path with forward slashes that ends in .mp4"
ELSEWHERE = "`..` would lead elsewhere"
DEVICE = "is a name that Windows keeps for a device"
SAME = "is the same file as"


def put(*outputs: str, head: str = "") -> str:
    """A job for each output."""
    return jobs(*(job(f"j{n}", f", output: {path}") for n, path in enumerate(outputs)), head=head)


PATHS = [
    in_yaml(
        "paths that leave",
        put(
            "▸../up.mp4",
            "▸a/../../up.mp4",
            "▸/tmp/a.mp4",
            "▸//server/a.mp4",
            '▸"C:/a.mp4"',
            r"▸..\a.mp4",
            '"{d}.mp4", vars: {d: ▸../up}',
        ),
        ELSEWHERE,
        ELSEWHERE,
        *[RELATIVE] * 4,
        "The value of `d` holds a slash, and `output` is filled in with it.",
    ),
    in_yaml(
        "a path that leaves by the manifest's template",
        jobs(job().replace("{", "▸{"), head="output: ../{external_task_id}.mp4\n"),
        ELSEWHERE,
    ),
    in_yaml(
        "a path that leaves by an option",
        jobs(job().replace("{", "▸{")),
        ELSEWHERE,
        options=("--output", "../{row}.mp4"),
    ),
    in_yaml(
        "paths that are reserved",
        put(
            "▸CON.mp4",
            "▸lpt1.de.mp4",
            "▸de/aux/a.mp4",
            '▸"{d}.mp4", vars: {d: COM¹}',
            "▸de./a.mp4",
            "▸report.json",
            head="campaign: ▸NUL\n",
        ),
        *[DEVICE] * 5,
        "begins or ends with a blank, or ends with a dot",
        RELATIVE,
    ),
    in_yaml(
        "paths that collide",
        put(
            "de/a.mp4",
            "▸de/a.mp4",
            "▸DE/A.mp4",
            r'"\u00e9.mp4"',
            r'▸"e\u0301.mp4"',
            "x.mp4",
            "▸x.mp4/y.mp4",
            "z.mp4, watermark_info: {enabled: true}",
            "▸z.watermark.mp4",
        )
        + job("Ana")
        + job("ana").replace("{", "▸{"),
        *[SAME] * 3,
        "one is a folder of the other",
        *[SAME] * 2,
    ),
    in_sheet(
        "paths that leave and collide, in a sheet that a manifest names",
        sheet(
            "▸a,face.png,voice.wav,../a.mp4",
            "b,face.png,voice.wav,x.mp4",
            "▸c,face.png,voice.wav,X.mp4",
            more=",output",
        ),
        ("output", ELSEWHERE),
        ("output", f"`X.mp4` {SAME} `x.mp4` of the job on line 3."),
        manifest="c.yaml",
        beside={"c.yaml": b"version: 1\njobs: {from: c.csv}\n"},
    ),
]

EMPTY = [
    in_yaml("empty but for a remark", "▸# soon\n", "The manifest is empty."),
    in_yaml("empty list of jobs", "version: 1\njobs: ▸[]\n", "There are no jobs."),
    in_sheet("empty sheet", MARK, "The file is empty."),
    in_sheet("empty but for its header", "\n" + sheet(), "There are no jobs.", place="c.csv:2"),
    in_sheet("empty rows", sheet(",,", ",,"), "There are no jobs.", place="c.csv:1"),
]

MISREAD = "it looks like"


def using(*media: str) -> str:
    """A job for each picture or recording."""
    return jobs(
        *(
            job(f"j{number}", **{"sound" if file.endswith((".wav", ".mp3")) else "image": MARK + file})
            for number, file in enumerate(media)
        )
    )


MEDIA_FILES = [
    in_yaml(
        "missing and empty files, and what is none",
        using("gone.png", "gone.wav", "empty.png", "empty.wav", ".", "https://me:hush@example.com/a.png"),
        "There is no file 'gone.png'.",
        "There is no file 'gone.wav'.",
        f"{MISREAD} an empty file.",
        f"{MISREAD} an empty file.",
        "is a folder.",
        "The URL carries a user name or a password.",
        beside={"empty.png": b"", "empty.wav": b""},
    ),
    in_sheet(
        "missing file in a sheet", sheet("▸a,gone.png,voice.wav"), ("image", "There is no file 'gone.png'.")
    ),
    in_yaml(
        "content unlike its name",
        using("text.png", "page.jpg", "sound.png", "text.mp3", "picture.mp3"),
        f"{MISREAD} text.",
        f"{MISREAD} a web page",
        f"{MISREAD} a WAV recording.",
        f"{MISREAD} text.",
        f"{MISREAD} a PNG picture.",
        beside={
            "text.png": b"this is no picture\n" * 40,
            "page.jpg": b"<!DOCTYPE html><html><body>Not found</body></html>",
            "sound.png": MEDIA["voice.wav"],
            "text.mp3": b"this is no recording\n" * 40,
            "picture.mp3": MEDIA["face.png"],
        },
    ),
    in_yaml(
        "too many pixels",
        using("pixels.png"),
        "'pixels.png' has too many pixels to be opened safely.",
        beside={"pixels.png": png_claiming(60_000)},
    ),
    in_yaml(
        "too long, and cut off",
        using("long.wav", "ten-hours-by-its-header.wav"),
        "lasts more than 300 s.",
        "is cut off: 2.1 s are there, 36000.0 s were recorded.",
        beside={
            "long.wav": wav(301),
            "ten-hours-by-its-header.wav": wav(2.1, claimed=36_000),
        },
    ),
    in_yaml(
        "address that is not fetched",
        using("file:///face.png", "ftp://h/a.mp3"),
        *["that is not fetched"] * 2,
    ),
]

REFUSED: Sequence[Input] = [
    *IDS, *COLUMNS, *CELLS, *SIGNS, *TREES, *NUMBERS, *PATHS, *EMPTY, *MEDIA_FILES
]  # fmt: skip


def each(*ids: str) -> dict[str, str]:
    return {name: f"{name}.mp4" for name in ids}


ODD_IDS = ("NA", "null", "007", "1e5", "NaN", "None", "no", "0x1F", "1_000", "2026-11-02", "00")
ODD_ROWS = sheet(*(f"{name},face.png,voice.wav" for name in ODD_IDS))
SEMICOLONS = (
    "external_task_id;image;sound_file;prompt;output;no\r\n"
    '007;face.png;voice.wav;"Calm; warm, kind";é/{no}.mp4;010\r\n'
)
TABS = "external_task_id\timage\tsound_file\tprompt\n1e5\tface.png\tvoice.wav\tCalm; warm, kind\n"
VALUES = "country: NO, code: 010, day: 2026-11-02, sum: =1+1"

KEPT = [
    Kept(
        name="ids in YAML, behind a BOM",  # where null without quotes is "not given", as anywhere in YAML
        file="c.yaml",
        content=jobs(*(job(name.replace("null", '"null"')) for name in ODD_IDS)).encode("utf-8-sig"),
        videos=each(*ODD_IDS),
    ),
    Kept(
        name="ids in a sheet, behind a BOM",
        file="c.csv",
        content=ODD_ROWS.encode("utf-8-sig"),
        videos=each(*ODD_IDS),
    ),
    Kept(name="semicolons", file="c.csv", content=SEMICOLONS.encode(), videos={"007": "é/010.mp4"}),
    Kept(name="tabs", file="c.tsv", content=TABS.encode(), videos=each("1e5")),
    Kept(
        name="values in YAML",
        file="c.yaml",
        content=jobs(
            job("a", f', output: "{{country}}-{{code}}-{{day}}{{sum}}.mp4", vars: {{{VALUES}}}')
        ).encode(),
        videos={"a": "NO-010-2026-11-02=1+1.mp4"},
    ),
    Kept(
        name="media by their content, whatever their names",
        file="c.yaml",
        content=jobs(job(image="png.jpg", sound="wav.mp3")).encode(),
        videos=each("a"),
        beside={"png.jpg": MEDIA["face.png"], "wav.mp3": MEDIA["voice.wav"]},
    ),
]

FORMULA = "=cmd|' /C calc'!A1"
PROMPTS = {"NA": "NO", "null": "12:30", "007": "010", "1e5": "2026-11-02"}
NOTES = {"NA": FORMULA, "null": "@SUM(A1)", "007": "-1+1", "1e5": "NO"}
RUN = jobs(
    *(job(f'"{name}"', f', prompt: {PROMPTS[name]}, vars: {{note: "{NOTES[name]}"}}') for name in PROMPTS)
)
"""A campaign to run: each of its values is one that some program or other takes for something else."""
