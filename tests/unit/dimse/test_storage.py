"""What counts as storage."""

from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES
from pynetdicom.presentation import AllStoragePresentationContexts

from harmony.dicom.uids import is_uid
from harmony.dimse.contexts import FIND, GET, MOVE, VERIFICATION, for_get
from harmony.dimse.storage import (
    known_storage_classes,
    known_transfer_syntaxes,
    other_services,
)

SERVICES = {VERIFICATION, *FIND.values(), *MOVE.values(), *GET.values()}


def test_classes_of_today_and_retired_ones_are_known():
    known = known_storage_classes()
    assert "1.2.840.10008.5.1.4.1.1.2" in known  # CT
    assert "1.2.840.10008.5.1.4.1.1.6" in known  # ultrasound, retired
    assert "1.2.840.10008.5.1.4.1.1.88.11" in known  # basic text SR
    assert "1.2.840.10008.5.1.4.1.1.9" in known  # standalone curve, retired
    assert all(map(is_uid, known))
    assert known >= {str(each.abstract_syntax) for each in AllStoragePresentationContexts}


def test_what_a_get_asks_for_here_is_known():
    asked = {each.abstract_syntax for each in for_get()} - SERVICES
    assert asked <= known_storage_classes()


def test_other_services_are_not_storage():
    others = {
        "1.2.840.10008.1.3.10",  # media storage directory
        "1.2.840.10008.1.20.1",  # storage commitment
        "1.2.840.10008.3.1.2.3.3",  # modality performed procedure step
        "1.2.840.10008.5.1.4.31",  # modality worklist
    }
    assert not known_storage_classes() & (others | SERVICES)
    assert others | SERVICES <= other_services()


def test_transfer_syntaxes_are_those_of_the_standard():
    known = known_transfer_syntaxes()
    assert known >= set(ALL_TRANSFER_SYNTAXES)
    assert "1.2.840.10008.1.2.6.1" not in known  # MIME encapsulation, retired
    assert all(UID(uid).is_transfer_syntax for uid in known)
