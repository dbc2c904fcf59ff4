"""A stand-in for the Hugging Face Hub: keeps what is uploaded in memory, and serves it again."""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub(BaseHTTPRequestHandler):
    """Answers as the Hub does, as far as `hf upload` and `snapshot_download` ask."""

    protocol_version = "HTTP/1.1"
    repositories: dict[str, dict[str, bytes]]
    requests: list[str]

    def _answer(self, status=200, body=b"", **headers):
        if not isinstance(body, bytes):
            body, headers = json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _missing(self, code):
        self._answer(404, {"error": code}, **{"X-Error-Code": code})

    def _commit(self, files):
        content = json.dumps(
            sorted((name, hashlib.sha1(data).hexdigest()) for name, data in files.items())
        )
        return hashlib.sha1(content.encode()).hexdigest()

    def _read(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def do_GET(self):
        self.requests.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0].strip("/").split("/")
        if path[:2] == ["api", "models"]:
            name, rest = "/".join(path[2:4]), path[4:]
        elif len(path) > 3 and path[2] == "resolve":
            name, rest = "/".join(path[:2]), path[2:]
        else:
            return self._missing("EntryNotFound")
        files = self.repositories.get(name)
        if files is None:
            return self._missing("RepoNotFound")
        commit = self._commit(files)
        if len(rest) > 1 and rest[1] not in ("main", commit):
            return self._missing("RevisionNotFound")
        if rest[:1] == ["resolve"]:
            data = files.get("/".join(rest[2:]))
            if data is None:
                return self._missing("EntryNotFound")
            tag = hashlib.sha1(data).hexdigest()
            return self._answer(body=data, ETag=f'"{tag}"', **{"X-Repo-Commit": commit})
        entries = [
            {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for name, data in files.items()
        ]
        if rest[:1] == ["tree"]:
            return self._answer(body=entries)
        siblings = [{"rfilename": entry["path"]} for entry in entries]
        return self._answer(body={"id": name, "sha": commit, "siblings": siblings, "private": False})

    do_HEAD = do_GET

    def do_POST(self):
        self.requests.append(f"{self.command} {self.path}")
        data, path = self._read(), self.path.partition("?")[0].strip("/").split("/")
        if path[-2:] == ["repos", "create"]:
            asked = json.loads(data)
            name = f"{asked.get('organization') or 'somebody'}/{asked['name']}"
            self.repositories.setdefault(name, {})
            return self._answer(body={"url": name, "name": name, "id": name})
        name, action = "/".join(path[2:4]), path[4]
        if action == "preupload":
            files = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(data)["files"]
            ]
            return self._answer(body={"files": files})
        if action == "commit":
            for line in data.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    content = base64.b64decode(entry["value"]["content"])
                    self.repositories[name][entry["value"]["path"]] = content
            commit = self._commit(self.repositories[name])
            url = f"http://{self.headers['Host']}/{name}/commit/{commit}"
            return self._answer(body={"commitUrl": url, "commitOid": commit, "hookOutput": ""})
        return self._missing("EntryNotFound")

    def log_message(self, *_):
        pass


@contextmanager
def hub():
    """Serves a new Hub; yields its address and its class, with `repositories` and `requests`."""
    handler = type("OwnHub", (Hub,), {"repositories": {}, "requests": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()
