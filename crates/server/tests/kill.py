"""Kills a server repeatedly while it runs jobs, and compares the results with an uninterrupted run.

    python kill.py --server target/release/amanuensis --model tiny.en --kills 200 talk.wav meeting.mp3

Every job has to finish exactly once, with the same text, times and window checkpoints as in the uninterrupted run. Needs
only the standard library.
"""

import argparse
import http.client
import json
import pathlib
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid

# Options of the jobs: none, word timestamps, and sampling at a temperature above 0.
VARIANTS = [{}, {"timestamp_granularities[]": "word"}, {"temperature": "0.4"}]


class Server:
    """A server process with its data directory."""

    def __init__(self, options, data):
        self.data = data
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1/jobs"
        self.log = open(data / "server.log", "ab")
        command = [options.server, "serve", f"--port={port}", f"--data-dir={data}", f"--default-model={options.model}"]
        command += ["--offline", "--max-queued-jobs=10000"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def request(self, path="", method="GET", body=None, content_type=None):
        request = urllib.request.Request(self.url + path, data=body, method=method)
        if content_type:
            request.add_header("Content-Type", content_type)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def wait_until_ready(self):
        for _ in range(600):
            if self.process.poll() is not None:
                sys.exit(f"the server exited unexpectedly; see {self.data / 'server.log'}")
            try:
                return self.request("?limit=1")
            except OSError:
                time.sleep(0.02)
        sys.exit("the server does not respond")

    def submit(self, name, recording, fields):
        boundary = uuid.uuid4().hex
        parts = {"name": name, "model": "whisper-1", **fields}
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in parts.items()
        )
        head += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="recording"\r\n\r\n'
        body = head.encode() + recording.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        return self.request("", "POST", body, f"multipart/form-data; boundary={boundary}")

    def jobs(self):
        """Returns all jobs by name. Exits if two jobs have the same name."""
        found, after = {}, ""
        while True:
            page = self.request(f"?limit=100{after}")
            for job in page["data"]:
                if job["name"] in found:
                    sys.exit(f"two jobs have the name {job['name']}")
                found[job["name"]] = job
            if not page["has_more"]:
                return found
            after = f"&after={page['data'][-1]['id']}"

    def result(self, job):
        return self.request(f"/{job['id']}/result?format=verbose_json")

    def stop(self, signal_number):
        self.process.send_signal(signal_number)
        self.process.wait()
        self.log.close()


def submit_missing(server, wanted):
    """Submits the jobs that the server does not have. The server may have accepted an interrupted submission."""
    known = server.jobs()
    for name, (recording, fields) in wanted.items():
        if name not in known:
            server.submit(name, recording, fields)


def windows_of(data):
    """Returns the stored window checkpoints of every job, by job name."""
    with sqlite3.connect(f"file:{data / 'jobs.sqlite'}?mode=ro", uri=True) as database:
        if database.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            sys.exit("the database is damaged")
        rows = database.execute("SELECT name, content FROM windows JOIN jobs ON jobs.number = job ORDER BY job, windows.number")
        windows = {}
        for name, content in rows:
            windows.setdefault(name, []).append(json.loads(content))
        return windows


def wait_for_jobs(server):
    """Waits until no job is queued or running, and returns all jobs."""
    while True:
        jobs = server.jobs()
        if all(job["state"] not in ("queued", "running") for job in jobs.values()):
            return jobs
        time.sleep(0.05)


def run_uninterrupted(options, wanted):
    """Runs the jobs on a server that is not killed. Returns the results, the window checkpoints and the run time in seconds."""
    with tempfile.TemporaryDirectory() as data:
        server = Server(options, pathlib.Path(data))
        server.wait_until_ready()
        start = time.monotonic()
        submit_missing(server, wanted)
        jobs = wait_for_jobs(server)
        seconds = time.monotonic() - start
        results = {name: server.result(job) for name, job in jobs.items()}
        server.stop(signal.SIGTERM)
        return results, windows_of(pathlib.Path(data)), seconds


