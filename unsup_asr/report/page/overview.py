"""What a page says first, in plain words: what was found, whether it beats its nulls, what the
diagnosis says, and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from unsup_asr.report.diagnosed import SAYS, Diagnosed
from unsup_asr.report.left import Left
from unsup_asr.report.page.document import section, unfolded
from unsup_asr.report.results import SUPERVISED_ROW, Results
from unsup_asr.scoring.nulls import MARGIN, margin

NOT_SCORED = "It has not been scored: the run did not come to the stage `evaluate`."
_NO_REFERENCES = "There are no references, so nothing says how many of its phones are right."
_GOOD, _BAD, _DOUBT = "good", "bad", "doubt"


def overview(left: Left, diagnosed: Diagnosed) -> str:
    """Heading, verdict and the sections on nulls, diagnosis and what is next."""
    results = left.results
    kind, verdict, why = verdict_of(left, diagnosed)
    lines = [f"<h1>{escape(left.name)}</h1>"]
    lines.append(f'<div class="verdict {kind}"><strong>{escape(verdict)}</strong>')
    lines += [f"<p>{escape(sentence)}</p>" for sentence in (*_found(left), why) if sentence]
    lines.append("</div>")
    if sentences := _nulls(results):
        lines.append(section("nulls", "Is there anything in its error rate?", _text(sentences)))
    lines.append(section("diagnosis", "What the diagnosis says", *_diagnosis(diagnosed)))
    if commands := [c for c in diagnosed.commands if not c.startswith("unsup-asr report ")]:
        shown = (f"<pre><code>{escape(command)}</code></pre>" for command in commands)
        lines.append(section("next", "What to do next", *shown))
    return "\n".join(lines)


def verdict_of(left: Left, diagnosed: Diagnosed) -> tuple[str, str, str]:
    """Whether a run works: a kind (good, bad, doubt), that in words, and a sentence on it."""
    results = left.results
    final = results.final_row if results else None
    row = results.rows[final] if results and final else None
    if row is not None and row.works:
        return _GOOD, "It works: what it writes follows the sound", _despite(diagnosed)
    if row is not None and row.works is False:
        return _BAD, "It does not work: what it writes could be written without hearing", ""
    if results is None and diagnosed.state in ("broken", "running", "unfinished"):
        where = f": {diagnosed.stage}" if diagnosed.stage else ""
        says = SAYS[diagnosed.state].capitalize() + where
        return (_BAD if diagnosed.state == "broken" else _DOUBT), says, _ended(diagnosed)
    why = "" if row else NOT_SCORED if left.has_references else _NO_REFERENCES
    if diagnosed.findings:
        return _BAD, "There are signs that it failed", why
    return _DOUBT, "There is no sign that it failed, which is no proof", why


def _found(left: Left) -> Iterable[str]:
    """What was learned from what, and how many of its phones are wrong."""
    results, source = left.results, left.learned_from
    if source is not None and (results is not None or left.final_stage is not None):
        many = "" if source.num_speakers == 1 else "s"
        yield (
            f"From {source.hours:.2f} hours of speech of {source.num_speakers} speaker{many}, and "
            f"text that belongs to none of it, it learned to write {source.num_phones} phones. "
            "Nobody told it what was said."
        )
    final = results.final_row if results else None
    if results is None or final is None:
        return
    row = results.rows[final]
    text = (
        f"Of 100 phones said in the {row.num_utterances} utterances of {row.split} it makes "
        f"{row.per:.0f} errors (PER {row.per:.1f} %, 95 % interval {row.interval_low:.1f} to "
        f"{row.interval_high:.1f})"
    )
    if SUPERVISED_ROW in results.rows:
        supervised = results.rows[SUPERVISED_ROW].per
        text += f"; the same network makes {supervised:.0f} where it is told what was said"
    yield f"{text}."


def _nulls(results: Results | None) -> list[str]:
    final = results.final_row if results else None
    row = results.rows[final] if results and final else None
    if row is None:
        return []
    if row.nulls is None:
        return ["These results are of a version that did not ask. Run the recipe again."]
    swap = row.nulls.audio_swap
    sentences = [
        "Some error rates can be had without hearing anything. As many phones drawn with the "
        f"text's frequencies make {row.nulls.random_phones:.1f} % errors; "
        + (
            "what it wrote for one utterance cannot be held against another's reference, since "
            "all say the same."
            if swap is None
            else f"what it wrote for one utterance, held against another's reference, {swap:.1f} %."
        )
    ]
    under = margin(row.per, row.nulls)
    side = f"{under:.1f} points under" if under > 0 else f"{-under:.1f} points above"
    sentences.append(
        f"This system makes {row.per:.1f} %, {side} the lower of these nulls. From {MARGIN:g} "
        f"points under both on it counts as working: it {'does' if row.works else 'does not'}."
    )
    return sentences


def _diagnosis(diagnosed: Diagnosed) -> Iterable[str]:
    """It sees no references; the first of its findings, and all on demand."""
    if diagnosed.error:
        yield f'<div class="warning">{escape(diagnosed.error)}</div>'
    messages = [finding.message for finding in diagnosed.findings]
    if not messages:
        said = {
            "good": "It sees no references and finds nothing wrong. Some failures leave no sign.",
            "unfinished": "The run has not come so far that it could be asked.",
        }
        yield _text([said.get(diagnosed.state, "Nothing is known of the systems so far.")])
        return
    number = f"{len(messages)} signs" if len(messages) > 1 else "a sign"
    yield _text([f"It sees no references and finds {number} of failure, causes first."])
    yield f'<div class="warning">{escape(messages[0])}</div>'
    if others := messages[1:]:
        listed = "\n".join(f'<div class="warning">{escape(other)}</div>' for other in others)
        yield unfolded(f"{len(others)} more", listed)


def _despite(diagnosed: Diagnosed) -> str:
    if not diagnosed.findings:
        return ""
    return "The diagnosis has doubts all the same, see below."


def _ended(diagnosed: Diagnosed) -> str:
    return "What it has left so far is below." if diagnosed.state != "running" else ""


def _text(sentences: Iterable[str]) -> str:
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
