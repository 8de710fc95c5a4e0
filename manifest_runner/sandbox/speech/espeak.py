"""Text spoken by espeak-ng, which the extra `preview` brings: words that a person understands, for rehearsals.

The library keeps state from one text to the next, beyond its own re-initialisation: the same text would get other
bytes each time, and a text that crashes it would take the sandbox along. So each text is spoken by a process of its
own (about 60 ms), started from this module, which imports nothing that is slow to load.

The interface is that of espeak-ng's `speak_lib.h`, release 1.52.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib
import json
import logging
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import unicodedata
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from manifest_runner.sandbox.process import SETTINGS_VARIABLE

if TYPE_CHECKING:
    from manifest_runner.sandbox.rules import SpeechOrder

# At speed 1: 14 letters, or 4 Chinese characters, a second, as people speak.
WORDS_A_MINUTE = {"en": 160, "zh": 200}
DEADLINE = 30.0  # seconds; a thousand characters take a tenth of one
SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: synthesis is over when the call returns
DO_NOT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT: missing data are an error code, not the end of the process
UTF8, PAUSE_AT_END = (
    1,
    0x1000,
)  # of the flags; without those for SSML and phonemes, `<` and `[[` are plain text
RATE_PARAMETER, PITCH_PARAMETER = 1, 3
BY_CHARACTER = 1
STOP, GO_ON = 1, 0

ACCENTS = {"en": ("gmw/en-US", "gmw/en"), "zh": ("sit/cmn",)}  # American, British; Mandarin: espeak's files
WOMEN = ("f1", "f2", "f3", "f5")
MEN = ("m1", "m3", "m4", "m7")
FEMALE_NAME = re.compile(r"(?<![a-z])(?:females?|wom[ae]n|girls?|girlfriend|lady)(?![a-z])")
MALE_NAME = re.compile(r"(?<![a-z])(?:males?|m[ae]n|boys?|boyfriend)(?![a-z])")
CHILD_NAME = re.compile(r"(?<![a-z])(?:girls?|boys?)(?![a-z])")

logger = logging.getLogger(__name__)


class NoVoice(Exception):
    """espeak-ng is not here, or did not speak this text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Errand:
    """What the process is told. `library`, `data`: paths. `pitch`: 0 to 100, where 50 is the voice's own."""

    library: str
    data: str
    text: str
    voice: str
    words_a_minute: int
    pitch: int
    most_seconds: float


@dataclass(frozen=True, slots=True)
class Recital:
    """What was spoken: mono samples of 16 bits in the machine's byte order, `rate` a second."""

    rate: int
    pcm: bytes


def recite(order: SpeechOrder, *, most_seconds: float) -> Recital:
    """Speak a text, up to `most_seconds` of it. Blocks. Raises NoVoice; the reason is logged, each kind once."""
    library, data = _installed()
    voice, pitch = choose_voice(order.voice_id, order.voice_language)
    errand = Errand(
        library=library,
        data=data,
        text=speakable(order.text),
        voice=voice,
        words_a_minute=round(WORDS_A_MINUTE[order.voice_language] * order.voice_speed),
        pitch=pitch,
        most_seconds=most_seconds,
    )
    try:
        answer = _run(errand)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _no_voice(f"its process did not work ({type(error).__name__})") from None
    rate = struct.calcsize("=i")
    return Recital(rate=struct.unpack("=i", answer[:rate])[0], pcm=answer[rate:])


def choose_voice(voice_id: str, language: str) -> tuple[str, int]:
    """espeak's name for the voice that stands in for `voice_id`, and its pitch; always the same for one id.

    The service's own ids often tell who speaks (`oversea_male1`, `chat1_female_new-3`), and that is followed.
    """
    name = voice_id.lower()
    digest = hashlib.sha256(voice_id.encode()).digest()
    if FEMALE_NAME.search(name):
        variants: tuple[str, ...] = WOMEN
    elif MALE_NAME.search(name):
        variants = MEN
    else:
        variants = WOMEN + MEN
    accents = ACCENTS[language]
    accent = accents[digest[0] % len(accents)]
    pitch = 35 + digest[2] % 31 + (25 if CHILD_NAME.search(name) else 0)
    return f"{accent}+{variants[digest[1] % len(variants)]}", pitch


