# SPDX-License-Identifier: Apache-2.0

"""Flask-Session in Redis. REDIS_PORT names the server."""

import os
import time
from datetime import timedelta

from flask import Flask, request, session
from flask_session import Session
from redis import Redis

app = Flask(__name__)
app.config.update(
    SESSION_TYPE="redis",
    SESSION_REDIS=Redis(port=int(os.environ["REDIS_PORT"])),
    PERMANENT_SESSION_LIFETIME=timedelta(minutes=30),
)
Session(app)


@app.get("/none")
def none():
    return {"ok": True}


@app.get("/read")
def read():
    return {"uid": session.get("uid"), "n": session.get("n", 0)}


@app.post("/write")
def write():
    session["n"] = session.get("n", 0) + 1
    return {"ok": True}


@app.post("/slow")
def slow():
    count = session.get("n", 0)
    time.sleep(0.3)
    session["n"] = count + 1
    return {"ok": True}


@app.post("/login")
def login():
    app.session_interface.regenerate(session)
    session.update(uid=int(request.args["uid"]), name="x" * 60, email="x" * 60, csrf="x" * 64, n=0)
    return {"ok": True}


@app.post("/logout")
def logout():
    session.clear()
    return {"ok": True}


bare = Flask("bare")


@bare.get("/bare")
def bare_handler():
    return {"ok": True}


def application(environ, start_response):
    """Flask's session interface opens a session for every request of its application."""
    return (bare if environ["PATH_INFO"] == "/bare" else app)(environ, start_response)
