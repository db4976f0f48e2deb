from django.db import models


class View(models.Model):
    page = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now_add=True)
