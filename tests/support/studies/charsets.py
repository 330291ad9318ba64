"""Names and descriptions in the character sets that archives hold. PS3.3 C.12.1.1.2."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CharsetCase:
    """A patient's name and a description, and how they are encoded.

    Attributes:
        specific: Specific Character Set (0008,0005); empty for none.
    """

    specific: tuple[str, ...]
    patient_name: str
    description: str


# Latin-1 bytes under no Specific Character Set at all: invalid, and common in real archives.
UNDECLARED = "undeclared"

CHARSETS = {
    "ascii": CharsetCase(
        specific=(), patient_name="Smith^Anna^Lee^Dr^III", description="CT CHEST W CONTRAST"
    ),
    "latin1": CharsetCase(
        specific=("ISO_IR 100",), patient_name="Müller^Jürgen", description="Schädel CT"
    ),
    "latin2": CharsetCase(
        specific=("ISO_IR 101",),
        patient_name="Wałęsa^Żaneta",
        description="Klatka piersiowa, część 1",
    ),
    "cyrillic": CharsetCase(
        specific=("ISO_IR 144",), patient_name="Иванова^Мария", description="КТ грудной клетки"
    ),
    "greek": CharsetCase(
        specific=("ISO_IR 126",),
        patient_name="Παπαδοπούλου^Ελένη",
        description="Αξονική θώρακος",
    ),
    "arabic": CharsetCase(
        specific=("ISO_IR 127",), patient_name="قباني^لنزار", description="فحص الصدر"
    ),
    "hebrew": CharsetCase(
        specific=("ISO_IR 138",), patient_name="שרון^דבורה", description="סריקת חזה"
    ),
    "japanese": CharsetCase(
        specific=("", "ISO 2022 IR 87"),
        patient_name="Yamada^Tarou=山田^太郎=やまだ^たろう",
        description="胸部CT",
    ),
    "kana": CharsetCase(
        specific=("ISO 2022 IR 13", "ISO 2022 IR 87"),
        patient_name="ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        description="胸部CT",
    ),
    "korean": CharsetCase(
        specific=("", "ISO 2022 IR 149"),
        patient_name="Hong^Gildong=洪^吉洞=홍^길동",
        description="흉부 CT",
    ),
    "gb18030": CharsetCase(
        specific=("GB18030",), patient_name="Wang^XiaoDong=王^小东", description="胸部增强"
    ),
    "utf8": CharsetCase(
        specific=("ISO_IR 192",),
        patient_name="Øst^Zoë=王^小東=Ωmega",
        description="Thorax – ćwiczenie ≤ 3 mm",
    ),
}


def charset_case(name: str) -> CharsetCase:
    """The case of this name; `UNDECLARED` has the texts of ``latin1``."""
    return CHARSETS["latin1" if name == UNDECLARED else name]
