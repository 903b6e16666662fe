"""Servers on 127.0.0.1: a port for one, requests to it, and what it refuses because only a web page would send it.

Knows neither the emulator nor AgentCore; both use it.
"""
