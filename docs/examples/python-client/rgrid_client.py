"""A client of RGrid that needs nothing but requests: python rgrid_client.py FILE

Uploads FILE, runs wc on it, shows its log live, and brings the output. See docs/PYTHON.md.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
import uuid

import requests

TRIES = 6
# Who would have to wait for longer is told so: a full month says Retry-After until the first of the next.
MAX_WAIT_SECONDS = 30


class Client:
    """The API with an API key, or with a token of somebody who signed in; account is the id of the one that a token is to speak for."""

    def __init__(self, url, key, project="default", account=None):
        self.url, self.project = url.rstrip("/"), project
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {key}"
        if account:
            self.session.headers["X-RGrid-Account"] = account

    def call(self, method, path, **options):
        """Sends a request; again when the gateway is away, or says to wait a moment. POSTs carry one key for all their tries."""
        headers = options.pop("headers", {})
        if method == "POST":
            headers = {"Idempotency-Key": str(uuid.uuid4()), **headers}
        for attempt in range(1, TRIES + 1):
            try:
                response = self.session.request(method, self.url + path, headers=headers, timeout=60, allow_redirects=False, **options)
            except requests.ConnectionError:
                if attempt == TRIES:
                    raise
                time.sleep(0.2 * 2**attempt)
                continue
            wait = retry_after(response, 0.2 * 2**attempt)
            if response.status_code in (429, 503) and attempt < TRIES and wait <= MAX_WAIT_SECONDS:
                time.sleep(wait)
                continue
            if response.status_code >= 400:
                raise RuntimeError(problem_of(response))
            return response

    def upload(self, path):
        """Makes sure that the content of a file is there; returns its id."""
        with open(path, "rb") as file:
            content = file.read()
        wish = {"sha256": hashlib.sha256(content).hexdigest(), "sizeBytes": len(content)}
        announce = f"/v1/projects/{self.project}/files"
        found = self.call("POST", announce, json=wish).json()
        if found["upload"]:
            requests.put(found["upload"]["url"], data=content, headers=found["upload"]["headers"], timeout=600).raise_for_status()
            found = self.call("POST", announce, json=wish).json()
        assert found["state"] == "ready", found
        return found["id"]

    def submit(self, document, key=None):
        """Submits a Job document; with a key of your own also safe over restarts of your program."""
        headers = {"Idempotency-Key": key} if key else {}
        return self.call("POST", f"/v1/projects/{self.project}/jobs", json=document, headers=headers).json()

    def follow(self, job_id):
        """Yields (event, data) of the log: log, status, end. Connects again where it was."""
        last_id = None
        while True:
            headers = {"Last-Event-ID": last_id} if last_id else {}
            try:
                response = self.call("GET", f"/v1/jobs/{job_id}/logs?follow=true", headers=headers, stream=True)
                event, data = None, []
                for line in response.iter_lines(chunk_size=1):
                    line = line.decode()
                    if line.startswith("event: "):
                        event = line[7:]
                    elif line.startswith("id: "):
                        last_id = line[4:]
                    elif line.startswith("data: "):
                        data.append(line[6:])
                    elif line == "" and data:
                        yield event, json.loads("\n".join(data))
                        if event == "end":
                            return
                        event, data = None, []
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                pass
            time.sleep(1)

    def wait(self, job_id, every=1.0):
        """Asks until the job has ended; while nothing changed the answer is an empty 304."""
        etag, job = None, None
        while job is None or job["finishedAt"] is None:
            response = self.call("GET", f"/v1/jobs/{job_id}", headers={"If-None-Match": etag} if etag else {})
            if response.status_code == 200:
                etag, job = response.headers["ETag"], response.json()
            if job["finishedAt"] is None:
                time.sleep(every)
        return job

    def outputs(self, job_id):
        """Yields (path, bytes) of each output, page by page."""
        path = f"/v1/jobs/{job_id}/artifacts"
        while path:
            page = self.call("GET", path)
            for artifact in page.json()["items"]:
                place = self.call("GET", f"/v1/artifacts/{artifact['id']}/download").headers["Location"]
                body = requests.get(place, timeout=600)
                body.raise_for_status()
                assert hashlib.sha256(body.content).hexdigest() == artifact["sha256"]
                yield artifact["path"], body.content
            path = page.links.get("next", {}).get("url")


def retry_after(response, default):
    """The seconds that an answer says to wait. As a date only something between here and the gateway says it."""
    seconds = response.headers.get("Retry-After", "")
    return float(seconds) if seconds.isascii() and seconds.isdigit() else default


def problem_of(response):
    """What an answer says went wrong, and when to try again; something between here and the gateway says no more than a status."""
    again = f"; Retry-After: {response.headers['Retry-After']}" if "Retry-After" in response.headers else ""
    if response.headers.get("Content-Type", "").split(";")[0] != "application/problem+json":
        return f"status {response.status_code}{again}"
    problem = response.json()
    return f"{problem['code']}: {problem['detail']} (request {problem['requestId']}{again})"


def verify_webhook(secret, headers, body, tolerance=300):
    """Checks a webhook (https://www.standardwebhooks.com); body is the bytes as they came. Raises ValueError."""
    stamp = headers["webhook-timestamp"]
    if abs(time.time() - int(stamp)) > tolerance:
        raise ValueError("too old, or from the future")
    signed = f"{headers['webhook-id']}.{stamp}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = [part[3:] for part in headers["webhook-signature"].split(" ") if part.startswith("v1,")]
    if not any(hmac.compare_digest(expected, one) for one in given):
        raise ValueError("not signed with this secret")
    return json.loads(body)


def main(path):
    client = Client(os.environ["RGRID_API_URL"], os.environ["RGRID_API_KEY"])
    spec = {
        "runtime": "bash",
        "command": ["sh", "-c", "wc -c < input > count.txt && echo counted"],
        "files": {"inputs": [{"path": "input", "file": client.upload(path)}], "outputs": [{"path": "count.txt"}]},
    }
    job = client.submit({"metadata": {"name": "count"}, "spec": spec}, key=os.environ.get("RUN_ID"))
    print("job", job["id"])
    for event, data in client.follow(job["id"]):
        if event == "log":
            print("".join(chunk.get("text", "") for chunk in data["chunks"]), end="")
    ended = client.wait(job["id"])
    print("ended", ended["state"], ended["exitCode"])
    for name, content in client.outputs(job["id"]):
        print("output", name, content.decode().strip())
    return 0 if ended["state"] == "succeeded" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
