"""L0: files."""

from __future__ import annotations

from harmony.config.rulebook.examples import WHOLE, main_file
from harmony.config.rulebook.rule import MAIN, File, Rule

_IGNORED = '[networks.default]\n# harmony: ignore {} behind the firewall\nbind_addr = "0.0.0.0"\n'
_FIREWALL = _IGNORED.format("W304") + WHOLE

ENTRIES = (
    Rule(
        code="HRM-W011",
        title="nothing to ignore",
        template="`{ignored}` is ignored here but reports nothing",
        explanation="A comment `# harmony: ignore CODE REASON` takes a warning away that is on "
        "its line, or on the next one if the comment stands alone. This one takes none away: "
        "what it was for is gone, or elsewhere.",
        bad=main_file(_FIREWALL.replace('"0.0.0.0"', '"127.0.0.1"')),
        good=main_file(_FIREWALL),
    ),
    Rule(
        code="HRM-E012",
        title="error ignored",
        template="`{ignored}` is an error and cannot be ignored",
        explanation="With an error Harmony does not start, whatever a comment says.",
        bad=main_file(_IGNORED.format("E246").replace('"0.0.0.0"', '"127.0.0.1"') + WHOLE),
        good=main_file(_FIREWALL),
    ),
    Rule(
        code="HRM-E013",
        title="ignored without a reason",
        template="`{ignored}` is ignored without a reason",
        explanation="Who reads the file in a year must know why the warning does not count: "
        "`# harmony: ignore W304 behind the hospital's firewall`.",
        bad=main_file(_FIREWALL.replace(" behind the firewall", "")),
        good=main_file(_FIREWALL),
    ),
    Rule(
        code="HRM-E001",
        title="file cannot be read",
        template="cannot read `{file}`: {reason}",
        explanation="The file does not exist, may not be read by this user, is a folder or a "
        "pipe, or is larger than 1 MiB. The other files are checked all the same.",
        bad=(),
        good=main_file(WHOLE),
    ),
    Rule(
        code="HRM-E002",
        title="not valid TOML",
        template="not valid TOML: {reason}",
        explanation="The file breaks the grammar of TOML 1.1, so nothing in it can be checked. "
        "Frequent causes are text without quotes, a key or table written twice, and a missing "
        "bracket one line above. Tables and arrays nest at most 64 deep, and integers have at "
        "most 64 bits.",
        bad=main_file("[admin]\nport =\n"),
        good=main_file("[admin]\nport = 9090\n"),
    ),
    Rule(
        code="HRM-E003",
        title="not UTF-8",
        template="not UTF-8 at byte {n}",
        explanation="TOML files are UTF-8. Bytes count from 1. Save the file again as UTF-8; an "
        "old editor may have used Latin-1.",
        bad=(File(MAIN, '[proxy]\nid = "röntgen"\n', "latin-1"),),
        good=main_file('[proxy]\nid = "röntgen"\n'),
    ),
    Rule(
        code="HRM-E004",
        title="pipelines directory does not exist",
        template="pipelines directory `{dir}` does not exist",
        explanation="`pipelines_path` names a directory, relative to the main file, whose `.toml` "
        "files are read too. Without the key, `pipelines` is read if it is there.",
        bad=main_file('[proxy]\npipelines_path = "pipelnes"\n'),
        good=(File(MAIN, '[proxy]\npipelines_path = "sites"\n'), File("sites/ct.toml", WHOLE)),
    ),
    Rule(
        code="HRM-W005",
        title="pipelines directory is empty",
        template="pipelines directory `{dir}` holds no `.toml` file",
        explanation="The directory is there but gives nothing to read, so the main file is the "
        "whole configuration. Subdirectories are not searched.",
        bad=(File(MAIN, '[proxy]\npipelines_path = "sites"\n'), File("sites/README", "")),
        good=(File(MAIN, '[proxy]\npipelines_path = "sites"\n'), File("sites/ct.toml", WHOLE)),
    ),
    Rule(
        code="HRM-N006",
        title="file is not read",
        template="`{file}` is not read: its name does not end in `.toml`",
        explanation="Only files whose names end in `.toml` belong to the configuration. Others "
        "may lie beside them, such as a pipeline that is switched off for now.",
        bad=(File(MAIN, ""), File("pipelines/ct.toml", WHOLE), File("pipelines/mr.toml.off", "")),
        good=(File(MAIN, ""), File("pipelines/ct.toml", WHOLE)),
    ),
)
