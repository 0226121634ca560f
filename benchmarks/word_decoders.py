"""Words out of CTC posteriors: our search beside flashlight's and Kaldi's, by speed and WER.

python -m benchmarks.word_decoders exp/demo/latest [--split dev] [--lm-weight 0.5] [--word-score 0]

Reads a run's network, lexicon, model of words and references. The others are measured where they
are installed (pip install flashlight-text kaldifst kaldi-decoder); the project uses none of them.
One thread each, the same weights for all. flashlight's search does not let the last phone of a word
last longer than a frame: it expects a separator after every word, which phones do not have.
"""

import argparse
import importlib.util
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from lm.arpa import read_arpa
from lm.lexicon import Lexicon
from lm.words import WordDecoder
from unsup_asr.acoustic.network import load_network
from unsup_asr.acoustic.posteriors import log_posteriors
from unsup_asr.formats.hypotheses import read_words
from unsup_asr.formats.phone_text import read_inventory
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.scoring.metrics import count_errors
from unsup_asr.types import ErrorCounts

BLANK = "<blank>"
Posteriors = dict[str, np.ndarray]
Decode = Callable[[Posteriors], dict[str, list[str]]]


class Run:
    """What is read from a run."""

    def __init__(self, latest: Path, split: str) -> None:
        words = latest / "words" / "words"
        self.arpa, self.lexicon_path = words / "words.arpa", words / "lexicon.tsv"
        self.lexicon = Lexicon.read(self.lexicon_path)
        self.symbols = [BLANK, *read_inventory(latest / "text" / "inventory.json")]
        features = RaggedArray.open(latest / "features" / "acoustic" / split)
        self.posteriors = log_posteriors(load_network(latest / "words"), features)
        references = read_words(latest / "references" / "references" / f"{split}.words.tsv")
        self.references = {i: references[i] for i in self.posteriors}


def ours(run: Run, lm_weight: float, word_score: float, beam: int) -> Decode:
    decoder = WordDecoder(
        lexicon_path=str(run.lexicon_path),
        lm_path=str(run.arpa),
        lm_weight=lm_weight,
        word_score=word_score,
        beam=beam,
        blank=BLANK,
    )
    decoder.decode(next(iter(run.posteriors.values())), run.symbols)  # loads

    def decode(posteriors: Posteriors) -> dict[str, list[str]]:
        found = decoder.decode_batch(list(posteriors.values()), run.symbols)
        return {
            i: [w.word for w in best.words] for i, (best,) in zip(posteriors, found, strict=True)
        }

    return decode


def flashlight(run: Run, lm_weight: float, word_score: float, beam: int) -> Decode:
    from flashlight.lib.text.decoder import (
        CriterionType,
        LexiconDecoder,
        LexiconDecoderOptions,
        SmearingMode,
        Trie,
    )
    from flashlight.lib.text.decoder.kenlm import KenLM
    from flashlight.lib.text.dictionary import Dictionary

    unigrams = read_arpa(run.arpa).table(1)
    # the likeliest first: its trie keeps six words of one spelling
    words = sorted(run.lexicon.entries, key=lambda word: -unigrams.get((word,), (-99.0, 0.0))[0])
    dictionary = Dictionary()
    for word in [*words, "<unk>"]:
        dictionary.add_entry(word)
    model = KenLM(str(run.arpa), dictionary)
    index = {symbol: i for i, symbol in enumerate(run.symbols)}
    trie = Trie(len(run.symbols), -1)
    start = model.start(False)
    for word in words:
        _, score = model.score(start, dictionary.get_index(word))
        for spoken in run.lexicon.entries[word]:
            trie.insert([index[p] for p in spoken], dictionary.get_index(word), score)
    trie.smear(SmearingMode.MAX)
    options = LexiconDecoderOptions(
        beam_size=beam,
        beam_size_token=16,
        beam_threshold=1e9,
        lm_weight=lm_weight * math.log(10),  # its model scores in log10
        word_score=word_score,
        unk_score=-math.inf,
        sil_score=0.0,
        log_add=False,
        criterion_type=CriterionType.CTC,
    )
    blank = silence = 0  # there is no silence among the symbols
    decoder = LexiconDecoder(
        options, trie, model, silence, blank, dictionary.get_index("<unk>"), [], False
    )

    def decode(posteriors: Posteriors) -> dict[str, list[str]]:
        found = {}
        for i, scores_TV in posteriors.items():
            scores_TV = np.ascontiguousarray(scores_TV, dtype=np.float32)
            best = decoder.decode(scores_TV.ctypes.data, *scores_TV.shape)[0]
            found[i] = [dictionary.get_entry(w) for w in best.words if w >= 0]
        return found

    return decode


def kaldi(run: Run, lm_weight: float, word_score: float, beam: int) -> Decode:
    """A CTC graph (token, lexicon, grammar composed), searched by FasterDecoder."""
    import kaldifst
    from kaldi_decoder import DecodableCtc, FasterDecoder, FasterDecoderOptions

    graph, words = _graph(run, lm_weight, word_score)
    options = FasterDecoderOptions(max_active=beam, beam=200.0)

    def decode(posteriors: Posteriors) -> dict[str, list[str]]:
        found = {}
        for i, scores_TV in posteriors.items():
            decoder = FasterDecoder(graph, options)
            decoder.decode(DecodableCtc(np.ascontiguousarray(scores_TV, dtype=np.float32)))
            is_found, best = decoder.get_best_path()
            found[i] = []
            if is_found:
                _, _, labels, _ = kaldifst.get_linear_symbol_sequence(best)
                found[i] = [words[label] for label in labels]
        return found

    return decode


