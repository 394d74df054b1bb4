"""The gunicorn entry point of the gateway service."""

import os

from app.config import GatewayConfig
from app.gateway import create_app

application = create_app(GatewayConfig.read(os.environ))
