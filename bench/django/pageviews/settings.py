"""Production settings of a small site. Wherever there was a choice, the faster one was taken."""

import os

SECRET_KEY = "nothing is signed here"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True

INSTALLED_APPS = ["pageviews"]
ROOT_URLCONF = "pageviews.urls"
WSGI_APPLICATION = "pageviews.wsgi.application"
# The two that any site wants; no sessions, no users: a page for everybody needs none.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Host, port, user and password come from libpq's own PG* variables.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["PGDATABASE"],
        # Django's default is a new connection for each request.
        "CONN_MAX_AGE": None,
    }
}
