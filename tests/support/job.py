"""Runs a test of several processes and answers for all that it starts. One that hangs is ended whole, and said to hang; a
process or a file in shared memory that is left behind is a failure.

    VGG11_TEST_LIMIT_S=SECONDS job.py COMMAND [ARG...]

Exit status: the command's; 1 after its time limit, or where it succeeded and left something behind.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid

NAME = "VGG11_TEST_JOBS"
SESSION = "ompi."  # Open MPI's own folder, which a process that is killed cannot remove
PATIENCE_S = 20  # what Open MPI's daemons may take to end by themselves


class Job:
    """All processes with a token in their environment: a process group does not do, mpirun gives each rank one of its own."""

    def __init__(self):
        self.token = uuid.uuid4().hex

    def environment(self, **more):
        """For what belongs to this job, and to the jobs that this process belongs to."""
        return dict(os.environ, **{NAME: os.environ.get(NAME, "") + " " + self.token}, **more)

    def processes(self):
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if self.token.encode() in file.read():
                        found.append(int(name))
            except OSError:
                pass  # ended meanwhile, or not ours
        return found

    def left(self, patience_s=PATIENCE_S):
        """Those that do not end by themselves."""
        deadline = time.monotonic() + patience_s
        while (found := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return found

    def describe(self):
        """A line for each process."""
        lines = []
        for process in self.processes():
            try:
                with open(f"/proc/{process}/cmdline", "rb") as file:
                    command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
                with open(f"/proc/{process}/stat", encoding="utf-8") as file:
                    state = file.read().rpartition(") ")[2][0]
                lines.append(f"  process {process} ({state}): {command[:300]}")
            except OSError:
                pass
        return "\n".join(lines)

    def end(self):
        """Kills all, those too that are born meanwhile."""
        while found := self.processes():
            for process in found:
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)


def has_room(folder, gib=8):
    try:
        facts = os.statvfs(folder)
    except OSError:
        return False
    return facts.f_bavail * facts.f_frsize >= gib << 30


def wait(job, command, environment, limit_s):
    process = subprocess.Popen(command, env=environment)
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        print(f"hangs: still running after {limit_s:.0f} s:\n{job.describe()}", file=sys.stderr)
        job.end()
        process.wait()
        return 1


def check_nothing_left(job, status, *folders):
    """The status, or 1 if something is there that the command should have ended or removed."""
    if job.left():
        print(f"left behind:\n{job.describe()}", file=sys.stderr)
        status = status or 1
    for folder in folders:
        files = [name for name in os.listdir(folder) if not name.startswith(SESSION)]
        if files and status == 0:
            print(f"left behind in {folder}: {' '.join(files)}", file=sys.stderr)
            status = 1
    return status


def main():
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    job = Job()
    shared = tempfile.mkdtemp(prefix="vgg11-job-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    # A test that fails removes nothing, and a checkpoint is large. In memory, where there is much room, saving it takes half the time.
    scratch = tempfile.mkdtemp(prefix="vgg11-job-", dir="/dev/shm" if has_room("/dev/shm") else None)
    name = "OMPI_MCA_btl_vader_backing_directory"
    places = {name: os.environ.get(name, shared), "TMPDIR": scratch}
    try:
        status = wait(job, sys.argv[1:], job.environment(**places), float(os.environ["VGG11_TEST_LIMIT_S"]))
        status = check_nothing_left(job, status, shared, scratch)
    finally:
        job.end()
        shutil.rmtree(shared)
        shutil.rmtree(scratch)
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
