"""The report that a build leaves beside the manifest: figures measured on what was sealed."""
