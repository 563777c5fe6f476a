"""Conformance tests: every component a paper defines against recorded values of the published code."""