def states_in(data):
    """Returns the jobs in the database of a killed server. Reads a copy, so that the next server finds the database unchanged."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("jobs.sqlite", "jobs.sqlite-wal"):
            if (data / name).exists():
                shutil.copy(data / name, folder)
        with sqlite3.connect(pathlib.Path(folder) / "jobs.sqlite") as database:
            has_table = database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'jobs'").fetchone()[0]
            return database.execute("SELECT name, state, error, starts, done FROM jobs").fetchall() if has_table else []


def run_and_kill(options, data, wanted, rng):
    """Starts a server, submits the missing jobs, and kills it after a random time."""
    server = Server(options, data)
    # One server in ten is killed while it starts. The others may be killed at any time, even during an upload.
    during_start = rng.random() < 0.1
    if not during_start:
        server.wait_until_ready()
    killer = threading.Timer(rng.uniform(0, 0.2 if during_start else options.max_lifetime), server.process.kill)
    killer.start()
    try:
        if not during_start:
            submit_missing(server, wanted)
    except (OSError, http.client.HTTPException, json.JSONDecodeError):
        # The server was killed during the submission.
        pass
    killer.join()
    server.stop(signal.SIGKILL)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recordings", nargs="+", type=pathlib.Path)
    parser.add_argument("--server", default="target/release/amanuensis")
    parser.add_argument("--model", default="tiny.en")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--max-lifetime", type=float, default=4.0, help="seconds after which a server is killed at the latest")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)

    kinds = [(recording, fields) for recording in options.recordings for fields in VARIANTS]
    results, windows, seconds = run_uninterrupted(options, {str(kind): of for kind, of in enumerate(kinds)})
    print(f"uninterrupted: {len(kinds)} jobs, {sum(map(len, windows.values()))} windows, {seconds:.1f} s")

    wanted, finished, killed_while_running = {}, set(), 0
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder)
        for kill in range(options.kills):
            while len(wanted) - len(finished) < 3:
                kind = rng.randrange(len(kinds))
                wanted[f"{kind}-{len(wanted)}"] = kinds[kind]
            run_and_kill(options, data, wanted, rng)
            states = states_in(data)
            if failed := [row for row in states if row[1] not in ("queued", "running", "succeeded")]:
                log = (data / "server.log").read_text()[-2000:]
                sys.exit(f"after {kill + 1} kills these jobs have failed: {failed}; the server log ends with: {log}")
            finished = {name for name, state, *_ in states if state == "succeeded"}
            killed_while_running += any(state == "running" for _, state, *_ in states)

        server = Server(options, data)
        server.wait_until_ready()
        submit_missing(server, wanted)
        jobs = wait_for_jobs(server)
        server_results = {name: server.result(job) for name, job in jobs.items() if job["state"] == "succeeded"}
        server.stop(signal.SIGTERM)
        stored = windows_of(data)
        leftover = sorted(path.name for path in (data / "uploads").iterdir())

    wrong = [f"{name}: {jobs[name]['state']}, {jobs[name]['error']}" for name in jobs if jobs[name]["state"] != "succeeded"]
    wrong += [f"{name}: lost" for name in wanted if name not in jobs]
    for name in server_results:
        kind = name.split("-")[0]
        if server_results[name] != results[kind]:
            wrong.append(f"{name}: the result differs")
        if stored.get(name, []) != windows[kind]:
            wrong.append(f"{name}: the windows differ")
    wrong += [f"leftover upload: {name}" for name in leftover]
    # Killing an idle server does not test recovery, so at least half of the kills must happen while a job is running.
    if 2 * killed_while_running < options.kills:
        wrong.append("too few kills while a job was running")
    print(f"{options.kills} kills, {killed_while_running} of them while a job was running; {len(jobs)} jobs: {len(wrong)} wrong")
    print("\n".join(wrong))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
