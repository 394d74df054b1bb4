"""The on-disk formats: generations and model artefacts, and the pure functions that read them.

The index builder imports this package and nothing else of ``app``.
"""
