"""genlm-control 0.4.1, run in a virtual environment of its own, where Winnow is not installed.

    python3 -m venv PATH; PATH/bin/pip install torch==2.13.0; PATH/bin/pip install genlm-control==0.4.1
    python benchmarks/engine.py --genlm PATH

Reads one JSON list of prompt tokens a line, answers with ``{"seconds": process time}``. The prompt's keys and values are
cached first (``cache_kv``), a batch holds all particles, and a full batch never waits (``batch_size``). Particles write
``length`` tokens, the last of which it makes the end token; the few that draw that token earlier end earlier.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time


def main(path: str, particles: int, length: int, threads: int) -> None:
    import torch
    from genlm.backend.llm import AsyncTransformer  # type: ignore[import-not-found]
    from genlm.control import SMC, PromptedLLM, direct_token_sampler  # type: ignore[import-not-found]
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(path)
    if tokenizer.eos_token is None:  # it insists on one
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(len(tokenizer) - 1)
    backend = AsyncTransformer(model, tokenizer, batch_size=particles, timeout=0.001)
    potential = PromptedLLM(backend)
    search = SMC(direct_token_sampler(potential))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        prompt = json.loads(line)
        backend.clear_cache()
        began = time.process_time()
        backend.cache_kv(prompt)
        potential.prompt_ids = prompt
        asyncio.run(search(n_particles=particles, ess_threshold=0.5, max_tokens=length))
        print(json.dumps({"seconds": time.process_time() - began}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
