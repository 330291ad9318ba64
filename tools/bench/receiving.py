"""C-STORE in, discarded by Harmony and by pynetdicom; Orthanc stores, so it is not alike."""

from __future__ import annotations

import contextlib
import functools
import shutil

from tools.bench.deployments import discarding_scp
from tools.bench.objects import Supply, make_template
from tools.bench.sending import send
from tools.bench.servers import orthanc, pynetdicom_scp
from tools.bench.setting import Setting, modes
from tools.bench.timing import Case, Entry, Unit, print_head

NAMES = ("harmony", "pynetdicom", "orthanc")
_COUNT, _QUICK_COUNT = 100, 20
_STALLED = 20  # objects for Orthanc, where each takes 50 ms
_GOALS = (None, 2.5, 20)


def print_tables(setting: Setting) -> None:
    """With DCMTK and Orthanc sending at once, and as they are installed."""
    count = _QUICK_COUNT if setting.quick else _COUNT
    for nodelay, how in modes():
        root = setting.disk / f"receive-{nodelay}"
        supply = Supply(folder=setting.memory / "objects", template=make_template(512))
        with contextlib.ExitStack() as running:
            running.callback(shutil.rmtree, root, ignore_errors=True)
            servers = (
                running.enter_context(discarding_scp(root / "harmony", setting.engine)),
                running.enter_context(pynetdicom_scp(root / "pynetdicom")),
                running.enter_context(orthanc(root / "orthanc", nodelay=nodelay)),
            )
            counts = (count, count, count if nodelay else _STALLED)
            print_head(f"C-STORE in, storescu {how}; up to {setting.sends} rounds", NAMES)
            case = Case(
                title="0.5 MB each, discarded",
                row="C-STORE in, 0.5 MB each, discarded",
                unit=Unit.OBJECTS,
                entries=[
                    Entry(
                        name=name,
                        run=functools.partial(send, server, supply, due, nodelay=nodelay),
                        due=due,
                        goal=None if nodelay else goal,
                    )
                    for name, server, due, goal in zip(NAMES, servers, counts, _GOALS, strict=True)
                ],
            )
            setting.print_case(case, setting.sends)
