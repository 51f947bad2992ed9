"""Starts SGLang's HTTP server with the flags given, on a machine without a GPU.

MLA has no entry for the attention backend `torch_native`, so one is added; each process of the engine imports this file
(multiprocessing's spawn), and with it the entry.
"""

import os
import sys

from sglang.srt.models.deepseek_common.attention_backend_handler import AttentionBackendRegistry
from sglang.srt.models.deepseek_common.attention_forward_methods.forward_methods import AttnForwardMethod

AttentionBackendRegistry.register("torch_native", lambda attention, batch: AttnForwardMethod.MLA)

if __name__ == "__main__":
    from sglang.launch_server import run_server
    from sglang.srt.server_args import prepare_server_args
    from sglang.srt.utils import kill_process_tree

    try:
        run_server(prepare_server_args(sys.argv[1:]))
    finally:
        kill_process_tree(os.getpid(), include_parent=False)
