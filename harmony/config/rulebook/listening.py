"""L2: listeners, routes, and who may call."""

from __future__ import annotations

from harmony.config.rulebook.examples import ROUTER, WHOLE, main_file
from harmony.config.rulebook.rule import Rule

_ROUND = (
    ROUTER.replace("4242", "11113")
    + """
[pipelines.back]
endpoints = ["scp2"]
backends = ["first"]
[endpoints.scp2]
service = "dicom"
options = { local_aet = "SECOND", port = 11113 }
[backends.first]
service = "dicom"
options = { aet = "GATEWAY", host = "127.0.0.1", port = 11112, local_aet = "SECOND" }
"""
)

ENTRIES = (
    Rule(
        code="HRM-E241",
        title="address taken twice",
        template="{a} and {b} both listen on {where}",
        explanation="A port of an address has one listener. `0.0.0.0` stands for every IPv4 "
        "address and `::` may stand for all of both kinds. Defaults count: HTTP 8080, admin "
        "9090, DICOM endpoints and receivers 11112.",
        bad=main_file("[networks.default]\nhttp = { port = 9090 }\n\n" + WHOLE),
        good=main_file("[networks.default]\nhttp = { port = 8081 }\n\n" + WHOLE),
    ),
    Rule(
        code="HRM-E242",
        title="path prefix taken twice",
        template="{a} and {b} share path prefix `{prefix}`",
        explanation="A request goes to the endpoint with the longest prefix that fits. Two "
        "endpoints with the same one on the same network leave no choice. `/` is the default.",
        bad=main_file(
            WHOLE.replace('endpoints = ["web"]', 'endpoints = ["web", "other"]')
            + '\n[endpoints.other]\nservice = "http"\n'
        ),
        good=main_file(
            WHOLE.replace('endpoints = ["web"]', 'endpoints = ["web", "other"]')
            + '\n[endpoints.other]\nservice = "http"\noptions = { path_prefix = "/other" }\n'
        ),
    ),
    Rule(
        code="HRM-W243",
        title="path prefix inside another",
        template="`{prefix}` lies inside `{other}` of endpoint `{name}`; the longer one wins",
        explanation="A request goes to the endpoint with the longest prefix that fits, so some "
        "paths below the shorter one never reach its endpoint. `/` is meant for what is left.",
        bad=main_file(
            WHOLE.replace('endpoints = ["web"]', 'endpoints = ["web", "other"]').replace(
                '"http"\n', '"http"\noptions = { path_prefix = "/dicom" }\n'
            )
            + '\n[endpoints.other]\nservice = "http"\noptions = { path_prefix = "/dicom/x" }\n'
        ),
        good=main_file(
            WHOLE.replace('endpoints = ["web"]', 'endpoints = ["web", "other"]').replace(
                '"http"\n', '"http"\noptions = { path_prefix = "/dicom" }\n'
            )
            + '\n[endpoints.other]\nservice = "http"\noptions = { path_prefix = "/x" }\n'
        ),
    ),
    Rule(
        code="HRM-E244",
        title="not a path prefix",
        template="path prefix `{value}` must start with `/`, without `//`, `..` or a final `/`",
        explanation="A prefix is compared with the beginning of the request's path. `/` alone "
        "takes every request. Blanks, `?`, `#`, `%` and backslashes cannot be in it.",
        bad=main_file(WHOLE.replace('"http"\n', '"http"\noptions = { path_prefix = "dicom/" }\n')),
        good=main_file(WHOLE.replace('"http"\n', '"http"\noptions = { path_prefix = "/dicom" }\n')),
    ),
    Rule(
        code="HRM-W245",
        title="privileged port",
        template="{title} listens on port {port}, which needs a privileged process",
        explanation="Linux lets only root, or a program with the capability "
        "CAP_NET_BIND_SERVICE, listen on ports below 1024. DICOM's usual port without privileges "
        "is 11112.",
        bad=main_file(ROUTER.replace('"GATEWAY"', '"GATEWAY", port = 104')),
        good=main_file(ROUTER),
    ),
    Rule(
        code="HRM-E252",
        title="requests go round",
        template="requests go round: {ring}",
        explanation="Each of these pipelines sends to the next one, so that what comes in at one "
        "of them comes in again, until a limit ends it. Hosts and ports are compared as they are "
        "written.",
        bad=main_file(_ROUND),
        good=main_file(_ROUND.replace("port = 11112, local", "port = 4242, local")),
    ),
    Rule(
        code="HRM-E246",
        title="not an address",
        template="`{value}` is not an address to bind",
        explanation="Harmony binds to an IP address of this machine and resolves no name for it: "
        "`127.0.0.1` admits this machine only, `0.0.0.0` and `::` listen on every interface.",
        bad=main_file('[admin]\nbind_addr = "localhost"\n'),
        good=main_file('[admin]\nbind_addr = "127.0.0.1"\n'),
    ),
    Rule(
        code="HRM-E248",
        title="not an address or network",
        template="`{value}` is not an IP address or network: {reason}",
        explanation="A peer's `addresses` are compared with where a call comes from, and no name "
        "is resolved for it. A network is its first address with the number of bits that all its "
        "addresses share, such as `10.1.0.0/16`.",
        bad=main_file(
            ROUTER.replace('"GATEWAY"', '"GATEWAY", peers = ["ct"]')
            + '[peers.ct]\naddresses = ["10.1.2.3/16"]\n'
        ),
        good=main_file(
            ROUTER.replace('"GATEWAY"', '"GATEWAY", peers = ["ct"]')
            + '[peers.ct]\naddresses = ["10.1.0.0/16"]\n'
        ),
    ),
    Rule(
        code="HRM-E251",
        title="backend sends to its own endpoint",
        template="backend `{backend}` sends to endpoint `{endpoint}` of its own pipeline "
        "`{pipeline}`",
        explanation="What the endpoint accepts would go to the backend and from there to the "
        "endpoint again, until a limit ends it. Hosts and ports are compared as they are written.",
        bad=main_file(ROUTER.replace("4242", "11112")),
        good=main_file(ROUTER),
    ),
    Rule(
        code="HRM-W315",
        title="open to nobody",
        template="endpoint `{name}` listens on {where} and admits callers of this machine only",
        explanation="An endpoint without `peers` admits only who calls from this machine, "
        "whatever address it binds to: DICOM asks no caller for a password, so who may call is "
        "said one by one. Everybody else is refused and logged.",
        bad=main_file(ROUTER.replace('"GATEWAY"', '"GATEWAY", bind_addr = "0.0.0.0"')),
        good=main_file(
            ROUTER.replace('"GATEWAY"', '"GATEWAY", bind_addr = "0.0.0.0", peers = ["ct"]')
            + '[peers.ct]\nae_titles = ["CT1"]\naddresses = ["10.1.2.3"]\nallow = ["store"]\n'
        ),
    ),
)
