"""Servers on 127.0.0.1: free ports, requests to them, and a gate that keeps web pages out.

Knows neither the emulator nor AgentCore; both use it.
"""
