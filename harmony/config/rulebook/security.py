"""L2: secrets, and who can reach what."""

from __future__ import annotations

from harmony.config.rulebook.examples import ORIGIN, PIPELINE, WEB, WHOLE, main_file
from harmony.config.rulebook.rule import MAIN, File, Rule


def _origin(*options: str, url: str = "https://files.example") -> str:
    given = ", ".join((f'url = "{url}"', *options))
    origin = ORIGIN.replace('url = "https://files.example"', given)
    return PIPELINE.replace("pacs", "origin") + WEB + origin


ENTRIES = (
    Rule(
        code="HRM-E247",
        title="not a URL",
        template="`{key}` is not a URL of an HTTP server: {reason}",
        explanation="It says where the server is and what all requests begin with: `http://` or "
        "`https://`, a host, a port if it is not the usual one, and a path. A user and a password "
        "have options of their own, because this value is shown in logs.",
        bad=main_file(_origin(url="files.example:8080")),
        good=main_file(_origin(url="http://files.example:8080")),
    ),
    Rule(
        code="HRM-W301",
        title="secret in plain text",
        template="`{key}` holds a secret as text",
        explanation="Configuration files are copied, mailed and kept under version control. A "
        "secret comes from the environment or from a file that only Harmony's user can read.",
        bad=main_file(_origin('bearer = "abc"')),
        good=(File(MAIN, _origin('bearer = { file = "token" }')), File("token", "abc\n")),
    ),
    Rule(
        code="HRM-E302",
        title="environment variable not set",
        template="environment variable `{name}` is not set",
        explanation="The secret is read from there when Harmony starts. On a machine that only "
        "checks the file, `--no-environment` leaves this rule out.",
        bad=main_file(_origin('bearer = { env = "HARMONY_NO_SUCH_TOKEN" }')),
        good=main_file(_origin('bearer = { env = "PATH" }')),
    ),
    Rule(
        code="HRM-W304",
        title="open to everybody",
        template="endpoint `{name}` is reachable from other machines, and nobody has to log in",
        explanation="Whoever reaches the listener can read and store. Harmony asks no HTTP client "
        "who it is, so that is for a proxy before it, or for a network that only the right ones "
        "are on.",
        bad=main_file('[networks.default]\nbind_addr = "0.0.0.0"\n\n' + WHOLE),
        good=main_file('[networks.default]\nbind_addr = "127.0.0.1"\n\n' + WHOLE),
    ),
    Rule(
        code="HRM-W305",
        title="credentials in the clear",
        template="credentials for backend `{name}` travel without TLS",
        explanation="With `http://` a token or password crosses the network as it is, and with "
        "each request.",
        bad=(
            File(MAIN, _origin('bearer = { file = "token" }', url="http://files.example")),
            File("token", "abc\n"),
        ),
        good=(File(MAIN, _origin('bearer = { file = "token" }')), File("token", "abc\n")),
    ),
    Rule(
        code="HRM-N306",
        title="DICOM without TLS",
        template="backend `{name}` speaks DICOM without TLS to `{host}`",
        explanation="Usual within a hospital, and readable for everybody on the way. Listed with "
        "`--verbose` alone.",
        bad=main_file(WHOLE.replace("localhost", "pacs.example")),
        good=main_file(WHOLE.replace(" }", ", use_tls = true }")),
    ),
)
