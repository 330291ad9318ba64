"""L2: names, and what they lead to."""

from __future__ import annotations

from harmony.config.rulebook.examples import PACS, PIPELINE, ROUTER, WEB, WHOLE, main_file
from harmony.config.rulebook.rule import MAIN, File, Rule

_FILES = '[backends.pacs]\nservice = "files"\noptions = { folder = "." }\n'

ENTRIES = (
    Rule(
        code="HRM-E208",
        title="endpoint that leads nowhere",
        template="no backend of pipeline `{pipeline}` can serve {operation}, which endpoint "
        "`{endpoint}` accepts",
        explanation="What an endpoint accepts must be something that a backend of its pipeline "
        "can do: files and plain HTTP servers know nothing of queries and DICOM objects.",
        bad=main_file(ROUTER.replace(PACS, "") + _FILES),
        good=main_file(ROUTER),
    ),
    Rule(
        code="HRM-E201",
        title="unknown name",
        template="unknown {kind} `{name}`",
        explanation="Something is named that no file defines. All files of the "
        "configuration are searched, so it is misspelt or its definition is missing.",
        bad=main_file(PIPELINE.replace("pacs", "pcas") + WEB + PACS),
        good=main_file(WHOLE),
    ),
    Rule(
        code="HRM-E202",
        title="defined twice",
        template="{kind} `{name}` is already defined at {where}",
        explanation="Files are joined as a union; none overrides another. Remove or rename one "
        "of the two definitions.",
        bad=(File(MAIN, WHOLE), File("pipelines/ct.toml", PACS)),
        good=(File(MAIN, PIPELINE + WEB), File("pipelines/ct.toml", PACS)),
    ),
    Rule(
        code="HRM-E203",
        title="wrong kind of thing",
        template="`{name}` is {found}, not {expected}",
        explanation="The name is defined, but as something else than this key takes.",
        bad=main_file(PIPELINE.replace('["web"]', '["web", "pacs"]') + WEB + PACS),
        good=main_file(WHOLE),
    ),
    Rule(
        code="HRM-W204",
        title="never used",
        template="{kind} `{name}` is never used",
        explanation="Nothing names it, so it does nothing. Harmless, and often a sign that a "
        "pipeline has a name too few. Peers are named by endpoints, the others by pipelines; "
        "move destinations and receivers count, too.",
        bad=main_file(WHOLE + PACS.replace("[backends.pacs]", "[backends.archive]")),
        good=main_file(WHOLE),
    ),
    Rule(
        code="HRM-E205",
        title="pipeline without ends",
        template="pipeline `{name}` has no {what}",
        explanation="A pipeline leads from at least one endpoint to at least one backend.",
        bad=main_file('[pipelines.bridge]\nendpoints = ["web"]\n\n' + WEB),
        good=main_file(WHOLE),
    ),
    Rule(
        code="HRM-E206",
        title="endpoint in two pipelines",
        template="endpoint `{name}` is claimed by pipelines `{a}` and `{b}`",
        explanation="What an endpoint accepts goes into one pipeline. Define a second endpoint, "
        "or list both backends in one pipeline.",
        bad=main_file(WHOLE + PIPELINE.replace("bridge", "second")),
        good=main_file(WHOLE),
    ),
    Rule(
        code="HRM-E207",
        title="not a name",
        template="`{name}` is not a name: lower-case letters, digits, `_`, `-`",
        explanation="Names appear in logs, metrics and commands, so they are plain: lower-case "
        "letters, digits, underscore and hyphen.",
        bad=main_file(WHOLE.replace("bridge", '"CT Bridge"')),
        good=main_file(WHOLE.replace("bridge", "ct-bridge")),
    ),
    Rule(
        code="HRM-E225",
        title="cannot send to it, or receive there",
        template="{kind} `{name}` cannot be {use}: {reason}",
        explanation="A move destination is a `dicom` backend, as instances go there by C-STORE. A "
        "receiver is a `dicom` endpoint that listens, so some pipeline has it; what arrives for a "
        "C-MOVE of ours goes to the one who asked, all else into that pipeline.",
        bad=main_file(WHOLE.replace(" }", ', receiver = "web" }')),
        good=main_file(ROUTER.replace(" 4242,", ' 4242, receiver = "scp",')),
    ),
)
