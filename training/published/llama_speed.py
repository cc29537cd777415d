"""Answers and times of llama.cpp for `npm run bench:decoder`.

    python training/published/llama_speed.py --gguf FILE --threads 2

Each line on standard input asks {"ids", "newTokens"}; each line on standard output answers {"ids", "prefillMs", "stepMs",
"cpuMs"}: greedy tokens behind the ids, whatever they are, the milliseconds until the first and for each further one, and the
processor's for both.
"""

import argparse
import json
import sys
import time

import numpy as np
from llama_cpp import Llama


def answer(model: Llama, ids: list[int], new_tokens: int) -> dict:
    model.reset()
    answered, step_ms = [], []
    start, cpu = time.perf_counter(), [time.process_time()]
    model.eval(ids)
    for _ in range(new_tokens):
        logits = np.ctypeslib.as_array(model._ctx.get_logits(), (model.n_vocab(),))
        answered.append(int(logits.argmax()))
        step_ms.append(1000 * (time.perf_counter() - start))
        start = time.perf_counter()
        cpu.append(time.process_time())
        if len(answered) < new_tokens:
            model.eval(answered[-1:])
    cpu_ms = {"prefill": 1000 * (cpu[1] - cpu[0]), "steps": 1000 * (cpu[-1] - cpu[1])}
    return {"ids": answered, "prefillMs": step_ms[0], "stepMs": step_ms[1:], "cpuMs": cpu_ms}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    threads = {"n_threads": args.threads, "n_threads_batch": args.threads}
    model = Llama(args.gguf, n_ctx=2048, **threads, logits_all=False, verbose=False)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(answer(model, request["ids"], request["newTokens"])), flush=True)


if __name__ == "__main__":
    main()
