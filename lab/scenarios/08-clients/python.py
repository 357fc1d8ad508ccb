# Debian's python3-docker, as a script of its user would be.
import io
import tarfile
import threading

import docker

client = docker.from_env()
assert client.ping()

seen = []
events = client.events(decode=True, filters={"type": "container", "label": "lab.client=python"})


def follow():
    for event in events:
        seen.append(event["Action"].split(":")[0])


thread = threading.Thread(target=follow, daemon=True)
thread.start()

assert client.containers.run("busybox", "echo once", remove=True) == b"once\n"
try:
    client.containers.run("busybox", "sh -c 'echo failed >&2; exit 7'", remove=True)
    raise AssertionError("an exit status of 7 was not told")
except docker.errors.ContainerError as error:
    assert (error.exit_status, error.stderr) == (7, b"failed\n"), error

service = client.containers.run(
    "busybox",
    ["sh", "-c", "trap 'exit 0' TERM; i=0; while [ $i -lt 3 ]; do echo line $i; i=$((i+1)); done; sleep 1000 & wait"],
    name="py",
    detach=True,
    labels={"lab.client": "python"},
    environment={"COLOUR": "green"},
    mem_limit="64m",
)
service.reload()
assert service.status == "running", service.status
assert service.attrs["HostConfig"]["Memory"] == 64 * 1024 * 1024
assert [one.name for one in client.containers.list(filters={"label": "lab.client=python"})] == ["py"]

lines = service.logs(stream=True, follow=True)
assert [next(lines) for _ in range(3)] == [b"line 0\n", b"line 1\n", b"line 2\n"]

code, output = service.exec_run(["sh", "-c", "echo $COLOUR; echo no >&2; exit 3"], demux=True)
assert (code, output) == (3, (b"green\n", b"no\n")), (code, output)

packed = io.BytesIO()
with tarfile.open(fileobj=packed, mode="w") as tar:
    member = tarfile.TarInfo("greeting")
    member.size = 5
    tar.addfile(member, io.BytesIO(b"hello"))
assert service.put_archive("/tmp", packed.getvalue())
chunks, stat = service.get_archive("/tmp/greeting")
with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
    assert tar.extractfile("greeting").read() == b"hello"
assert (stat["name"], stat["size"]) == ("greeting", 5), stat

assert service.stats(stream=False)["pids_stats"]["current"] >= 1
assert service.top()["Processes"]
service.pause()
service.unpause()
service.stop(timeout=5)
assert service.wait()["StatusCode"] == 0
service.remove()

try:
    client.containers.get("py")
    raise AssertionError("it is there still")
except docker.errors.NotFound:
    pass
thread.join(1)
events.close()
missing = {"create", "start", "exec_create", "exec_die", "pause", "unpause", "kill", "die", "stop", "destroy"} - set(seen)
assert not missing, (missing, seen)
print("python3-docker: ok")
