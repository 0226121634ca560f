import pytest

from unsup_asr import cli
from unsup_asr.report.published import (
    PUBLISHED_PATH,
    published_corpora,
    published_of,
    published_results,
)

COLUMNS = "system measure rate corpus scored_on phones silence decoding training read source"
HEADER = COLUMNS.replace(" ", "\t")
GOOD = "Liu\tPER\t63.6\ttimit\ttest\t39\tunknown\tunknown\tunsupervised\tread\tLiu et al."


def test_every_figure_has_a_source_and_its_conditions():
    for result in published_results():
        assert 0 < result.rate < 100
        assert any(word in result.source for word in ("arXiv", "wer_are_we")), result
        assert result.scored_on
        assert result.phones
    keys = [(r.system, r.measure, r.corpus, r.scored_on) for r in published_results()]
    assert len(set(keys)) == len(keys)


def test_the_figures_of_the_superb_paper_are_there_and_are_supervised():
    superb = {
        r.system.removeprefix("SUPERB PR, "): r
        for r in published_of("librispeech")
        if r.system.startswith("SUPERB PR")
    }
    assert len(superb) == 18
    assert superb["FBANK"].rate == 82.01
    assert superb["wav2vec 2.0 Base"].rate == 5.74
    assert superb["HuBERT Large"].rate == 3.53
    assert all(r.is_supervised and "stress" in r.phones for r in superb.values())
    assert [name for name, r in superb.items() if not r.is_read] == ["WavLM Base+", "WavLM Large"]


def test_the_older_systems_and_their_rates():
    rates = {(r.system, r.scored_on): r.rate for r in published_of("timit")}
    assert rates["Liu 2018, GAN", "test"] == 63.6
    assert rates["Yeh 2019, segmental ODM", "test"] == 41.6
    assert rates["Chen 2019, GAN + HMM", "all test, unmatched"] == 33.1
    assert rates["wav2vec-U + self-training", "all test, matched"] == 11.3
    assert rates["REBORN, second iteration", "all test, matched"] == 12.96


def test_published_figures_are_those_of_one_corpus_or_all():
    parts = [published_of(corpus) for corpus in published_corpora()]
    assert sum(map(len, parts)) == len(published_of("all")) > 60
    with pytest.raises(ValueError, match="no published results on 'wsj'; expected one of timit"):
        published_of("wsj")


def test_the_command_offers_every_corpus(capsys):
    with pytest.raises(SystemExit):
        cli.main(["compare", "--help"])
    assert "{" + ",".join([*published_corpora(), "all"]) + "}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (GOOD.replace("63.6", "many"), r"tsv:3: .*many.*expected a rate in percent"),
        (GOOD.replace("Liu et al.", ""), r"tsv:3: 11 cells; expected .* none empty"),
        (GOOD.replace("\tread", ""), r"tsv:3: 10 cells"),
        (GOOD.replace("read", "heard"), r"tsv:3: 'heard'; expected one of read, memory"),
        (GOOD.replace("\tPER", "\tCER"), r"tsv:3: 'CER'; expected one of PER, WER"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, row, message):
    path = tmp_path / "table.tsv"
    path.write_text(f"# a comment\n{HEADER}\n{row}\n", "utf-8")
    with pytest.raises(ValueError, match=message):
        published_results(path)


def test_the_table_says_what_its_columns_mean():
    comments = [line for line in PUBLISHED_PATH.read_text("utf-8").splitlines() if line[0] == "#"]
    for column in ("read", "phones", "silence", "decoding"):
        assert any(f"{column}:" in line for line in comments)