def _graph(run: Run, lm_weight: float, word_score: float):
    """min(det(lexicon o grammar)) with the CTC topology before it; and the words by label."""
    import kaldifst

    words = ["<eps>", *sorted(run.lexicon.entries)]
    label = {word: i for i, word in enumerate(words)}
    back_off = len(words)  # #0 of the grammar
    index = {symbol: i + 1 for i, symbol in enumerate(run.symbols)}  # 0 is epsilon
    spellings: dict[tuple[str, ...], int] = {}
    lines = []
    next_state, most = 1, 0
    pronunciations = [
        (word, spoken) for word, all_of_it in run.lexicon.entries.items() for spoken in all_of_it
    ]
    first_disambiguation = len(run.symbols) + 1
    for word, spoken in pronunciations:
        spellings[spoken] = spellings.get(spoken, 0) + 1
        most = max(most, spellings[spoken])
        inputs = [*(index[p] for p in spoken), first_disambiguation + spellings[spoken]]
        state = 0
        for position, symbol in enumerate(inputs):
            last = position == len(inputs) - 1
            target = 0 if last else next_state
            next_state += not last
            output = label[word] if position == 0 else 0
            lines.append(f"{state} {target} {symbol} {output}")
            state = target
    lines.append(f"0 0 {first_disambiguation} {back_off}")
    lines.append("0")
    lexicon = kaldifst.compile("\n".join(lines), acceptor=False)
    kaldifst.arcsort(lexicon, sort_type="olabel")
    arcs = _grammar(run, label, back_off, lm_weight, word_score)
    grammar = kaldifst.compile(arcs, acceptor=False)
    kaldifst.arcsort(grammar, sort_type="ilabel")
    both = kaldifst.compose(lexicon, grammar)
    kaldifst.determinize_star(both)
    kaldifst.minimize_encoded(both)
    passing = range(first_disambiguation, first_disambiguation + most + 1)
    ctc = _ctc_topology(len(run.symbols), passing)
    kaldifst.arcsort(both, sort_type="ilabel")
    return kaldifst.compose(ctc, both), words


def _grammar(
    run: Run, label: dict[str, int], back_off: int, lm_weight: float, word_score: float
) -> str:
    """The ARPA model as text of an acceptor; its costs are weighted, a word's score is in."""
    model = read_arpa(run.arpa)
    states: dict[tuple[str, ...], int] = {("<s>",): 0, (): 1}

    def state_of(words: tuple[str, ...]) -> int:
        while words not in states:
            words = words[1:]
        return states[words]

    tables = [model.table(order) for order in range(1, len(model.orders) + 1)]
    for table in tables[:-1]:
        for ngram in table:
            states.setdefault(ngram, len(states))
    scale = lm_weight * math.log(10)
    lines, finals = [], []
    for table in tables:
        for ngram, (log10_probability, log10_back_off) in table.items():
            cost = -scale * log10_probability
            source = states.get(ngram[:-1])
            if ngram[-1] == "</s>":
                finals.append(f"{source} {cost:.6f}")
            elif ngram[-1] in label:
                target = state_of(ngram)
                word = label[ngram[-1]]
                lines.append(f"{source} {target} {word} {word} {cost - word_score:.6f}")
            if ngram in states and len(ngram) < len(tables):
                lower = state_of(ngram[1:])
                lines.append(f"{states[ngram]} {lower} {back_off} 0 {-scale * log10_back_off:.6f}")
    return "\n".join([*sorted(lines, key=lambda line: int(line.split()[0])), *finals])


def _ctc_topology(num_symbols: int, disambiguation: range):
    """Frames to phones: repeats and blanks vanish (1 is the blank), disambiguation passes."""
    import kaldifst

    lines = ["0 0 1 0"]
    for symbol in range(2, num_symbols + 1):
        state = symbol - 1
        lines += [f"0 {state} {symbol} {symbol}", f"{state} {state} {symbol} 0", f"{state} 0 1 0"]
        lines += [
            f"{state} {other - 1} {other} {other}"
            for other in range(2, num_symbols + 1)
            if other != symbol
        ]
    for state in range(num_symbols):
        lines += [f"{state} {state} 0 {symbol}" for symbol in disambiguation]
        lines.append(str(state))
    topology = kaldifst.compile("\n".join(lines), acceptor=False)
    kaldifst.arcsort(topology, sort_type="olabel")
    return topology


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("latest", type=Path)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--lm-weight", type=float, default=0.5)
    parser.add_argument("--word-score", type=float, default=0.0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run = Run(arguments.latest, arguments.split)
    systems = {"ours": (ours, (30, 60, 200))}
    if importlib.util.find_spec("flashlight"):
        systems["flashlight"] = (flashlight, (30, 60, 200))
    if importlib.util.find_spec("kaldi_decoder"):
        systems["kaldi graph"] = (kaldi, (500, 2000, 7000))
    for name, (build, beams) in systems.items():
        for beam in beams:
            started = time.perf_counter()
            decode = build(run, arguments.lm_weight, arguments.word_score, beam)
            built = time.perf_counter()
            found = decode(run.posteriors)
            rate = len(found) / (time.perf_counter() - built)
            counts = [count_errors(run.references[i], words) for i, words in found.items()]
            wer = sum(counts, ErrorCounts(0, 0, 0, 0)).rate
            print(
                f"{name:<12} beam {beam:5d}  built in {built - started:6.1f} s  {rate:8.1f} "
                f"utterances/s  WER {wer:5.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
