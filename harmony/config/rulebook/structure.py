"""L1: each file against its schema."""

from __future__ import annotations

from harmony.config.rulebook.examples import (
    CERTIFICATE,
    KEY,
    PACS,
    PIPELINE,
    WEB,
    WHOLE,
    main_file,
    with_tls,
)
from harmony.config.rulebook.rule import MAIN, File, Rule

ENTRIES = (
    Rule(
        code="HRM-E101",
        title="wrong type",
        template="expected {expected}, found {found}",
        explanation="The value has another type than the key needs. Numbers and booleans stand "
        "without quotes, text with them, and `4242.0` is not an integer.",
        bad=main_file('[admin]\nport = "9090"\n'),
        good=main_file("[admin]\nport = 9090\n"),
    ),
    Rule(
        code="HRM-E102",
        title="missing key",
        template="missing required key `{key}`",
        explanation="The table cannot do without this key, and no default would be right for "
        "everyone.",
        bad=main_file(
            PIPELINE + WEB + '[backends.pacs]\nservice = "dicom"\n\n[backends.pacs.options]\n'
            'aet = "ORTHANC"\nhost = "localhost"\nlocal_aet = "HARMONY"\n'
        ),
        good=main_file(WHOLE),
    ),
    Rule(
        code="HRM-E103",
        title="unknown key",
        template="unknown key `{key}`",
        explanation="Harmony does not know the key here, so what you want from it would not "
        "happen. It may be misspelt or stand in the wrong table.",
        bad=main_file('[admin]\nbindaddr = "127.0.0.1"\n'),
        good=main_file('[admin]\nbind_addr = "127.0.0.1"\n'),
    ),
    Rule(
        code="HRM-E104",
        title="unknown value",
        template="unknown value `{value}`",
        explanation="The key takes one of a few words. `service` takes the services that this "
        "version has in that role: `harmony schema` lists them.",
        bad=main_file('[log]\nlevel = "verbose"\n'),
        good=main_file('[log]\nlevel = "debug"\n'),
    ),
    Rule(
        code="HRM-E105",
        title="wrong form",
        template="`{value}` is not {form}",
        explanation="The text has the right type but not the form that the key needs. A host, for "
        "example, is a name or an address alone: the port has its own key, and there is no scheme "
        "or path.",
        bad=main_file(PIPELINE + WEB + PACS.replace("localhost", "http://localhost")),
        good=main_file(WHOLE),
    ),
    Rule(
        code="HRM-E106",
        title="out of range",
        template="{value} is outside {low} to {high}",
        explanation="The number is smaller or larger than the key allows.",
        bad=main_file("[admin]\nport = 70000\n"),
        good=main_file("[admin]\nport = 7000\n"),
    ),
    Rule(
        code="HRM-E107",
        title="too short or too long",
        template="{found}, {limit}",
        explanation="The text or list has fewer or more characters or items than the key allows. "
        "Leave a key out rather than giving it an empty text.",
        bad=main_file('[proxy]\nid = ""\n'),
        good=main_file('[proxy]\nid = "radiology"\n'),
    ),
    Rule(
        code="HRM-E108",
        title="listed twice",
        template="`{item}` is listed twice",
        explanation="An item of this list can be there once only.",
        bad=main_file(WHOLE.replace('["pacs"]', '["pacs", "pacs"]')),
        good=main_file(WHOLE),
    ),
    Rule(
        code="HRM-E110",
        title="belongs in the main file",
        template="`{table}` belongs in the main file",
        explanation="`proxy`, `admin`, `log` and `networks` are about the process as a whole, so "
        "they stand in the main file. A file of the pipelines directory holds pipelines, "
        "endpoints, middleware, backends and peers.",
        bad=(File(MAIN, WHOLE), File("pipelines/log.toml", '[log]\nlevel = "debug"\n')),
        good=(File(MAIN, '[log]\nlevel = "debug"\n'), File("pipelines/ct.toml", WHOLE)),
    ),
    Rule(
        code="HRM-E120",
        title="without effect here",
        template="`{key}` has an effect only with `{other} = {value}`",
        explanation="The key belongs to a choice that another key makes, and that one chooses "
        "otherwise. What you want from it would not happen.",
        bad=main_file(WHOLE.replace('["pacs"]', '["pacs"]\nrequire_all = true')),
        good=main_file(
            WHOLE.replace('["pacs"]', '["pacs"]\nstrategy = "merge"\nrequire_all = true')
        ),
    ),
    Rule(
        code="HRM-E121",
        title="one key without the other",
        template="`{key}` needs `{partner}` beside it",
        explanation="The two keys make sense together only: a certificate with its private key, "
        "a check of callers' certificates with the authority that issues them.",
        bad=with_tls('cert_file = "harmony.pem"', File("harmony.pem", CERTIFICATE)),
        good=with_tls(
            'cert_file = "harmony.pem", key_file = "harmony.key"',
            File("harmony.pem", CERTIFICATE),
            File("harmony.key", KEY),
        ),
    ),
    Rule(
        code="HRM-E122",
        title="keys exclude each other",
        template="`{key}` and `{other}` exclude each other",
        explanation="The two keys say opposite things. A `tls` table turns TLS on, `use_tls = "
        "false` turns it off.",
        bad=main_file(WHOLE.replace(" }", ", use_tls = false, tls = {} }")),
        good=main_file(WHOLE.replace(" }", ", tls = {} }")),
    ),
    Rule(
        code="HRM-E123",
        title="option of the other role",
        template="`{key}` belongs to `{service}` as {role}; this is {other}",
        explanation="A service may exist in two roles with different options. `dicom` as a "
        "backend calls a peer and has `aet` and `host`; as an endpoint it listens and has "
        "`bind_addr`.",
        bad=main_file(PIPELINE + WEB + PACS.replace("{ ", '{ bind_addr = "127.0.0.1", ')),
        good=main_file(WHOLE),
    ),
    Rule(
        code="HRM-E124",
        title="service not available in this role",
        template="`{service}` cannot be used as {role}",
        explanation="The service exists, but has only the other role. `harmony schema` lists "
        "which services there are in which role.",
        bad=main_file(PIPELINE + WEB.replace('"http"', '"archive"') + PACS),
        good=main_file(WHOLE),
    ),
)
