"""Tests of the language server and the HTTP interface."""