def speakable(text: str) -> str:
    """The text without signs that are no text: espeak obeys some of them (U+0001 begins a command), NUL ends it.

    Control, private and unassigned characters become blanks; invisible formatting (soft hyphens, joiners) is left
    out, so that it does not part a word.
    """
    kinds = ((sign, unicodedata.category(sign)) for sign in text)
    return "".join(" " if kind in ("Cc", "Co", "Cn", "Cs") else sign for sign, kind in kinds if kind != "Cf")


@functools.cache
def _warn_once(why: str) -> None:
    logger.warning("speech is a sound without words: %s", why)


def _no_voice(why: str) -> NoVoice:
    _warn_once(f"espeak-ng can't be used, {why}")
    return NoVoice(why)


def _installed() -> tuple[str, str]:
    """The paths of the library and of its data."""
    try:
        loader = importlib.import_module("espeakng_loader")
        return str(loader.get_library_path()), str(loader.get_data_path())
    except ImportError:
        raise _no_voice("the extra `preview` is not installed") from None
    except (RuntimeError, OSError) as error:
        raise _no_voice(f"its files are not whole ({error})") from None


def _run(errand: Errand) -> bytes:
    """What the process says. It gets nothing of ours but the errand: no key, no terminal."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("KLING_") and name != SETTINGS_VARIABLE
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", __name__],
        input=json.dumps(asdict(errand)).encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
        timeout=DEADLINE,
        check=False,
    )
    if done.returncode < 0:
        raise _no_voice(f"it crashed ({signal.Signals(-done.returncode).name})")
    if done.returncode or len(done.stdout) < struct.calcsize("=i"):
        raise _no_voice("its library or its data can't be loaded")
    return done.stdout


# From here on: what runs in the process.


def main() -> int:
    """Read an errand, write the rate and the samples. A crash leaves no core file; a loop ends by itself."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (int(DEADLINE), int(DEADLINE)))
    errand = Errand(**json.loads(sys.stdin.buffer.read()))
    recital = speak_here(errand)
    sys.stdout.buffer.write(struct.pack("=i", recital.rate) + recital.pcm)
    return 0


def speak_here(errand: Errand) -> Recital:
    """Speak in this very process; the state that it leaves in the library changes what is spoken next.

    Raises OSError.
    """
    library = ctypes.CDLL(errand.library)
    rate: int = library.espeak_Initialize(SYNCHRONOUS, 0, os.fsencode(errand.data), DO_NOT_EXIT)
    if rate <= 0:
        raise OSError("espeak-ng does not find its data")
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else the clock's seconds are in the voice's flutter
    room = int(errand.most_seconds * rate) * 2  # bytes
    pcm = bytearray()

    def take(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            pcm.extend(ctypes.string_at(samples, count * 2))
        return STOP if len(pcm) >= room else GO_ON

    receiver = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(take)
    library.espeak_SetSynthCallback(receiver)
    if library.espeak_SetVoiceByName(errand.voice.encode()):
        raise OSError("espeak-ng does not have this voice")
    library.espeak_SetParameter(RATE_PARAMETER, errand.words_a_minute, 0)
    library.espeak_SetParameter(PITCH_PARAMETER, errand.pitch, 0)
    data = errand.text.encode()
    size = ctypes.c_size_t(len(data) + 1)
    library.espeak_Synth(data, size, 0, BY_CHARACTER, 0, UTF8 | PAUSE_AT_END, None, None)
    library.espeak_Synchronize()
    return Recital(rate=rate, pcm=bytes(pcm[:room]))


if __name__ == "__main__":
    sys.exit(main())
