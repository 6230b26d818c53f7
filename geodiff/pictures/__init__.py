"""Offline pages and figures; nothing here knows what it shows."""
