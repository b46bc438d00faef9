"""Floor 7: studies of looking ahead as they are called, from Python and from the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from winnow.lookahead.amplify import amplify
from winnow.lookahead.looking import Looking
from winnow.lookahead.settings import StudySettings
from winnow.lookahead.study import Study
from winnow.lookahead.study import study as program
from winnow.lookahead.texts import Document, prepare, read_documents
from winnow.lookahead.written import Written, write
from winnow.ports.program import Limits, Observer, run
from winnow.ports.requests import Backend, LanguageModel
from winnow.runs.remembered import Remembered
from winnow.runs.store import Store
from winnow.work import opened


def lookahead(
    model: LanguageModel,
    texts: Sequence[str | Path | Document],
    *,
    settings: StudySettings | None = None,
    name: str | None = None,
    max_tokens: int | None = None,
    overlap: int | None = None,
    limits: Limits | None = None,
    observer: Observer | None = None,
    store: Store | str | Path | None = None,
) -> Study:
    """Does looking ahead raise the plausibility of texts beyond temperature and truncation?

    Parameters
    ----------
    model : from ``winnow.load``, or any language model that gives whole next-token distributions.
    texts : files (.csv and .jsonl by their column "text"), or documents.
    settings : what is tried; see ``StudySettings``.
    name : the model's in what is reported.
    max_tokens : at most so many tokens are scored.
    overlap : tokens of context that stretches share, where a text is longer than the model's context.
    limits, observer : as in ``winnow.ports.program.run``.
    store : where looks are kept; the same study again asks only what is missing. None keeps nothing.

    Raises
    ------
    InputError, ContextError, CapabilityError
        Before anything is asked: a text too short or with characters the tokenizer has no token for, a depth beyond the
        context, a model that does not give whole distributions.
    LimitReached
        When a limit is met; with a store, what was answered is kept.
    """
    settings = settings or StudySettings()
    looking = Looking(model)
    settings.check(model)
    files = [text for text in texts if not isinstance(text, Document)]
    documents = [text for text in texts if isinstance(text, Document)] + read_documents(files)
    text = prepare(documents, model, depth=settings.furthest, max_tokens=max_tokens, overlap=overlap)
    with _kept(looking, store) as backend:
        return run(
            program(text, model, settings, name=name or model.identity), backend, limits=limits, observer=observer
        )


def compare_written(
    study: Study, model: LanguageModel, *, num: int = 64, prompt_tokens: int = 32, max_tokens: int = 64
) -> list[Written]:
    """Texts written after beginnings taken from a study's text: naive, best of many naive, and amplified.

    The amplified model is the study's own mixture that was best on the tuning half; where its weight came out as nothing, a
    weight of one half, so that there is something to see.
    """
    one = study.plain
    if one is None:
        return []
    setting, mixture = one.row.setting, one.row.plain
    ahead = amplify(
        model,
        setting.width,
        setting.depth,
        weight=mixture.weight or 0.5,
        average=setting.exponent,
        mixing=setting.mixing,
        cover=mixture.cover or 0.05,
        seed=study.settings.seed,
    )
    places = np.linspace(0, study.text.token.size - prompt_tokens - 1, num).astype(int)
    prompts = ["".join(study.text.piece[place : place + prompt_tokens]).strip() for place in places]
    room = ahead.context_length - max_tokens
    prompts = [prompt for prompt in prompts if prompt and len(model.codec.encode(prompt)) <= room]
    if not prompts:
        return []
    return write(model, ahead, prompts, max_tokens=max_tokens, seed=study.settings.seed)


@contextmanager
def _kept(backend: Backend, store: Store | str | Path | None) -> Iterator[Backend]:
    if store is None:
        yield backend
        return
    with opened(store) as open_store:
        yield Remembered(open_store, backend)
