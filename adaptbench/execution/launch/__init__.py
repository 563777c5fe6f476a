"""Launching jobs and showing how they get on."""
