import pytest

from lm.inventory import PhoneInventory, count_inventory

SENTENCES = [("a", "t", "i")] * 5 + [("ã", "t")] + [("ai", "t")] + [("x",)]


def test_rare_phones_are_merged_into_their_letters_or_dropped_and_reported():
    inventory = count_inventory(SENTENCES, min_count=2, rare="merge")
    assert inventory.phones == ("t", "a", "i")
    assert inventory.counts == (7, 5, 5)
    assert inventory.merged == {"ai": ("a", "i"), "ã": ("a",)}
    assert inventory.dropped == {"x": 1}


def test_applying_replaces_the_merged_and_refuses_the_dropped():
    inventory = count_inventory(SENTENCES, min_count=2, rare="merge")
    assert inventory.apply(("t", "ai", "ã")) == ("t", "a", "i", "a")
    assert inventory.apply(("t", "x")) is None


def test_dropping_and_keeping_are_choices():
    dropping = count_inventory(SENTENCES, min_count=2, rare="drop")
    assert dropping.dropped == {"ai": 1, "x": 1, "ã": 1}
    assert len(count_inventory(SENTENCES, min_count=2, rare="keep").phones) == 6


def test_an_inventory_survives_its_file(tmp_path):
    inventory = count_inventory(SENTENCES, min_count=2, rare="merge")
    inventory.save(tmp_path / "phones.json")
    assert PhoneInventory.load(tmp_path / "phones.json") == inventory


def test_bad_input_is_named(tmp_path):
    with pytest.raises(ValueError, match="rare is 'split'"):
        count_inventory(SENTENCES, min_count=2, rare="split")
    with pytest.raises(ValueError, match=r"no phone of 6 occurs 100 times \(most: 7\)"):
        count_inventory(SENTENCES, min_count=100, rare="merge")
    with pytest.raises(ValueError, match="repeats a phone"):
        PhoneInventory(("a", "a"), (1, 1), {}, {})
    with pytest.raises(ValueError, match="has no phone"):
        PhoneInventory((), (), {}, {})
    (tmp_path / "bad.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"bad\.json: not a phone inventory"):
        PhoneInventory.load(tmp_path / "bad.json")
