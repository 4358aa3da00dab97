import gc

from broker.cli.heap import HeapFreezer
from broker.model.observation import MappingStateChanged, PageReceived


def test_the_heap_is_frozen_once_when_the_first_page_has_come() -> None:
    freezer = HeapFreezer()
    before = gc.get_freeze_count()
    try:
        freezer.observe("m", MappingStateChanged(state="Enabled"))
        assert gc.get_freeze_count() == before
        freezer.observe("m", PageReceived(count=0, filtered_count=0))
        frozen = gc.get_freeze_count()
        assert frozen > before
        kept = [[number] for number in range(1000)]
        freezer.observe("m", PageReceived(count=1, filtered_count=0))
        assert gc.get_freeze_count() == frozen
        assert kept
    finally:
        gc.unfreeze()
