"""What runs inside a Job's pod around a step: claim, fetch, run the step's command, report, publish.

Knows the platform only by HTTP: the workers' door of the API, and the presigned links it hands out.
"""
