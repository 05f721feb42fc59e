"""Load test of a server. It measures the throughput with many clients compared to the command line, the latency of a short
recording while a long one is transcribed, and the behaviour when far more clients connect than the server accepts.

    python load.py --program target/release/amanuensis --clips DIRECTORY --short five-seconds.wav --long hour.wav
    python load.py --program target/release/amanuensis --short five-seconds.wav --overload 640

Throughput: every client sends clip after clip; the command line transcribes each clip once with the same settings. Overload:
every client sends one request with the short recording repeated to 1 MiB; memory is the resident set size from /proc. The
script starts its own server and needs only the standard library. Other programs that use the machine falsify the results.
"""

import argparse
import collections
import http.client
import io
import json
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import wave


class Server:
    """A server process and a client for it."""

    def __init__(self, options, data):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [options.program, "serve", "--offline", f"--port={self.port}", f"--data-dir={data}"]
        self.process = subprocess.Popen(command + [f"--default-model={options.model}"])
        for _ in range(600):
            time.sleep(0.1)
            try:
                if self.request("GET", "/health")[0] == 200:
                    return
            except OSError:
                pass
        sys.exit("the server is not ready within a minute")

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=3600)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read(), response.headers
        finally:
            connection.close()

    def memory(self):
        """Resident memory of the process in MiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def transcribe(self, recording):
        """Transcribes a recording and returns its duration in seconds. Raises an error if the HTTP status is not 200."""
        status, body, _ = self.post(recording)
        if status != 200:
            raise RuntimeError(f"{status}: {body[:200]}")
        return json.loads(body)["usage"]["seconds"]

    def post(self, recording):
        boundary = uuid.uuid4().hex
        field = '--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n'
        body = b"".join((field % (boundary, name, "")).encode() + value + b"\r\n"
                        for name, value in [("model", b"whisper-1"), ("language", b"en")])
        body += (field % (boundary, "file", '; filename="clip.wav"')).encode() + recording + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return self.request("POST", "/v1/audio/transcriptions", body, headers)


def throughput(server, clips, clients, requests):
    """Returns the throughput in seconds of audio per second, and a list of errors."""
    recordings = [clip.read_bytes() for clip in clips]
    durations, problems = [], []

    def client(number):
        for at in range(requests):
            try:
                durations.append(server.transcribe(recordings[(number * requests + at) % len(recordings)]))
            except (OSError, RuntimeError) as problem:
                problems.append(repr(problem))

    start = time.monotonic()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(durations) / (time.monotonic() - start), problems


def command_line(options, clips):
    """Returns the throughput of the command line in seconds of audio per second. Includes loading the model."""
    with tempfile.TemporaryDirectory() as directory:
        command = [options.program, "transcribe", "--offline", "--model", options.model, "--language", "en", "--quiet"]
        command += ["--format", "json", "--output-dir", directory]
        start = time.monotonic()
        subprocess.run(command + [str(clip) for clip in clips], check=True)
        seconds = time.monotonic() - start
        transcripts = [json.loads(path.read_text()) for path in pathlib.Path(directory).iterdir()]
        return sum(transcript["duration"] for transcript in transcripts) / seconds


def latencies(server, recording, is_done, max_requests):
    """Sends the recording repeatedly until `is_done()` returns true. Returns the duration of each request in seconds."""
    found = []
    while not is_done() and len(found) < max_requests:
        start = time.monotonic()
        server.transcribe(recording)
        found.append(time.monotonic() - start)
        time.sleep(0.05)
    return found


def latencies_during(server, short, long, max_requests):
    """Like `latencies`, but while a long recording is transcribed. Drops the last request if it ended after the long one."""
    ended = []
    thread = threading.Thread(target=lambda: ended.append(server.transcribe(long)), daemon=True)
    thread.start()
    time.sleep(2)
    found = latencies(server, short, lambda: bool(ended), max_requests)
    return found[:-1] if ended else found


def repeated_to_1_mib(path):
    """Returns a WAV file of 1 MiB that repeats the recording at `path`."""
    with wave.open(str(path)) as reader:
        parameters, frames = reader.getparams(), reader.readframes(reader.getnframes())
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams(parameters)
        writer.writeframes((frames * (1 + (1 << 20) // len(frames)))[:1 << 20])
    return file.getvalue()


def overload(server, recording, clients):
    """Sends one request from each of many concurrent clients. Prints the HTTP statuses and the memory use. Returns a list of
    errors."""
    server.transcribe(recording)
    statuses, problems = collections.Counter(), []
    before = peak = server.memory()

    def client():
        try:
            status, body, headers = server.post(recording)
        except OSError as problem:
            problems.append(repr(problem))
            return
        statuses[status] += 1
        if status not in (200, 429, 503) or (status != 200 and not headers["Retry-After"].isdigit()):
            problems.append(f"{status}: {body[:200]}")

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        peak = max(peak, server.memory())
        time.sleep(0.02)
    start = time.monotonic()
    server.transcribe(recording)
    print(f"{clients} concurrent clients: {dict(statuses)}; memory {before:.0f} MiB before, {peak:.0f} at its peak, "
          f"{server.memory():.0f} after; the next request took {time.monotonic() - start:.2f} s; "
          f"{len(problems)} errors {problems[:3]}", flush=True)
    return problems


def percentile(values, fraction):
    return sorted(values)[min(len(values) - 1, int(len(values) * fraction))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True)
    parser.add_argument("--model", default="base")
    parser.add_argument("--clips", type=pathlib.Path, help="directory of recordings of 5 to 30 s")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=50)
    parser.add_argument("--short", type=pathlib.Path)
    parser.add_argument("--long", type=pathlib.Path)
    parser.add_argument("--overload", type=int, help="concurrent clients; use about ten times as many as can wait", metavar="CLIENTS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as data:
        server = Server(options, data)
        try:
            problems = measure(server, options)
        finally:
            server.process.terminate()
            server.process.wait()
    sys.exit(1 if problems else 0)


def measure(server, options):
    problems = []
    if options.clips:
        clips = sorted(path for path in options.clips.iterdir() if path.is_file())
        throughput(server, clips, options.clients, 1)
        speed, problems = throughput(server, clips, options.clients, options.requests)
        alone = command_line(options, clips)
        print(f"{options.clients} clients x {options.requests}: {speed:.1f} s of audio per second, command line "
              f"{alone:.1f} ({speed / alone:.0%}); {len(problems)} errors {problems[:3]}", flush=True)
    if options.short and options.long:
        short = options.short.read_bytes()
        latencies(server, short, lambda: False, 5)
        alone = latencies(server, short, lambda: False, 100)
        loaded = latencies_during(server, short, options.long.read_bytes(), 1000)
        for name, values in [("alone", alone), ("with a long recording", loaded)]:
            print(f"{name}: {len(values)} requests, median {statistics.median(values):.3f} s, 95th percentile {percentile(values, 0.95):.3f} s")
        print(f"95th percentile with a long recording: {percentile(loaded, 0.95) / percentile(alone, 0.95):.2f} times the 95th "
              f"percentile alone, {percentile(loaded, 0.95) / statistics.median(alone):.2f} times the median alone")
    if options.overload:
        problems += overload(server, repeated_to_1_mib(options.short), options.overload)
    return problems


if __name__ == "__main__":
    main()
