"""The gunicorn entry point of the encoder service."""

import os

from app.config import EncoderConfig
from app.encoder import create_app

application = create_app(EncoderConfig.read(os.environ))
