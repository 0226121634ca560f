"""Pieces tile the audio, whatever the blocks it comes in, and are cut at pauses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from unsup_asr.speech.pieces import Piece, cut_in_pieces, quietest

RATE = 1000


def loud_but_at(*pauses_s: float, seconds: float) -> np.ndarray:
    samples = np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
    for at in pauses_s:
        samples[round((at - 0.25) * RATE) : round((at + 0.25) * RATE)] *= 0.001
    return samples


def blocks(samples: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (samples[i : i + size] for i in range(0, len(samples), size))


@pytest.mark.parametrize("size", [1, 17, 999, 4000, 100_000])
@pytest.mark.parametrize("around_s", [0.0, 0.5])
def test_pieces_tile_the_audio_and_have_what_lies_around(size: int, around_s: float) -> None:
    samples = loud_but_at(3.2, 6.1, 9.7, seconds=12.345)
    found = list(cut_in_pieces(blocks(samples, size), RATE, longest_s=4.0, around_s=around_s))
    assert [piece.start for piece in found] == [0, *(piece.end for piece in found[:-1])]
    assert found[-1].end == len(samples)
    assert all(piece.end - piece.start <= 4 * RATE for piece in found[:-1])
    for piece in found:
        end = piece.first + len(piece.samples_N)
        assert np.array_equal(piece.samples_N, samples[piece.first : end])
        assert piece.start - piece.first == min(piece.start, round(around_s * RATE))
        assert end == min(len(samples), piece.end + round(around_s * RATE))
    cuts_s = [piece.end / RATE for piece in found[:-1]]
    np.testing.assert_allclose(cuts_s, [3.2, 6.1, 9.7], atol=0.11)


@pytest.mark.parametrize("seconds", [0.001, 0.5, 3.999, 4.0])
def test_audio_that_is_no_longer_than_a_piece_is_one(seconds: float) -> None:
    samples = loud_but_at(seconds=seconds)
    (piece,) = cut_in_pieces(blocks(samples, 7), RATE, longest_s=4.0, around_s=1.0)
    assert (piece.first, piece.start, piece.end) == (0, 0, len(samples))
    assert list(cut_in_pieces([], RATE, longest_s=4.0, around_s=1.0)) == []


def test_partial_pieces_grow_until_the_final_one() -> None:
    samples = loud_but_at(3.0, seconds=6.0)
    cut = cut_in_pieces(blocks(samples, 100), RATE, longest_s=4.0, around_s=0.5, partial_s=1.0)
    found = [(piece.start, piece.end, piece.is_final) for piece in cut]
    firsts = [end for start, end, is_final in found if start == 0 and not is_final]
    assert firsts == [1000, 2000, 3000, 4000]
    finals = [(start, end) for start, end, is_final in found if is_final]
    assert finals[0][1] == finals[1][0]
    assert finals[-1][1] == 6000
    whole = cut_in_pieces(blocks(samples, 100), RATE, longest_s=4.0, around_s=0.5)
    assert [(piece.start, piece.end) for piece in whole] == finals


def test_the_quietest_place_of_silence_is_its_first_and_of_little_the_middle() -> None:
    assert quietest(np.zeros(5000, np.float32), RATE) == 150
    assert quietest(np.ones(200, np.float32), RATE) == 100


def test_a_piece_of_nothing_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="a piece from sample 3 to 3"):
        Piece(np.zeros(5, np.float32), 0, 3, 3)
