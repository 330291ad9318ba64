import pytest

from harmony.config.findings import Layer, Severity
from harmony.config.loading import load_files
from harmony.config.rules import RULES, find_rule
from tests.support.configuration import write_files

# Where each rule's bad example goes wrong: file, line, column.
PLACES = {
    "HRM-E001": ("config.toml", 1, 1),
    "HRM-E002": ("config.toml", 2, 7),
    "HRM-E003": ("config.toml", 1, 1),
    "HRM-E004": ("config.toml", 2, 18),
    "HRM-W005": ("config.toml", 2, 18),
    "HRM-N006": ("pipelines/mr.toml.off", 1, 1),
    "HRM-W011": ("config.toml", 2, 1),
    "HRM-E012": ("config.toml", 2, 1),
    "HRM-E013": ("config.toml", 2, 1),
    "HRM-E101": ("config.toml", 2, 8),
    "HRM-E102": ("config.toml", 9, 16),
    "HRM-E103": ("config.toml", 2, 1),
    "HRM-E104": ("config.toml", 2, 9),
    "HRM-E105": ("config.toml", 8, 37),
    "HRM-E106": ("config.toml", 2, 8),
    "HRM-E107": ("config.toml", 2, 6),
    "HRM-E108": ("config.toml", 3, 21),
    "HRM-E110": ("pipelines/log.toml", 1, 2),
    "HRM-E120": ("config.toml", 4, 1),
    "HRM-E121": ("config.toml", 8, 94),
    "HRM-E122": ("config.toml", 8, 86),
    "HRM-E123": ("config.toml", 8, 13),
    "HRM-E124": ("config.toml", 5, 11),
    "HRM-E201": ("config.toml", 3, 13),
    "HRM-E202": ("pipelines/ct.toml", 1, 11),
    "HRM-E203": ("config.toml", 2, 21),
    "HRM-W204": ("config.toml", 9, 11),
    "HRM-E205": ("config.toml", 1, 12),
    "HRM-E206": ("config.toml", 10, 14),
    "HRM-E207": ("config.toml", 1, 12),
    "HRM-E225": ("config.toml", 8, 97),
    "HRM-E221": ("config.toml", 8, 19),
    "HRM-W222": ("config.toml", 8, 19),
    "HRM-W223": ("config.toml", 8, 75),
    "HRM-E224": ("config.toml", 8, 97),
    "HRM-E226": ("config.toml", 11, 22),
    "HRM-E227": ("config.toml", 10, 8),
    "HRM-E228": ("config.toml", 6, 55),
    "HRM-E229": ("config.toml", 3, 51),
    "HRM-E241": ("config.toml", 2, 17),
    "HRM-E242": ("config.toml", 10, 12),
    "HRM-E244": ("config.toml", 6, 27),
    "HRM-E246": ("config.toml", 2, 13),
    "HRM-E248": ("config.toml", 11, 14),
    "HRM-E251": ("config.toml", 9, 57),
    "HRM-E208": ("config.toml", 2, 14),
    "HRM-W245": ("config.toml", 6, 43),
    "HRM-E252": ("config.toml", 17, 11),
    "HRM-W243": ("config.toml", 13, 27),
    "HRM-E247": ("config.toml", 8, 19),
    "HRM-E263": ("config.toml", 8, 104),
    "HRM-W301": ("config.toml", 8, 53),
    "HRM-E302": ("config.toml", 8, 61),
    "HRM-W304": ("config.toml", 2, 13),
    "HRM-W305": ("config.toml", 8, 19),
    "HRM-N306": ("config.toml", 8, 37),
    "HRM-W315": ("config.toml", 6, 48),
    "HRM-E261": ("config.toml", 8, 104),
    "HRM-E262": ("config.toml", 8, 132),
    "HRM-E266": ("config.toml", 8, 132),
    "HRM-E267": ("config.toml", 8, 104),
    "HRM-W268": ("config.toml", 8, 103),
}


STATIC = [rule for rule in RULES.values() if rule.layer is not Layer.LIVE]


@pytest.mark.parametrize("rule", STATIC, ids=lambda rule: rule.code)
def test_bad_example_gives_this_finding_alone_at_its_place(rule, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = load_files(write_files(tmp_path, rule.bad))
    told = [f for f in loaded.findings if f.severity is not Severity.NOTE or f.code == rule.code]
    assert [f.code for f in told] == [rule.code]
    found = told[0]
    assert (found.file, found.span.start.line, found.span.start.column) == PLACES[rule.code]
    assert (found.severity, found.layer) == (rule.severity, rule.layer)
    assert (loaded.configuration is None) == (rule.severity is Severity.ERROR)


@pytest.mark.parametrize("rule", STATIC, ids=lambda rule: rule.code)
def test_good_example_is_valid_and_does_not_give_the_finding(rule, tmp_path):
    loaded = load_files(write_files(tmp_path, rule.good))
    assert rule.code not in [finding.code for finding in loaded.findings]
    assert loaded.configuration is not None


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.code)
def test_texts_are_written_as_all_others(rule):
    assert rule.template[0] in "`{" or rule.template[0].islower() or rule.template.startswith("AE")
    assert not rule.template.endswith(".")
    assert rule.explanation.endswith(".")
    assert bool(rule.good) == (rule.layer is not Layer.LIVE)  # which no file shows


def test_a_number_names_one_rule():
    numbers = [code[5:] for code in RULES]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("text", ["HRM-E103", "hrm-e103", "E103", " e103 ", "103"])
def test_a_rule_is_found_by_code_letter_and_number(text):
    assert find_rule(text) is RULES["HRM-E103"]


@pytest.mark.parametrize("text", ["", "E999", "W103", "HRM-"])
def test_another_text_finds_no_rule(text):
    assert find_rule(text) is None


def test_message_escapes_and_shortens_what_a_file_says():
    message = RULES["HRM-E201"].message(kind="backend", name="a\n::error::" + "x" * 100)
    assert message.startswith(r"unknown backend `a\n::error::xxx")
    assert message.endswith("x…`")
    assert len(message) < 100
