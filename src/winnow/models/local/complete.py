"""Writing completions: a batch of rows drawn token after token, each with its own uniforms.

Rows that finish leave the batch once a quarter of it is idle. What a row draws depends on its own uniforms only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from winnow.models.local.sampling import draw_for
from winnow.models.stopping import first_stop

if TYPE_CHECKING:
    from winnow.models.local.codec import TransformersCodec
    from winnow.models.local.session import Session
    from winnow.ports.requests import Complete
    from winnow.values.logspace import FloatArray


KEPT = 0.94  # rows that finish leave the batch when no more than this share is left; copying the others is cheap


@dataclass(kw_only=True)
class Row:
    """One completion as it is written."""

    prompt: list[int]
    tokens: list[int] = field(default_factory=list)
    logprob: float = 0.0
    finish: str = ""
    text: str = ""


class Scribe:
    """Decides after each token whether a row is finished, and what its text is then."""

    def __init__(self, codec: TransformersCodec, stop: tuple[str, ...], max_tokens: int) -> None:
        self.codec, self.stop, self.max_tokens = codec, stop, max_tokens
        self.ends = frozenset(codec.end_tokens)
        # a token holds at least one byte of text and a character at most four
        self.window = 16 + 4 * max(map(len, stop), default=0)

    def write(self, row: Row, token: int, logprob: float) -> None:
        """Append a token to a row; sets ``finish`` and ``text`` when that ends it."""
        row.tokens.append(token)
        row.logprob += logprob
        if token in self.ends:
            self._close(row, "end", row.tokens[:-1])
        elif self._stopped(row):
            self._close(row, "stop", row.tokens)
        elif len(row.tokens) >= self.max_tokens:
            self._close(row, "length", row.tokens)

    def _stopped(self, row: Row) -> bool:
        if not self.stop:
            return False
        recent = row.tokens[-self.window :]
        if len(recent) < len(row.tokens) and first_stop(self.codec.decode(recent), self.stop) is None:
            return False
        return first_stop(self.codec.decode_after(row.prompt, row.tokens), self.stop) is not None

    def _close(self, row: Row, finish: str, tokens: list[int]) -> None:
        text = self.codec.decode_after(row.prompt, tokens) if tokens else ""
        row.finish, row.text = finish, text[: first_stop(text, self.stop)]


def complete_rows(session: Session, rows: list[Row], scribe: Scribe, request: Complete, uniform: FloatArray) -> None:
    """Fill ``rows`` from a session that holds their prompts, with ``uniform`` ``[N, max_tokens]``."""
    logprob = session.first
    place = list(range(len(rows)))  # which row sits where in the session
    for step in range(request.max_tokens):
        numbers = torch.from_numpy(uniform[place, step]).to(logprob.device)
        token = draw_for(request, logprob, numbers)
        drawn = logprob.gather(1, token[:, None])[:, 0]
        for row, one, value in zip(place, token.tolist(), drawn.tolist(), strict=True):
            if not rows[row].finish:
                scribe.write(rows[row], one, value)
        live = [at for at, row in enumerate(place) if not rows[row].finish]
        if not live or step == request.max_tokens - 1:
            return
        if len(live) <= KEPT * len(place):
            session.keep(live)
            token = token[live]
            place = [place[at] for at in live]
        logprob = session.step(token)
