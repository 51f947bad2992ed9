"""Starts SGLang's HTTP server with the flags given, on a machine without a GPU.

MLA has no entry for the attention backend `torch_native`, so one is added; each process of the engine imports this file
(multiprocessing's spawn), and with it the entry.
"""

import os
import sys
import threading
import time

from sglang.srt.models.deepseek_common.attention_backend_handler import AttentionBackendRegistry
from sglang.srt.models.deepseek_common.attention_forward_methods.forward_methods import AttnForwardMethod

AttentionBackendRegistry.register("torch_native", lambda attention, batch: AttnForwardMethod.MLA)


def end_with(parent):
    """Ends all processes of the engine once its parent has died: a scheduler that is left over keeps a core busy."""
    from sglang.srt.utils import kill_process_tree

    while os.getppid() == parent:
        time.sleep(1)
    kill_process_tree(os.getpid(), include_parent=False)
    # sys.exit would end this thread alone.
    os._exit(1)


if __name__ == "__main__":
    from sglang.launch_server import run_server
    from sglang.srt.server_args import prepare_server_args
    from sglang.srt.utils import kill_process_tree

    threading.Thread(target=end_with, args=[os.getppid()], daemon=True).start()
    try:
        run_server(prepare_server_args(sys.argv[1:]))
    finally:
        kill_process_tree(os.getpid(), include_parent=False)
