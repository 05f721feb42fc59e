"""Kills a server repeatedly while it runs jobs, and compares their results with those of an undisturbed run.

    python kill.py --server target/release/amanuensis --model tiny.en --kills 200 talk.wav meeting.mp3

Every job has to finish exactly once, with the same text, times and checkpoints as in the undisturbed run. Needs no package.
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

# Options of the jobs: the defaults, word timestamps, and sampling at a temperature.
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

    def ask(self, path="", method="GET", body=None, content_type=None):
        request = urllib.request.Request(self.url + path, data=body, method=method)
        if content_type:
            request.add_header("Content-Type", content_type)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def wait_until_ready(self):
        for _ in range(600):
            if self.process.poll() is not None:
                sys.exit(f"the server ended by itself; see {self.data / 'server.log'}")
            try:
                return self.ask("?limit=1")
            except OSError:
                time.sleep(0.02)
        sys.exit("the server does not answer")

    def submit(self, name, recording, fields):
        boundary = uuid.uuid4().hex
        parts = {"name": name, "model": "whisper-1", **fields}
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in parts.items()
        )
        head += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="recording"\r\n\r\n'
        body = head.encode() + recording.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        return self.ask("", "POST", body, f"multipart/form-data; boundary={boundary}")

    def jobs(self):
        """All jobs, by name. Fails if two jobs have the same name."""
        found, after = {}, ""
        while True:
            page = self.ask(f"?limit=100{after}")
            for job in page["data"]:
                if job["name"] in found:
                    sys.exit(f"two jobs are called {job['name']}")
                found[job["name"]] = job
            if not page["has_more"]:
                return found
            after = f"&after={page['data'][-1]['id']}"

    def result(self, job):
        return self.ask(f"/{job['id']}/result?format=verbose_json")

    def end(self, signal_number):
        self.process.send_signal(signal_number)
        self.process.wait()
        self.log.close()


def submit_missing(server, asked):
    """Submits the jobs that the server does not have. A submission that a kill interrupted may have been accepted or not."""
    known = server.jobs()
    for name, (recording, fields) in asked.items():
        if name not in known:
            server.submit(name, recording, fields)


def windows_of(data):
    """The checkpoints of all jobs, by job name."""
    with sqlite3.connect(f"file:{data / 'jobs.sqlite'}?mode=ro", uri=True) as database:
        if database.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            sys.exit("the database is damaged")
        rows = database.execute("SELECT name, content FROM windows JOIN jobs ON jobs.number = job ORDER BY job, windows.number")
        windows = {}
        for name, content in rows:
            windows.setdefault(name, []).append(json.loads(content))
        return windows


def until_done(server):
    while True:
        jobs = server.jobs()
        if all(job["state"] not in ("queued", "running") for job in jobs.values()):
            return jobs
        time.sleep(0.05)


def undisturbed(options, asked):
    """Results and checkpoints of an undisturbed run, and how many seconds it takes."""
    with tempfile.TemporaryDirectory() as data:
        server = Server(options, pathlib.Path(data))
        server.wait_until_ready()
        start = time.monotonic()
        submit_missing(server, asked)
        jobs = until_done(server)
        seconds = time.monotonic() - start
        results = {name: server.result(job) for name, job in jobs.items()}
        server.end(signal.SIGTERM)
        return results, windows_of(pathlib.Path(data)), seconds


def states_in(data):
    """The states of the jobs in the database of a killed server. Reads a copy, so that the next server finds it unchanged."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("jobs.sqlite", "jobs.sqlite-wal"):
            if (data / name).exists():
                shutil.copy(data / name, folder)
        with sqlite3.connect(pathlib.Path(folder) / "jobs.sqlite") as database:
            has_table = database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'jobs'").fetchone()[0]
            return database.execute("SELECT name, state, error, starts, done FROM jobs").fetchall() if has_table else []


def disturb(options, data, asked, chance):
    """Starts a server, submits missing jobs, and kills the server at a random moment."""
    server = Server(options, data)
    # One kill in ten happens during the start. The others may interrupt an upload.
    starts = chance.random() < 0.1
    if not starts:
        server.wait_until_ready()
    killer = threading.Timer(chance.uniform(0, 0.2 if starts else options.longest), server.process.kill)
    killer.start()
    try:
        if not starts:
            submit_missing(server, asked)
    except (OSError, http.client.HTTPException, json.JSONDecodeError):
        # The server was killed already.
        pass
    killer.join()
    server.end(signal.SIGKILL)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recordings", nargs="+", type=pathlib.Path)
    parser.add_argument("--server", default="target/release/amanuensis")
    parser.add_argument("--model", default="tiny.en")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--longest", type=float, default=4.0, help="seconds that a server lives at most")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)

    kinds = [(recording, fields) for recording in options.recordings for fields in VARIANTS]
    results, windows, seconds = undisturbed(options, {str(kind): of for kind, of in enumerate(kinds)})
    print(f"undisturbed: {len(kinds)} jobs, {sum(map(len, windows.values()))} windows, {seconds:.1f} s")

    asked, finished, working = {}, set(), 0
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder)
        for kill in range(options.kills):
            while len(asked) - len(finished) < 3:
                kind = chance.randrange(len(kinds))
                asked[f"{kind}-{len(asked)}"] = kinds[kind]
            disturb(options, data, asked, chance)
            states = states_in(data)
            if failed := [row for row in states if row[1] not in ("queued", "running", "succeeded")]:
                log = (data / "server.log").read_text()[-2000:]
                sys.exit(f"after {kill + 1} kills these have failed: {failed}; the server said: {log}")
            finished = {name for name, state, *_ in states if state == "succeeded"}
            working += any(state == "running" for _, state, *_ in states)

        server = Server(options, data)
        server.wait_until_ready()
        submit_missing(server, asked)
        jobs = until_done(server)
        server_results = {name: server.result(job) for name, job in jobs.items() if job["state"] == "succeeded"}
        server.end(signal.SIGTERM)
        kept = windows_of(data)
        left = sorted(path.name for path in (data / "uploads").iterdir())

    wrong = [f"{name}: {jobs[name]['state']}, {jobs[name]['error']}" for name in jobs if jobs[name]["state"] != "succeeded"]
    wrong += [f"{name}: lost" for name in asked if name not in jobs]
    for name in server_results:
        kind = name.split("-")[0]
        if server_results[name] != results[kind]:
            wrong.append(f"{name}: another text")
        if kept.get(name, []) != windows[kind]:
            wrong.append(f"{name}: other windows")
    wrong += [f"left behind: {name}" for name in left]
    # An idle server would prove nothing.
    if 2 * working < options.kills:
        wrong.append("too few kills while a job ran")
    print(f"{options.kills} kills, {working} of them while a job ran; {len(jobs)} jobs: {len(wrong)} wrong")
    print("\n".join(wrong))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
