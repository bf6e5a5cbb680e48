"""The child process: ``python -m imperal_host.local.server``, configured by one JSON line on standard input.

It answers with one JSON line, ``{"address": "http://127.0.0.1:PORT"}`` or ``{"error": ...}``, serves the
OpenAI and Anthropic endpoints of llama.cpp, and ends when its standard input does, or with its parent.
"""

import ctypes
import json
import os
import signal
import sys

import xllamacpp

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4


def main() -> None:
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_DUMPABLE, 0)
    # llama.cpp writes to standard output too: keep the real one for our line, and send the rest to the log.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    config = json.loads(sys.stdin.readline())
    try:
        server = start(config)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers, flush=True)
        raise SystemExit(1) from None
    print(json.dumps({"address": server.listening_address}), file=answers, flush=True)
    sys.stdin.read()
    os._exit(0)  # llama.cpp's threads do not end in an orderly way, and hold nothing worth saving


def start(config: dict[str, str | int]) -> xllamacpp.Server:
    params = xllamacpp.CommonParams()
    params.model.path = config["weights"]
    params.model_alias = {config["alias"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [config["key"]]
    params.n_ctx = config["context_tokens"]
    params.n_parallel = 1
    # What one tenant asked must not show in another's token counts or times: nothing is kept between requests.
    params.cache_prompt = False
    params.cache_idle_slots = False
    params.cache_ram_mib = 0
    params.endpoint_slots = bool(config["shows_requests"])
    # Half the cores: with one thread a core, llama.cpp's threads wait for each other in a busy loop, and
    # another process that wants a core makes it ten times slower.
    for threads in (params.cpuparams, params.cpuparams_batch):
        threads.n_threads = max(1, (os.cpu_count() or 2) // 2)
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
