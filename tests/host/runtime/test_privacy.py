import subprocess
import sys

LOOK = """
import ctypes, resource
from imperal_host.runtime.privacy import keep_memory_private
libc = ctypes.CDLL(None)
before = libc.prctl(3, 0, 0, 0, 0)
keep_memory_private()
print(before, libc.prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_a_process_that_keeps_its_memory_private_is_not_dumped() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == ["1", "0", "0", "0"]
