"""Measures a server under load: the throughput with many clients, compared to the command line; the latency of a short recording
while a long one is transcribed; and the behaviour when far more clients connect at once than the server accepts.

    python load.py --program target/release/amanuensis --clips DIRECTORY --short five-seconds.wav --long hour.wav
    python load.py --program target/release/amanuensis --short five-seconds.wav --overload 640

Each client sends one clip after another. The command line transcribes the same clips once, with the same settings. In the overload
test each client sends one request: the short recording, repeated until it is a megabyte. Memory is the resident size that Linux
reports. Starts its own server and needs no package. The results are valid only on an otherwise idle machine.
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
    """A server process, and requests to it."""

    def __init__(self, options, data):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [options.program, "serve", "--offline", f"--port={self.port}", f"--data-dir={data}"]
        self.process = subprocess.Popen(command + [f"--default-model={options.model}"])
        for _ in range(600):
            time.sleep(0.1)
            try:
                if self.ask("GET", "/health")[0] == 200:
                    return
            except OSError:
                pass
        sys.exit("the server is not ready within a minute")

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=3600)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def memory(self):
        """Resident memory of the process in MiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def transcribe(self, recording):
        """Duration of the recording in seconds. Raises if the response is not a transcript."""
        status, answer, _ = self.post(recording)
        if status != 200:
            raise RuntimeError(f"{status}: {answer[:200]}")
        return json.loads(answer)["usage"]["seconds"]

    def post(self, recording):
        mark = uuid.uuid4().hex
        field = '--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n'
        body = b"".join((field % (mark, name, "")).encode() + value + b"\r\n"
                        for name, value in [("model", b"whisper-1"), ("language", b"en")])
        body += (field % (mark, "file", '; filename="clip.wav"')).encode() + recording + f"\r\n--{mark}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={mark}"}
        return self.ask("POST", "/v1/audio/transcriptions", body, headers)


def throughput(server, clips, clients, requests):
    """Seconds of recordings transcribed per second, and the errors."""
    recordings = [clip.read_bytes() for clip in clips]
    heard, problems = [], []

    def client(number):
        for at in range(requests):
            try:
                heard.append(server.transcribe(recordings[(number * requests + at) % len(recordings)]))
            except (OSError, RuntimeError) as problem:
                problems.append(repr(problem))

    began = time.monotonic()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(heard) / (time.monotonic() - began), problems


def command_line(options, clips):
    """Seconds of recordings that the command line transcribes per second, including the time to load the model."""
    with tempfile.TemporaryDirectory() as directory:
        command = [options.program, "transcribe", "--offline", "--model", options.model, "--language", "en", "--quiet"]
        command += ["--format", "json", "--output-dir", directory]
        began = time.monotonic()
        subprocess.run(command + [str(clip) for clip in clips], check=True)
        seconds = time.monotonic() - began
        transcripts = [json.loads(path.read_text()) for path in pathlib.Path(directory).iterdir()]
        return sum(transcript["duration"] for transcript in transcripts) / seconds


def times(server, recording, until, most):
    """Latencies in seconds of requests for the recording, one after another until a given time."""
    found = []
    while not until() and len(found) < most:
        began = time.monotonic()
        server.transcribe(recording)
        found.append(time.monotonic() - began)
        time.sleep(0.05)
    return found


def during(server, short, long, most):
    """The latencies while a long recording is transcribed. Requests that finish after it do not count."""
    ended = []
    thread = threading.Thread(target=lambda: ended.append(server.transcribe(long)), daemon=True)
    thread.start()
    time.sleep(2)
    found = times(server, short, lambda: bool(ended), most)
    return found[:-1] if ended else found


def megabyte(path):
    """The WAV file with its recording repeated."""
    with wave.open(str(path)) as reader:
        parameters, frames = reader.getparams(), reader.readframes(reader.getnframes())
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams(parameters)
        writer.writeframes((frames * (1 + (1 << 20) // len(frames)))[:1 << 20])
    return file.getvalue()


def overload(server, recording, clients):
    """Responses to many clients at once, the memory before, at its peak and after, and the errors."""
    server.transcribe(recording)
    statuses, problems = collections.Counter(), []
    before = peak = server.memory()

    def client():
        try:
            status, answer, headers = server.post(recording)
        except OSError as problem:
            problems.append(repr(problem))
            return
        statuses[status] += 1
        if status not in (200, 429, 503) or (status != 200 and not headers["Retry-After"].isdigit()):
            problems.append(f"{status}: {answer[:200]}")

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        peak = max(peak, server.memory())
        time.sleep(0.02)
    began = time.monotonic()
    server.transcribe(recording)
    print(f"{clients} clients at once: {dict(statuses)}; memory {before:.0f} MiB before, {peak:.0f} at its peak, "
          f"{server.memory():.0f} after; the next request took {time.monotonic() - began:.2f} s; "
          f"{len(problems)} went wrong {problems[:3]}", flush=True)
    return problems


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True)
    parser.add_argument("--model", default="base")
    parser.add_argument("--clips", type=pathlib.Path, help="directory of recordings of 5 to 30 s")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=50)
    parser.add_argument("--short", type=pathlib.Path)
    parser.add_argument("--long", type=pathlib.Path)
    parser.add_argument("--overload", type=int, help="clients at once, ten times as many as can wait", metavar="CLIENTS")
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
        print(f"{options.clients} clients x {options.requests}: {speed:.1f} s of recordings a second, command line "
              f"{alone:.1f} ({speed / alone:.0%}); {len(problems)} went wrong {problems[:3]}", flush=True)
    if options.short and options.long:
        short = options.short.read_bytes()
        times(server, short, lambda: False, 5)
        alone = times(server, short, lambda: False, 100)
        beside = during(server, short, options.long.read_bytes(), 1000)
        for name, values in [("alone", alone), ("beside", beside)]:
            print(f"{name}: {len(values)} requests, median {statistics.median(values):.3f} s, 95 % {percentile(values, 0.95):.3f} s")
        print(f"95 % beside a long recording, to alone: {percentile(beside, 0.95) / percentile(alone, 0.95):.2f} by 95 %, "
              f"{percentile(beside, 0.95) / statistics.median(alone):.2f} by median")
    if options.overload:
        problems += overload(server, megabyte(options.short), options.overload)
    return problems


if __name__ == "__main__":
    main()
