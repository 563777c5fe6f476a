"""Stages of a job: trained once, kept by their hash, shared by every job that needs the same one."""
