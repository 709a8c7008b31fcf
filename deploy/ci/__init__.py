"""What the workflows do: plan, seal, verify and apply, publish releases, report drift.

A workflow only calls `python -m deploy.ci`; tests run the same commands against an emulated AWS.
"""
