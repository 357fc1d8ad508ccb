"""Each request counts one up in Redis; the reply is the count and the replica that counted."""
import os
import signal
import socket
import sys

import flask
import redis

app = flask.Flask(__name__)
store = redis.Redis(host=os.environ["REDIS_HOST"])


@app.get("/")
def count():
    return {"hits": store.incr("hits"), "replica": socket.gethostname()}


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print(f"replica {socket.gethostname()} serves", flush=True)
app.run(host="0.0.0.0", port=8000)
