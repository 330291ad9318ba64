"""L2: what DICOM says."""

from __future__ import annotations

from harmony.config.rulebook.examples import PACS, PIPELINE, ROUTER, WEB, WHOLE, main_file
from harmony.config.rulebook.rule import Rule

ENTRIES = (
    Rule(
        code="HRM-E221",
        title="not an AE title",
        template="`{value}` is not an AE title: {reason}",
        explanation="An application entity title has 1 to 16 ASCII characters, none of them a "
        "backslash or a control character, and not only spaces (PS3.5 6.2).",
        bad=main_file(PIPELINE + WEB + PACS.replace("ORTHANC", "ORTHANC_IN_RADIOLOGY")),
        good=main_file(WHOLE),
    ),
    Rule(
        code="HRM-W222",
        title="unusual AE title",
        template="AE title `{value}` has {what}",
        explanation="Most peers compare titles letter by letter and most titles are upper case, "
        "so lower-case letters often are a mistake. Outer spaces do not count (PS3.5 6.2).",
        bad=main_file(PIPELINE + WEB + PACS.replace("ORTHANC", "Orthanc")),
        good=main_file(WHOLE),
    ),
    Rule(
        code="HRM-W223",
        title="same title on both sides",
        template="`aet` equals `local_aet`",
        explanation="`aet` is the peer's title, `local_aet` is the one that Harmony calls itself. "
        "A peer knows its callers by title, so each needs its own.",
        bad=main_file(PIPELINE + WEB + PACS.replace('"HARMONY"', '"ORTHANC"')),
        good=main_file(WHOLE),
    ),
    Rule(
        code="HRM-E224",
        title="C-MOVE without a receiver",
        template='`retrieve = "move"` needs `receiver`',
        explanation="With C-MOVE the peer sends the instances over an association of its own, to "
        "an AE title, address and port that it knows. `receiver` is what listens there: a "
        "`dicom` endpoint by its name, or a table for a listener of the backend's own.",
        bad=main_file(WHOLE.replace(" }", ', retrieve = "move" }')),
        good=main_file(
            WHOLE.replace(" }", ', retrieve = "move", receiver = { local_aet = "HARMONY" } }')
        ),
    ),
    Rule(
        code="HRM-E226",
        title="one folder of two archives",
        template="archives `{a}` and `{b}` have the same folder `{folder}`",
        explanation="The index of an archive is written by one backend, which keeps all others "
        "out of its folder. Pipelines share an archive by naming the same backend.",
        bad=main_file(
            WHOLE.replace('["pacs"]', '["one", "two"]').replace(PACS, "")
            + '[backends.one]\nservice = "archive"\noptions = { folder = "archive" }\n'
            + '[backends.two]\nservice = "archive"\noptions = { folder = "./archive" }\n'
        ),
        good=main_file(
            WHOLE.replace('["pacs"]', '["one", "two"]').replace(PACS, "")
            + '[backends.one]\nservice = "archive"\noptions = { folder = "archive" }\n'
            + '[backends.two]\nservice = "archive"\noptions = { folder = "other" }\n'
        ),
    ),
    Rule(
        code="HRM-E227",
        title="peer without a mark",
        template="peer `{name}` has neither AE titles nor addresses",
        explanation="A peer is known by the AE title that it calls itself, by the address that it "
        "calls from, or by both, which is safer: a title is no proof of who calls. Without either "
        "everybody would be that peer.",
        bad=main_file(
            ROUTER.replace('"GATEWAY"', '"GATEWAY", peers = ["ct"]')
            + '[peers.ct]\nallow = ["store"]\n'
        ),
        good=main_file(
            ROUTER.replace('"GATEWAY"', '"GATEWAY", peers = ["ct"]')
            + '[peers.ct]\nae_titles = ["CT1"]\nallow = ["store"]\n'
        ),
    ),
    Rule(
        code="HRM-E228",
        title="not a UID",
        template="`{value}` is not a UID: {reason}",
        explanation="A unique identifier has numbers with a dot between, none of them with a "
        "leading zero, in at most 64 characters (PS3.5 9.1).",
        bad=main_file(
            ROUTER.replace('"GATEWAY"', '"GATEWAY", storage_classes = ["CTImageStorage"]')
        ),
        good=main_file(
            ROUTER.replace(
                '"GATEWAY"', '"GATEWAY", storage_classes = ["1.2.840.10008.5.1.4.1.1.2"]'
            )
        ),
    ),
    Rule(
        code="HRM-E229",
        title="not a SOP class",
        template="`{value}` is neither the UID nor the keyword of a SOP class",
        explanation="A condition names a SOP class by its UID or by its keyword (PS3.6 annex A), "
        "and `*` and `?` stand for what is left open. What names none would never be met.",
        bad=main_file(
            ROUTER.replace('"pacs"]', '{ name = "pacs", when = { sop_class = "CTImageStorag" } }]')
        ),
        good=main_file(
            ROUTER.replace('"pacs"]', '{ name = "pacs", when = { sop_class = "CTImageStorage" } }]')
        ),
    ),
)
