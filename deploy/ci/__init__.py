"""What the workflows in .github/workflows do: plan, seal, verify, apply, publish, watch for drift.

A workflow only calls `python -m deploy.ci ...`; tests run the same commands on an emulated AWS.
"""
