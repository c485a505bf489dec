# SPDX-License-Identifier: Apache-2.0

"""Django's sessions in its cache, which is Redis. REDIS_PORT names the server."""

import os
import time

import django
from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="x" * 50,
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[f"{__name__}.Sessions"],
    CACHES={
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{os.environ['REDIS_PORT']}",
        }
    },
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    SESSION_COOKIE_AGE=1800,
    SESSION_SAVE_EVERY_REQUEST=True,
)


class Sessions(SessionMiddleware):
    """Django's middleware stands before all routes; the bare handler goes around it."""

    def __call__(self, request):
        return self.get_response(request) if request.path == "/bare" else super().__call__(request)


def ok(request):
    return JsonResponse({"ok": True})


def read(request):
    return JsonResponse({"uid": request.session.get("uid"), "n": request.session.get("n", 0)})


def write(request):
    request.session["n"] = request.session.get("n", 0) + 1
    return JsonResponse({"ok": True})


def slow(request):
    count = request.session.get("n", 0)
    time.sleep(0.3)
    request.session["n"] = count + 1
    return JsonResponse({"ok": True})


def login(request):
    request.session.cycle_key()
    request.session.update(
        {"uid": int(request.GET["uid"]), "name": "x" * 60, "email": "x" * 60, "csrf": "x" * 64, "n": 0}
    )
    return JsonResponse({"ok": True})


def logout(request):
    request.session.flush()
    return JsonResponse({"ok": True})


urlpatterns = [
    path("bare", ok),
    path("none", ok),
    path("read", read),
    path("write", write),
    path("slow", slow),
    path("login", login),
    path("logout", logout),
]

django.setup()
application = get_wsgi_application()
