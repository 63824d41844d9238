"""A sweep on a Ray cluster of three hosts: network namespaces, each with a host name and a cache of its own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from .conftest import SMALL, content, runs

HOSTS = ("first", "second", "third")
COUNTED = """
import socket
from anirec.data.synthetic.demo_ratings import DemoRatings

class Counted(DemoRatings):
    \"\"\"Generated ratings; records on which host they are generated.\"\"\"

    def __init__(self, *, record, **settings):
        super().__init__(**settings)
        self.record = record

    def interactions(self):
        with open(self.record, "a") as file:
            file.write(socket.gethostname() + "\\n")
        return super().interactions()
"""
JOIN = 'mount --bind "$1" "$2"; mount --bind "$3" "$4"; hostname "$5"; shift 5; exec "$@"'
RAY = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 2, "RAY_USAGE_STATS_ENABLED": "0"}


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def can_create_hosts() -> bool:
    if os.geteuid() or not all(map(shutil.which, ("ip", "unshare", "nsenter", "mount"))):
        return False
    try:
        ip("netns", "add", "anirec-trial")
        ip("netns", "delete", "anirec-trial")
        ip("link", "add", "anirec-trial", "type", "bridge")
        ip("link", "delete", "anirec-trial")
        subprocess.run(["unshare", "--mount", "--uts", "true"], check=True, capture_output=True)
    except subprocess.CalledProcessError:
        return False
    return True


class Cluster:
    """Three hosts on a bridge; Ray's head runs on the first. They share all folders but the cache and Ray's own."""

    def __init__(self, folder: Path) -> None:
        self.cache, self.name = folder / "cache", f"ar{os.getpid()}"
        self.ray = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # short: it is part of the paths of sockets
        self.cache.mkdir()
        ip("link", "add", self.name, "type", "bridge")
        ip("link", "set", self.name, "up")
        self.processes = [self.start(number, folder) for number in range(len(HOSTS))]

    def start(self, number: int, folder: Path) -> subprocess.Popen[bytes]:
        space, address = f"{self.name}-{number}", f"10.123.45.{number + 1}"
        ip("netns", "add", space)
        ip("link", "add", f"{self.name}v{number}", "type", "veth", "peer", "name", "eth0", "netns", space)
        ip("link", "set", f"{self.name}v{number}", "master", self.name, "up")
        ip("-n", space, "address", "add", f"{address}/24", "dev", "eth0")
        ip("-n", space, "link", "set", "eth0", "up")
        ip("-n", space, "link", "set", "lo", "up")
        own = [folder / f"{part}_of_{HOSTS[number]}" for part in ("cache", "ray")]
        for path in own:
            path.mkdir()
        join = [own[0], self.cache, own[1], self.ray, HOSTS[number]]
        head = ["--head", "--port=6379", "--include-dashboard=false", f"--temp-dir={self.ray}"]
        role = ["--address=10.123.45.1:6379"] if number else head
        ray = [str(Path(sys.executable).with_name("ray")), "start", "--block", *role, f"--node-ip-address={address}"]
        sizes = ["--num-cpus=2", "--object-store-memory=80000000", "--disable-usage-stats"]
        return subprocess.Popen(
            ["ip", "netns", "exec", space, "unshare", "--mount", "--uts", "sh", "-c", JOIN, "sh", *join, *ray, *sizes],
            env=os.environ | RAY,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def call(self, *command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the first host."""
        enter = ["nsenter", "--mount", "--net", "--uts", f"--target={self.processes[0].pid}"]
        return subprocess.run(
            [*enter, f"--wd={folder}", *command],
            env=os.environ | RAY | {"RAY_ADDRESS": "10.123.45.1:6379", "ANIREC_CACHE": str(self.cache)} | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def close(self) -> None:
        for process in self.processes:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for number in range(len(HOSTS)):
            ip("netns", "delete", f"{self.name}-{number}")
        ip("link", "delete", self.name)
        shutil.rmtree(self.ray, ignore_errors=True)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    pytest.importorskip("ray")
    if not can_create_hosts():
        pytest.skip("network namespaces and bridges need root, and a kernel that has them")
    cluster = Cluster(tmp_path)
    try:
        ray = str(Path(sys.executable).with_name("ray"))
        until = time.monotonic() + 120
        while cluster.call(ray, "status", folder=tmp_path).stdout.count("node_") < len(HOSTS):
            assert time.monotonic() < until, cluster.call(ray, "status", folder=tmp_path)
        yield cluster
    finally:
        cluster.close()


@pytest.mark.slow
def test_the_jobs_of_a_host_share_its_cache(cluster: Cluster, tmp_path: Path) -> None:
    """Each host generates the data once, although two of its jobs start together."""
    (tmp_path / "mine" / "dataset").mkdir(parents=True)
    (tmp_path / "mine" / "counted.py").write_text(COUNTED)
    record = tmp_path / "read.txt"
    yaml = f"defaults: [demo_ratings]\nsource:\n  _target_: counted.Counted\n  record: {record}\n"
    (tmp_path / "mine" / "dataset" / "counted.yaml").write_text(yaml)
    data = ["--config-dir", "mine", "dataset=counted", *SMALL]
    sweep = [sys.executable, "-m", "anirec", "run", "-m", *data, "model=popularity,bias", "split.seed=1,2,3"]
    done = cluster.call(*sweep, "hydra/launcher=ray", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "6 of 6 jobs finished" in done.stderr
    hosts = record.read_text().split()
    assert len(hosts) > 1
    assert len(hosts) == len(set(hosts))
    found = {content(run, "status.json")["host"] for run in runs(tmp_path, dataset="counted")}
    assert found == set(hosts)
