import socket

from django.conf import settings
from django.db import connection
from django.shortcuts import render

from pageviews.models import View

REPLICA = socket.gethostname()


def visit(request):
    """Adds a row for this view, then counts them all."""
    View.objects.create(page=request.path)
    context = {
        "page": request.path,
        "number": View.objects.count(),
        "replica": REPLICA,
        "database": settings.DATABASES["default"]["NAME"],
        "version": connection.pg_version // 10000,
    }
    response = render(request, "home.html", context)
    response["Cache-Control"] = "no-store"
    return response
