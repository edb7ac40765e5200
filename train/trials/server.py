"""A server in this process on port 8200, with its engine or with one that costs nothing: python train/trials/server.py MODEL_DIR real|nothing SWITCH_INTERVAL.

Prints what it answered and the processor time of this process a request, every three seconds. Kept in history only.
"""

import socket
import sys
import threading
import time

import numpy as np

from asif_serve import logs, server
from asif_serve import predictor as engine
from asif_serve.settings import Settings

model, kind, interval = sys.argv[1:]
sys.setswitchinterval(float(interval))
if kind == "nothing":
    engine.run_session = lambda session, rows: np.repeat(np.array([[1.0, 0.0, -1.0]], dtype=np.float32), len(rows), 0)
logs.set_up("info")
settings = Settings(model=model)
running = server.Server(settings, engine.load_predictor(model), lambda: print("ready", flush=True))


def report():
    before, spent = 0, 0.0
    while True:
        time.sleep(3)
        now, cpu = running.server_state.total_requests, time.process_time()
        if now - before > 100:
            print(now - before, "requests,", round(1e3 * (cpu - spent) / (now - before), 3), "ms each", flush=True)
        before, spent = now, cpu


threading.Thread(target=report, daemon=True).start()
running.run([socket.create_server(("127.0.0.1", 8200))])
