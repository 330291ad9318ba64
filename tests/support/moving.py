"""What a bad PACS does for a C-MOVE: it calls the receiver and stores there, right or wrong.

    script = Script(move=(StoreAt(port, instances), Final(counters=Counters(completed=2))))

The steps run in order, so objects may come after the `Final` as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tests.support.bad_caller import STORE_ID, Message, Request, bad_caller, messages
from tests.support.bad_pacs import Counters, Instance
from tests.support.bad_pacs.command import Value
from tests.support.bad_pacs.talk import Talk

_ORIGINATOR_AE_TITLE, _ORIGINATOR_MESSAGE_ID = 0x1030, 0x1031  # PS3.7 E.1-1


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAt:
    """C-STORE sub-operations on an association of their own. PS3.4 C.4.2.2.

    Attributes:
        port: of the receiver.
        instances: CT images in Explicit VR Little Endian.
        aet: that the receiver is called by.
        originator: AE title of the C-MOVE's sender; None names none.
        message_id: of the C-MOVE; None for the true one.
        ends: how the association ends; "cut" breaks it off in the middle of the last instance.
    """

    port: int
    instances: Sequence[Instance]
    aet: str = "RECEIVER"
    originator: str | None = "HARMONY"
    message_id: int | None = None
    ends: Literal["released", "cut"] = "released"

    def run(self, talk: Talk) -> None:
        done = talk.counters or Counters(completed=0, failed=0, warning=0)
        completed, failed = done.completed or 0, done.failed or 0
        with bad_caller("127.0.0.1", self.port) as caller:
            caller.associate(Request(called=self.aet, calling="PACS"))
            for number, instance in enumerate(self.instances, 1):
                request = messages.store(
                    instance.sop_instance, message_id=number, change=self._originator(talk)
                )
                if self.ends == "cut" and number == len(self.instances):
                    whole = messages.message(STORE_ID, request, instance.data)
                    caller.send(whole[: len(whole) - len(instance.data) // 2])
                    caller.reset()
                    failed += 1
                    break
                caller.ask(STORE_ID, request, instance.data)
                answer = caller.next_message()
                if isinstance(answer, Message) and answer.status == 0:
                    completed += 1
                else:
                    failed += 1
                    talk.failed.append(instance.sop_instance)
            else:
                caller.release()
        talk.counters = Counters(completed=completed, failed=failed, warning=0)

    def _originator(self, talk: Talk) -> dict[int, Value | None]:
        if self.originator is None:
            return {}
        number = talk.request.message_id if self.message_id is None else self.message_id
        return {_ORIGINATOR_AE_TITLE: self.originator, _ORIGINATOR_MESSAGE_ID: number}
