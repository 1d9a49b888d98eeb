"""The process that all commands are forked from: it has loaded everything once, so that one costs a tenth of a second.

It reads requests as JSON lines and answers each with one. A forked child is the groundup command itself, from its
`main` on: its own signals, streams and exit code.
"""

import importlib
import json
import os
import resource
import signal
import sys
import traceback
from typing import Any

LOADED = (
    "torch._dynamo",  # torch loads it with the first optimizer
    "torch.distributed.fsdp",
    "importlib.readers",  # another user may not be able to read what has not been imported
    "groundup.science.judge",
    "groundup.science.pipeline",
    "groundup.science.run_report",
    "groundup.science.summary",
    "groundup.train.loop",
)


def child(request: dict[str, Any]) -> None:
    """Become the command of the request; never returns."""
    import sabotage
    import shim

    code = 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for handle, name in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
            flags = os.O_RDONLY if handle == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(name, flags, 0o666), handle)
        os.environ.update(request["environment"])
        if request["file_size"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_size"],) * 2)
        if request["user"] is not None:
            os.setgroups([])
            os.setgid(request["user"])
            os.setuid(request["user"])
        if failure := request["failure"]:
            if failure["setup"]:
                getattr(sabotage, failure["setup"][0])(*failure["setup"][1:])
            shim.arm(failure)
        for name, *rest in request["sabotage"]:
            getattr(sabotage, name)(*rest)
        from groundup.cli import main

        sys.argv = ["groundup", *request["arguments"]]
        code = main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        if request["failure"]:
            failures = shim.calls()
            with open(request["count"], "w") as file:  # noqa: PTH123
                file.write(str(failures))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    for name in LOADED:
        importlib.import_module(name)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(json.dumps({"status": status}), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            child(request)
        print(json.dumps({"pid": pid}), flush=True)


if __name__ == "__main__":
    serve()
