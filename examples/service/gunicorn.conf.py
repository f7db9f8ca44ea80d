"""How gunicorn runs the service: four workers, each of which serves its figures to the others and to `memo top`."""

import os
from pathlib import Path
from typing import Any

import memo

chdir = str(Path(__file__).parent)
wsgi_app = "service:app"
bind = os.environ.get("BIND", "127.0.0.1:8000")
worker_class = "asgi"  # gunicorn's own, since version 24; with older ones "uvicorn_worker.UvicornWorker"
workers = 4
preload_app = True  # modules are imported once, and their memory is shared
control_socket_disable = True  # one service less that listens


def post_fork(server: Any, worker: Any) -> None:
    """First of all in each worker."""
    memo.registry.forget_inherited()  # what was cached before the fork belongs to the master


def post_worker_init(worker: Any) -> None:
    """In each worker, before its first request; a gevent worker has exchanged its threads and sockets by now."""
    # At a socket that this user alone may read.  All processes of one name show each other's figures: so a second
    # service of this user has another one.
    memo.registry.serve(name=os.environ.get("NAME", "example"))
