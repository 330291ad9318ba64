"""A real PACS for tests: Orthanc, four ways.

* external: one that runs already, named by HARMONY_TEST_PACS_HOST;
* engine: in a container, if HARMONY_TEST_PACS_IMAGE names an image and an engine answers;
* netns: in a network namespace of its own, whose cable can be cut; for root;
* process: on loopback.

Tests take the fixtures ``pacs``, ``pacs_empty`` and ``faulty_pacs``; HARMONY_TEST_PACS names
a kind if the first that works is not the wanted one.
"""

from tests.support.pacs.base import Pacs
from tests.support.pacs.choose import available, chosen, start
from tests.support.pacs.config import Modality, orthanc_config
from tests.support.pacs.engine import EnginePacs
from tests.support.pacs.process import NamespacePacs, ProcessPacs

__all__ = [
    "EnginePacs",
    "Modality",
    "NamespacePacs",
    "Pacs",
    "ProcessPacs",
    "available",
    "chosen",
    "orthanc_config",
    "start",
]
