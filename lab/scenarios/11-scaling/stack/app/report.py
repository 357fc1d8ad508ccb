"""Prints the count; with an argument, sets it."""
import os
import sys

import redis

store = redis.Redis(host=os.environ["REDIS_HOST"])
if len(sys.argv) > 1:
    store.set("hits", sys.argv[1])
print("hits:", store.get("hits").decode())
