"""Turn a corpus into a sealed generation, and a model into a sealed artefact."""
