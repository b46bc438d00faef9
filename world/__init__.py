"""The synthetic world and the recipe for the bundled model.

One small file a domain, each with its truth.  `world` may import `winnow`; `winnow` never imports `world`, and
nothing here goes into the wheel: only what `world` writes does (see `world.export`).

    words.py  names.py                 the vocabulary: plain words, invented names
    authors.py                         who writes: reliability, evasion, jokes; the Bayes-optimal reader
    facts.py                           what is true, what most people believe, what is never judged in training
    transcripts.py  judgements.py      questions and answers; surveys, checks and candidates
    couplets.py  dice.py  headlines.py  tales.py
    documents.py  corpus.py            a document is text with loss weights; mixtures packed into rows
    tokenizer.py                       a lossless word-level tokenizer
    recipe.py  probe.py  train.py      phases, gates, the causal model
    masked.py                          the masked model
    export.py  measure.py  card.py     package data, every figure, the card
"""
